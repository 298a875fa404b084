"""KNN-Shapley: the Shapley value of each training row for a nearest-neighbour classifier, without an N x M matrix."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.diagnosis.evidence import UNINFORMED, Diagnosis, Evidence, ranks, scatter_rows, skip, skip_if_missing

NAME = "knn_shapley"
NEIGHBOURS = 10
NEAREST = 1_000
"""Neighbours of an evaluation row that are sorted. Each further one changes a value by at most one in so many."""
BLOCK_ELEMENTS = 20_000_000
"""Similarities in memory at once; 80 MB, and as much again for their order."""


def knn_shapley(
    embeddings: Array, given: Array, evaluated: Array, evaluated_labels: Array, k: int = NEIGHBOURS, same: bool = False
) -> Array:
    """Computes each training row's Shapley value (N) for the accuracy of a k-nearest-neighbour vote on the evaluation rows (M).

    Jia et al. 2019, "Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms", theorem 1. The values add up to
    the accuracy of the soft vote minus that of no data. Exact for up to ``NEAREST`` training rows; with more, those beyond the
    nearest ``NEAREST`` are not sorted and are taken to agree with the evaluation row's label as often as they do on average.

    Args:
        embeddings, evaluated: (N, D) and (M, D) of unit length; neighbours by cosine.
        same: the evaluation rows are the training rows; none is its own neighbour.
    """
    total = np.zeros(len(given))
    step = max(1, BLOCK_ELEMENTS // max(1, len(given)))
    for start in range(0, len(evaluated), step):
        near = evaluated[start : start + step] @ embeddings.T  # (b, N)
        own = np.arange(start, start + len(near)) if same else None
        if own is not None:
            near[np.arange(len(near)), own] = -np.inf
        total += block_values(near, given, evaluated_labels[start : start + step], k, own)
    return total / max(1, len(evaluated))


def block_values(near: Array, given: Array, labels: Array, k: int, own: Array | None) -> Array:
    """Sums every training row's value (N) over a block of evaluation rows.

    Args:
        near: similarity of evaluation and training rows (b, N).
        own: each evaluation row's position among the training rows (b); None if it is not one of them.
    """
    n = near.shape[1] - (own is not None)
    order = nearest_first(near, min(n, NEAREST))
    match = (given[order] == labels[:, None]).astype(np.float64)
    n_ordered = match.shape[1]
    agreeing = np.bincount(given, minlength=int(labels.max()) + 1)[labels] - (own is not None)
    rest = (agreeing - match.sum(axis=1)) / max(1, n - n_ordered)  # the share of the others that agree
    # theorem 1 gives 1[match] / N for the farthest; for N < k the vote still divides by k
    beyond = (rest if n > n_ordered else match[:, -1]) / max(n, k)
    places = np.arange(1, n_ordered + 1)
    following = np.column_stack([match[:, 1:], rest if n > n_ordered else match[:, -1]])
    steps = (match - following) / k * np.minimum(k, places) / places
    values = beyond[:, None] + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    if n == n_ordered:
        return np.bincount(order.ravel(), weights=values.ravel(), minlength=len(given))
    total: Array = np.bincount(order.ravel(), weights=(values - beyond[:, None]).ravel(), minlength=len(given)) + beyond.sum()
    if own is not None:
        total[own] -= beyond
    return total


def nearest_first(near: Array, count: int) -> Array:
    """Returns the positions (b, count) of the largest similarities of (b, N), largest first, equal ones in their order."""
    chosen = np.argpartition(-near, count - 1, axis=1)[:, :count] if count < near.shape[1] else np.arange(count)[None]
    chosen = np.sort(np.broadcast_to(chosen, (len(near), count)), axis=1)
    order = np.argsort(-np.take_along_axis(near, chosen, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(chosen, order, axis=1))


def shapley(evidence: Evidence) -> Diagnosis:
    """Computes KNN-Shapley of the rows for each other and flags rows that harm their neighbours (value below 0)."""
    if skipped := skip_if_missing(NAME, evidence, "embeddings"):
        return skipped
    assert evidence.embeddings is not None
    labelled = evidence.labelled
    if len(labelled) < 2:
        return skip(NAME, "it needs two rows with a label", "embeddings")
    vectors = evidence.embeddings[labelled].astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    given = evidence.given[labelled]
    values = knn_shapley(vectors, given, vectors, given, same=True)
    badness, flagged = scatter_rows(evidence, -values, evidence.may_flag & (values < 0))
    reasons = {int(i): "rows like it have other labels" for i in np.flatnonzero(flagged)}
    rows = f"{int(flagged.sum()):,} of {plural(len(evidence), 'row')}"
    summary = f"{rows} make their neighbours' labels harder to predict (k = {NEIGHBOURS})." if evidence.may_flag else UNINFORMED
    return Diagnosis(NAME, summary, ("embeddings",), scores=ranks(badness), flagged=flagged, reasons=reasons)
