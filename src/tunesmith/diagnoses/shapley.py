"""KNN-Shapley: what each training row is worth to a nearest-neighbour classifier, exactly and without an N x M matrix."""

from __future__ import annotations

import numpy as np

from tunesmith.diagnoses.evidence import Diagnosis, Evidence, lacking, on_all_rows, ranks, skip
from tunesmith.metrics.predictions import Array

NAME = "knn_shapley"
NEIGHBOURS = 10
BLOCK_ELEMENTS = 20_000_000
"""Similarities in memory at once; 80 MB, and as much again for their order."""


def knn_shapley(
    embeddings: Array, given: Array, judged: Array, judged_labels: Array, k: int = NEIGHBOURS, same: bool = False
) -> Array:
    """The Shapley value of each training row (N) for the accuracy of a k-nearest-neighbour vote on the judged rows (M).

    Jia et al. 2019, "Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms", theorem 1. The values add up to
    the accuracy of the soft vote minus that of no data.

    Args:
        embeddings, judged: (N, D) and (M, D) of unit length; neighbours by cosine.
        same: the judged rows are the training rows; none is its own neighbour.
    """
    total = np.zeros(len(given))
    step = max(1, BLOCK_ELEMENTS // max(1, len(given)))
    for start in range(0, len(judged), step):
        near = judged[start : start + step] @ embeddings.T  # (b, N)
        if same:
            near[np.arange(len(near)), np.arange(start, start + len(near))] = -np.inf
        total += block_values(np.argsort(-near, axis=1, kind="stable"), given, judged_labels[start : start + step], k, same)
    return total / max(1, len(judged))


def block_values(order: Array, given: Array, labels: Array, k: int, same: bool) -> Array:
    """The sum over some judged rows of every training row's value (N).

    Args:
        order: training rows from the nearest to the farthest (b, N); with ``same`` the last one is the judged row itself.
    """
    n = order.shape[1] - 1 if same else order.shape[1]
    match = (given[order[:, :n]] == labels[:, None]).astype(np.float64)
    places = np.arange(1, n)
    steps = (match[:, :-1] - match[:, 1:]) / k * np.minimum(k, places) / places
    values = np.empty_like(match)
    # theorem 1 gives 1[match] / N for the farthest; for N < k the vote still divides by k
    values[:, -1] = match[:, -1] / max(n, k)
    values[:, :-1] = values[:, -1:] + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return np.bincount(order[:, :n].ravel(), weights=values.ravel(), minlength=len(given))


def shapley(evidence: Evidence) -> Diagnosis:
    """KNN-Shapley of the rows for each other. Flagged: rows that harm their neighbours (value below 0)."""
    if skipped := lacking(NAME, evidence, "embeddings"):
        return skipped
    assert evidence.embeddings is not None
    labelled = evidence.labelled
    if len(labelled) < 2:
        return skip(NAME, "it needs two rows with a label", "embeddings")
    vectors = evidence.embeddings[labelled].astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    given = evidence.given[labelled]
    found = knn_shapley(vectors, given, vectors, given, same=True)
    badness, flagged = on_all_rows(evidence, -found, found < 0)
    reasons = {int(i): "rows like it have other labels" for i in np.flatnonzero(flagged)}
    summary = f"{int(flagged.sum()):,} of {len(evidence):,} rows make their neighbours' labels harder to tell (k = {NEIGHBOURS})."
    return Diagnosis(NAME, summary, ("embeddings",), ranks(badness), flagged, reasons=reasons)
