"""Predictions of one system on the rows of one split, in the form every metric reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE

CLUSTERING = "clustering"
"""Problem type with classes in ``labels`` and cluster numbers in ``decisions``."""


@dataclass(frozen=True)
class Predictions:
    """The labels of N rows and one system's predictions for them.

    Attributes:
        labels: (N,) class ids; or (N, K) of 0 and 1 (multi-label); or (N,) floats (regression).
        scores: (N, K) probabilities in [0, 1] (rows sum to 1 unless multi-label); (N,) for a regression.
        decisions: (N,) class ids or (N, K) of 0 and 1, after any threshold; the scores themselves for a regression.
        row_ids: (N,) position of each row in its source; None to compare rows by position.
        positive: the class id that ``f1`` counts as positive; None: ``f1`` is undefined.
    """

    labels: Array
    scores: Array
    decisions: Array
    row_ids: Array | None = None
    positive: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Array) -> Predictions:
        """Returns the rows at those positions, in that order."""
        ids = None if self.row_ids is None else self.row_ids[positions]
        return Predictions(self.labels[positions], self.scores[positions], self.decisions[positions], ids, self.positive)

    def decided(self, problem_type: str, thresholds: Sequence[float] | Array | None) -> Predictions:
        """Returns the same rows and scores with the decisions of those thresholds."""
        return replace(self, decisions=decide(problem_type, self.scores, thresholds))


def decide(problem_type: str, scores: Array, thresholds: Sequence[float] | Array | None = None) -> Array:
    """Decides by the scores: class ids (N,), 0/1 (N, K), or the scores of a regression.

    Args:
        thresholds: the smallest probability that decides for class 1 (one value, two classes), or for each label (K).
            By default the class of the largest probability, and each label from 0.5 on.
    """
    if problem_type == REGRESSION:
        return scores
    if problem_type == MULTI:
        return (scores >= np.asarray(0.5 if thresholds is None else thresholds)).astype(np.int64)
    if thresholds is None:
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)
    if scores.shape[1] != 2 or len(thresholds) != 1:
        raise ValueError(f"one threshold and two classes belong together; got {len(thresholds)} and {scores.shape[1]}")
    return (scores[:, 1] >= thresholds[0]).astype(np.int64)


def from_scores(
    problem_type: str,
    labels: ArrayLike,
    scores: ArrayLike,
    thresholds: Sequence[float] | Array | None = None,
    row_ids: ArrayLike | None = None,
) -> Predictions:
    """Makes predictions from labels and scores, with shapes and values checked.

    Args:
        labels: as in ``Predictions``; a list of ints, of 0/1 tuples or of floats will do.
        scores: probabilities (N, K), or values (N,) for a regression.
    """
    values = np.asarray(scores, dtype=np.float64)
    kind = np.float64 if problem_type == REGRESSION else np.int64
    truth = np.asarray(labels).astype(kind)
    _check(problem_type, truth, values)
    ids = None if row_ids is None else np.asarray(row_ids, dtype=np.int64)
    if ids is not None and len(ids) != len(truth):
        raise ValueError(f"{len(ids)} row ids for {len(truth)} rows")
    return Predictions(truth, values, decide(problem_type, values, thresholds), ids)


def _check(problem_type: str, labels: Array, scores: Array) -> None:
    shapes = {SINGLE: (1, 2), MULTI: (2, 2), REGRESSION: (1, 1)}
    if problem_type not in shapes:
        raise ValueError(f"unknown problem type {problem_type!r}; known: {', '.join(shapes)}")
    if (labels.ndim, scores.ndim) != shapes[problem_type] or len(labels) != len(scores):
        raise ValueError(f"labels of shape {labels.shape} and scores of shape {scores.shape} do not fit {problem_type}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} scores are not finite")
    if problem_type == REGRESSION:
        return
    if scores.size and (scores.min() < 0 or scores.max() > 1 + 1e-6):
        raise ValueError(f"scores run from {scores.min():g} to {scores.max():g}; probabilities in [0, 1] were expected")
    top = 1 if problem_type == MULTI else scores.shape[1] - 1
    if labels.size and (labels.min() < 0 or labels.max() > top):
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}; 0 to {top} was expected")


def infer_problem_type(predictions: Predictions) -> str:
    """Infers the problem type of predictions from their shapes."""
    if predictions.scores.ndim == 1:
        return REGRESSION
    return MULTI if predictions.labels.ndim == 2 else SINGLE


def concatenate(first: Predictions, second: Predictions) -> Predictions:
    """Returns the rows of the first and then those of the second, without row ids."""
    return Predictions(
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.decisions, second.decisions]),
        positive=first.positive,
    )
