"""Finds the connected components of linked items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


def linked_groups(count: int, links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Returns the connected components of ``count`` items, in order of their first items; each item is in exactly one.

    Args:
        count: items are 0 to ``count - 1``.
        links: pairs of items that belong together.
    """
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in links:
        parent[root(a)] = root(b)
    groups: dict[int, list[int]] = defaultdict(list)
    for i in range(count):
        groups[root(i)].append(i)
    return list(groups.values())
