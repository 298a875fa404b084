"""Finds the rows that depend on each other: of one group, with the same text, or with nearly the same text.

Splits keep the rows of a cluster on one side, and intervals draw them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import RELATED, THRESHOLD, NearDuplicates, near_duplicates
from tunesmith.data.table import Examples

MOST_SHARE, MOST_ROWS = 0.1, 10
"""Near-duplicates may link this share of all rows, or this many, into one cluster. Texts made from one template form chains, at
whose ends they have little in common; a larger overlap is then asked for."""
THRESHOLDS = (RELATED, THRESHOLD, 0.8, 0.9, 1.1)
"""Overlaps that are tried in turn; above 1 only equal texts are linked."""


def row_clusters(
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    near: NearDuplicates | None = None,
    most: int | None = None,
) -> Array:
    """Numbers the cluster of each row (N), 0 to M - 1, by its first row: rows linked directly or through others share one.

    Args:
        pairs: second texts; a pair counts as one text.
        groups: (N) values; rows with equal ones are linked.
        near: the near-duplicates among these rows from ``RELATED`` on, if they were found before.
        most: the rows that near-duplicates may link into one cluster.
    """
    near = near if near is not None else near_duplicates(texts, pairs, RELATED)
    largest = most or max(MOST_ROWS, round(MOST_SHARE * len(near.text_ids)))
    n_texts, also = len(near.first_row), (np.empty(0, dtype=np.int64),) * 2
    for threshold in THRESHOLDS:
        linked = near.at_least(threshold)
        sizes = np.bincount(components(n_texts, linked.a, linked.b)[near.text_ids])
        if sizes.max(initial=0) <= largest:
            break
    if groups is not None:
        _, first, group = np.unique(np.asarray(groups, dtype=str), return_index=True, return_inverse=True)
        also = near.text_ids[first[group]], near.text_ids
    a, b = (np.concatenate(ends) for ends in ((linked.a, also[0]), (linked.b, also[1])))
    numbers = components(n_texts, a, b)[near.text_ids]
    _, first_row, number = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_row))[number]


def example_clusters(rows: Examples, near: NearDuplicates | None = None) -> Array:
    """Numbers the cluster of each row (N): rows of one group and near-duplicates, directly or through others, share one."""
    return row_clusters(rows.texts, rows.pairs, rows.groups, near)


def components(count: int, a: Array, b: Array) -> Array:
    """Numbers the connected component of each of ``count`` items, of which the items ``a[i]`` and ``b[i]`` are linked."""
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    return np.asarray(connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)[1])
