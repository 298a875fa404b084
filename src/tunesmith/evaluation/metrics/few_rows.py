"""Estimates the uncertainty that resamples of few rows cannot show: classes with hardly a row, errors that one row dominates.

A class of which no row is right (or every row) has the same F1 in every resample, and five positives have five ranks. Without
these terms the intervals hold in 6 to 80 of 100 (``benchmarks/interval_coverage.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import columns
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import effective_number

Z = 1.96
RARE_ROWS = 10
"""Rows of a class up to which the outcomes that were not drawn are part of a function's interval."""
MIN_ERRORS = 3
"""Effective number of squared errors below which there is no interval; normal errors have a third of the rows."""
NORMAL_KURTOSIS = 3.0
MOST_TAIL = 2.0
"""Rows that were not drawn are taken to have up to this many times the largest squared error, by the kurtosis of the errors."""


@dataclass(frozen=True)
class FewRows:
    """The correction of one metric for few rows.

    Attributes:
        variance: to be added to the variance of the resamples.
        n_units: number of rows that the error is estimated from, if it is smaller than that of all rows.
        reason: why there is no interval; empty if there is one.
    """

    variance: float = 0.0
    n_units: int | None = None
    reason: str = ""


Correction = Callable[[Predictions], FewRows]


def of_mean_f1(predictions: Predictions) -> FewRows:
    """Adds to macro F1 the variance of classes whose F1 is 0 or 1: each may be wrong by ``unseen`` of itself.

    Nothing is added for a system that gives all rows the same probabilities, such as the class shares: it finds no other class
    in any. Of probabilities of 0 and 1 this is not known.
    """
    f1, unseen = class_f1(predictions)
    if predictions.scores.max() < 1 and not np.ptp(predictions.scores, axis=0).any():
        return FewRows()
    hidden = np.where((f1 > 0) & (f1 < 1), 0.0, unseen) / len(f1)
    return FewRows(float(((hidden / Z) ** 2).sum()))


def of_f1(predictions: Predictions) -> FewRows:
    """Adds to the F1 of the positive class the variance that its rows cannot show where it is 0 or 1."""
    scores, unseen = class_f1(predictions)
    positive = predictions.positive
    if positive is None or positive >= len(scores) or 0 < scores[positive] < 1:
        return FewRows()
    return FewRows(float((unseen[positive] / Z) ** 2))


def of_accuracy_f1(predictions: Predictions) -> FewRows:
    """Adds a quarter of the variance of F1, which is half of the mean."""
    return FewRows(of_f1(predictions).variance / 4)


def of_correlation(predictions: Predictions) -> FewRows:
    """Adds to MCC the variance of a class that is never found, or always, for two classes and for several labels.

    MCC is the geometric mean of informedness and markedness: an unseen recall of ``unseen`` is a coefficient of up to its root.
    """
    f1, unseen = class_f1(predictions)
    is_mean = predictions.labels.ndim == 2
    if not is_mean and len(np.unique(predictions.labels)) == 1:
        return FewRows(reason="no interval: all rows have one class, and MCC is 0 by convention")
    if not is_mean and len(f1) > 2:
        return FewRows()
    hidden = np.where(f1 <= 0, unseen**0.5, np.where(f1 >= 1, unseen, 0.0))
    if is_mean:
        return FewRows(float(((hidden / Z / len(f1)) ** 2).sum()))
    return FewRows(float((hidden.max() / Z) ** 2))


def of_ranks(predictions: Predictions) -> FewRows:
    """Counts the rows that the error of a ranking is estimated from: those of the rarer side, or of all classes together.

    The variance of each class's value is about as one through its rows, and known from as many; that of their mean has the
    degrees of freedom of Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components". A class of one
    row shows no variance: its value may be anything from 0 to 1.
    """
    n_positive = np.array([positive.sum() for positive, _ in columns(predictions)], dtype=np.float64)
    rarer = np.minimum(n_positive, len(predictions) - n_positive)
    if len(rarer) == 1:
        return FewRows(n_units=int(rarer[0]))
    counted, n_single = rarer[rarer > 1], int((rarer == 1).sum())
    hidden = n_single * (1 / Z / max(1, len(counted) + n_single)) ** 2
    if not len(counted):
        return FewRows(variance=hidden)
    degrees = (1 / counted).sum() ** 2 / (1 / counted**2 / (counted - 1)).sum()
    return FewRows(variance=hidden, n_units=min(len(predictions), round(float(degrees)) + 1))


def of_rmse(predictions: Predictions) -> FewRows:
    """Widens the interval of the root mean squared error for the errors that were not drawn."""
    few, unseen = unseen_squares(predictions)
    squares = (predictions.scores - predictions.labels) ** 2
    return replace(few, variance=(squares.mean() ** 0.5 * unseen / 2 / Z) ** 2)


