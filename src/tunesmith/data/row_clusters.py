"""Finds the rows that depend on each other: of one group, with the same text, or with nearly the same text.

Splits keep the rows of a cluster on one side, and intervals draw them together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import RELATED, THRESHOLD, NearDuplicates, near_duplicates, shingle_sets
from tunesmith.data.normalise import text_keys
from tunesmith.data.table import Examples

MOST_SHARE, MOST_ROWS = 0.1, 10
"""Near-duplicates may link this share of all rows, or this many, into one cluster, whatever they share. Texts of one template
with several gaps form chains, at whose ends they share little; in larger clusters a larger overlap is then asked for."""
THRESHOLDS = (THRESHOLD, 0.8, 0.9, 1.1)
"""Overlaps that are tried in turn after ``RELATED``; above 1 only equal texts are linked."""
VARIANTS, SAMPLED_PAIRS, SAMPLED_TEXTS = 0.5, 300, 300
"""A larger cluster in which this share of so many pairs overlap by ``RELATED``, without the frame, has variants of one text."""
FRAME = 0.98
"""Shingles in this share of a cluster's texts are their frame: an instruction before each, or a template with one gap. Variants
of one text differ in many places, so that few of its shingles are in all of them."""


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
        most: the rows that near-duplicates may link into one cluster, even variants of one text.
    """
    near = near if near is not None else near_duplicates(texts, pairs, RELATED)
    linked = divide_chains(near.at_least(RELATED), texts, pairs, most)
    n_texts, also = len(near.first_row), (np.empty(0, dtype=np.int64),) * 2
    if groups is not None:
        _, first, group = np.unique(np.asarray(groups, dtype=str), return_index=True, return_inverse=True)
        also = near.text_ids[first[group]], near.text_ids
    a, b = (np.concatenate(ends) for ends in ((linked.a, also[0]), (linked.b, also[1])))
    numbers = components(n_texts, a, b)[near.text_ids]
    _, first_row, number = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_row))[number]


def divide_chains(near: NearDuplicates, texts: Sequence[str], pairs: Sequence[str] | None, most: int | None) -> NearDuplicates:
    """Leaves out the weakest links of clusters that are too large, until they are not; those of variants of one text are kept.

    Args:
        most: the largest cluster, of variants, too; None: ``MOST_SHARE`` or ``MOST_ROWS``, and variants are kept.
    """
    largest = most or max(MOST_ROWS, round(MOST_SHARE * len(near.text_ids)))
    kept = set[int]()  # the first text of each cluster of variants
    for threshold in THRESHOLDS:
        component = components(len(near.first_row), near.a, near.b)
        sizes = np.bincount(component[near.text_ids])
        members = [np.flatnonzero(component == large) for large in np.flatnonzero(sizes > largest)]
        if most is None:
            kept |= {int(own[0]) for own in members if own[0] not in kept and are_variants(own, near, texts, pairs)}
        chains = [component[own[0]] for own in members if own[0] not in kept]
        if not chains:
            break
        stays = (near.overlap >= threshold) | ~np.isin(component[near.a], chains)
        near = replace(near, a=near.a[stays], b=near.b[stays], overlap=near.overlap[stays])
    return near


def are_variants(members: Array, near: NearDuplicates, texts: Sequence[str], pairs: Sequence[str] | None) -> bool:
    """Tells whether at least ``VARIANTS`` of the pairs of these texts overlap by ``RELATED`` outside their frame.

    Of many texts, and of their pairs, a sample is drawn.
    """
    if len(members) < 2:
        return True
    draw = np.random.default_rng(0)
    chosen = draw.permutation(members)[:SAMPLED_TEXTS]
    rows = near.first_row[chosen].tolist()
    shingles = shingle_sets(text_keys([texts[i] for i in rows], None if pairs is None else [pairs[i] for i in rows]))
    counts = Counter(shingle for own in shingles for shingle in own)
    own = [{shingle for shingle in shingles_of if counts[shingle] < FRAME * len(rows)} for shingles_of in shingles]
    first = draw.integers(len(rows), size=SAMPLED_PAIRS)
    second = (first + draw.integers(1, len(rows), size=SAMPLED_PAIRS)) % len(rows)
    pairs_of_sets = [(own[i], own[j]) for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    return sum(len(a & b) >= RELATED * max(1, len(a | b)) for a, b in pairs_of_sets) >= VARIANTS * SAMPLED_PAIRS


def example_clusters(rows: Examples, near: NearDuplicates | None = None) -> Array:
    """Numbers the cluster of each row (N): rows of one group and near-duplicates, directly or through others, share one."""
    return row_clusters(rows.texts, rows.pairs, rows.groups, near)


def components(count: int, a: Array, b: Array) -> Array:
    """Numbers the connected component of each of ``count`` items, of which the items ``a[i]`` and ``b[i]`` are linked."""
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    return np.asarray(connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)[1])