def of_r2(predictions: Predictions) -> FewRows:
    """Widens the interval of R2, one minus squared errors over the labels' variance, for the errors that were not drawn."""
    few, unseen = unseen_squares(predictions)
    squares = (predictions.scores - predictions.labels) ** 2
    return replace(few, variance=(squares.mean() / predictions.labels.var() * unseen / Z) ** 2)


def of_pearson(predictions: Predictions) -> FewRows:
    """Widens the interval of a correlation for the errors around the line that were not drawn: 1 - r^2 is their share."""
    slope, offset = np.polyfit(predictions.scores, predictions.labels, 1) if predictions.scores.std() > 0 else (0.0, 0.0)
    few, unseen = unseen_squares(replace(predictions, scores=slope * predictions.scores + offset))
    r = float(np.corrcoef(predictions.scores, predictions.labels)[0, 1])
    return replace(few, variance=((1 - r**2) * unseen / (2 * max(abs(r), 0.5)) / Z) ** 2)


def of_mean_correlation(predictions: Predictions) -> FewRows:
    """Widens the interval of the mean of Pearson and Spearman by a quarter of Pearson's variance, which is half of the mean."""
    few = of_pearson(predictions)
    return replace(few, variance=few.variance / 4)


def unseen_squares(predictions: Predictions) -> tuple[FewRows, float]:
    """Counts the squared errors effectively, and bounds what rows that were not drawn add to their mean, as a share of it."""
    squares = (predictions.scores - predictions.labels) ** 2
    n = len(squares)
    if not squares.any():
        return FewRows(), 0.0
    n_units = effective_number(squares)
    if n_units < min(MIN_ERRORS, n / NORMAL_KURTOSIS):
        share = squares.max() / squares.sum()
        reason = f"no interval: one row has {share:.0%} of the squared error, and other rows could change it as much"
        return FewRows(reason=reason), 0.0
    tail = min(MOST_TAIL, n / n_units / NORMAL_KURTOSIS)
    return FewRows(n_units=n_units), float(tail * Z**2 / (n + Z**2) * squares.max() / squares.mean())


def rare_variants(predictions: Predictions) -> Iterator[tuple[Predictions, float]]:
    """Yields predictions in which the rows of one rare class have the other outcome, for metrics that are unknown functions.

    A class of at most ``RARE_ROWS`` rows that are all right, or all wrong, has the same share of right rows in every resample.
    One that has no row but is predicted is given the rows for which it is. The second value is the share of other rows, of those
    of the class, that may have the other outcome: the upper end of Wilson's interval at 0.
    """
    labels, decisions = predictions.labels, predictions.decisions
    n_classes = predictions.scores.shape[1]
    counts = np.bincount(decisions, minlength=n_classes)
    for k in range(n_classes):
        rows = np.flatnonzero(labels == k)
        n_right = int((decisions[rows] == k).sum())
        if len(rows) > RARE_ROWS or (0 < n_right < len(rows)) or not (len(rows) or counts[k]):
            continue
        unseen = Z**2 / (len(rows) + Z**2)
        if not len(rows):
            yield replace(predictions, labels=np.where(decisions == k, k, labels)), unseen
            continue
        others = np.where(np.arange(n_classes) == k, -1, counts)
        yield with_decision(predictions, rows, int(others.argmax()) if n_right else k), unseen


def with_decision(predictions: Predictions, rows: Array, k: int) -> Predictions:
    """Returns predictions that decide for class ``k`` in these rows, with the probabilities of both classes exchanged."""
    scores, decisions = predictions.scores.copy(), predictions.decisions.copy()
    was = decisions[rows]
    scores[rows, was], scores[rows, k] = predictions.scores[rows, k], predictions.scores[rows, was]
    decisions[rows] = k
    return replace(predictions, scores=scores, decisions=decisions)


def class_f1(predictions: Predictions) -> tuple[Array, Array]:
    """Returns the F1 of each class (K), NaN for one that does not occur, and the share of it that its rows cannot show (K).

    The share is the upper end of Wilson's interval at 0 for the rows of the class: 1 without a row, 0.28 of ten.
    """
    labels, decisions = predictions.labels, predictions.decisions
    if labels.ndim == 1:
        classes = np.arange(predictions.scores.shape[1])
        labels, decisions = labels[:, None] == classes, decisions[:, None] == classes
    n_rows, n_found = labels.sum(axis=0), decisions.sum(axis=0)
    hits = (labels.astype(bool) & decisions.astype(bool)).sum(axis=0)
    either = n_rows + n_found
    f1 = np.where(either > 0, 2 * hits / np.maximum(either, 1), np.nan)
    return f1, Z**2 / (n_rows + Z**2)
