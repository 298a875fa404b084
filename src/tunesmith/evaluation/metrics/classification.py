"""Classification metrics as functions of row weights.

``metric(predictions)`` returns a function that maps weights (B, N) to values (B,). A row of ones gives the metric
itself; a row of resampled counts gives it on that resample. So the reported value and the replicates behind its interval
come from the same lines. NaN means undefined on these rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.predictions import Predictions

Values = NDArray[np.float64]
Statistic = Callable[[Values], Values]

CALIBRATION_BINS = 15


def accuracy(predictions: Predictions) -> Statistic:
    """Share of correct rows; for multi-label the share of rows with every label right (subset accuracy)."""
    right = predictions.labels == predictions.decisions
    right = right.all(axis=1) if right.ndim == 2 else right
    return lambda weights: weights @ right.astype(np.float64) / weights.sum(axis=1)


def macro_f1(predictions: Predictions) -> Statistic:
    """Mean F1 over the classes that occur as a label or as a decision."""
    sums = _class_sums(predictions)

    def statistic(weights: Values) -> Values:
        hits, actual, predicted = sums(weights)
        return _mean_where(_ratio(2 * hits, actual + predicted), actual + predicted > 0)

    return statistic


def f1(predictions: Predictions) -> Statistic:
    """F1 of the positive class, in [0, 1]; NaN without one, or if it is no row's label and no decision."""
    if predictions.positive is None:
        return lambda weights: np.full(len(weights), np.nan)
    actual, predicted = predictions.labels == predictions.positive, predictions.decisions == predictions.positive
    sums = np.stack([actual & predicted, actual, predicted], axis=1).astype(np.float64)

    def statistic(weights: Values) -> Values:
        hits, n_actual, n_predicted = (weights @ sums).T
        return _ratio(2 * hits, n_actual + n_predicted)

    return statistic


def accuracy_f1(predictions: Predictions) -> Statistic:
    """Mean of accuracy and F1 of the positive class: GLUE's score of MRPC and QQP (Wang et al. 2018, section 3.2)."""
    of_rows, of_class = accuracy(predictions), f1(predictions)
    return lambda weights: (of_rows(weights) + of_class(weights)) / 2


def micro_f1(predictions: Predictions) -> Statistic:
    """F1 of all decisions pooled; for a single label it equals accuracy. NaN without any positive."""
    sums = _class_sums(predictions)

    def statistic(weights: Values) -> Values:
        hits, actual, predicted = sums(weights)
        return _ratio(2 * hits.sum(axis=1), (actual + predicted).sum(axis=1))

    return statistic


def mcc(predictions: Predictions) -> Statistic:
    """Matthews correlation in [-1, 1]; 0 for 0/0 (all labels or all decisions in one class).

    For K classes Gorodkin's R_K (2004, "Comparing two K-category assignments by a K-category correlation coefficient",
    eq. 8); for multi-label the mean of the labels' own coefficients over the labels that occur.
    """
    sums = _class_sums(predictions)
    multi = predictions.labels.ndim == 2

    def statistic(weights: Values) -> Values:
        hits, actual, predicted = sums(weights)
        total = weights.sum(axis=1, keepdims=multi)
        if multi:
            above = total * hits - actual * predicted
            below = actual * (total - actual) * predicted * (total - predicted)
            return _mean_where(_correlation(above, below), actual + predicted > 0)
        above = total * hits.sum(axis=1) - (actual * predicted).sum(axis=1)
        below = (total**2 - (actual**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
        return _correlation(above, below)

    return statistic


def auroc(predictions: Predictions) -> Statistic:
    """Area under the ROC curve: of class 1 for two classes, else the mean one-vs-rest (multi-label: over labels).

    Classes without a positive or without a negative row are left out of the mean; NaN if none is left.
    """
    return _over_classes(predictions, _binary_auroc)


def column_auroc(positive: Array, scores: Array) -> float:
    """Area under the ROC curve of one column: the chance that a positive row scores higher than another, ties counted half.

    Args:
        positive: (N,) bool.
        scores: (N,) any numbers.

    Returns:
        In [0, 1]; NaN without a positive or without a negative row.
    """
    return float(_binary_auroc(positive, scores)(np.ones((1, len(scores))))[0])


def average_precision(predictions: Predictions) -> Statistic:
    """Average precision (sum of precision times recall step), averaged over classes like ``auroc``."""
    return _over_classes(predictions, _binary_average_precision)


def log_loss(predictions: Predictions) -> Statistic:
    """Mean of -ln p(label) in nats; for multi-label the mean binary loss over rows and labels."""
    tiny = np.finfo(np.float64).eps
    scores = np.clip(predictions.scores, tiny, 1 - tiny)
    if predictions.labels.ndim == 2:
        losses = -np.where(predictions.labels == 1, np.log(scores), np.log1p(-scores)).mean(axis=1)
    else:
        losses = -np.log(scores[np.arange(len(scores)), predictions.labels])
    return lambda weights: weights @ losses / weights.sum(axis=1)


def v_information(predictions: Predictions) -> Statistic:
    """V-information H(Y) - H(Y | X) in bits: the entropy of the class frequencies of these rows minus the log loss.

    The null model is the best constant, the class frequencies of the rows themselves (Ethayarajh et al. 2022; Xu et al. 2020), so
    that the difference of two systems on the same rows does not depend on it. For multi-label the mean over the labels.
    """
    labels = predictions.labels
    present = np.eye(predictions.scores.shape[1])[labels] if labels.ndim == 1 else np.stack([labels, 1 - labels], axis=2)
    losses, flat = log_loss(predictions), present.reshape(len(labels), -1).astype(np.float64)
    n_labels = 1 if labels.ndim == 1 else labels.shape[1]

    def statistic(weights: Values) -> Values:
        shares = weights @ flat / weights.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(shares > 0, shares * np.log(shares), 0.0).sum(axis=1) / n_labels
        return np.asarray((entropy - losses(weights)) / np.log(2))

    return statistic


def calibration_error(predictions: Predictions) -> Statistic:
    """Expected calibration error in [0, 1]: mean over rows of |accuracy - confidence| of the row's bin.

    15 bins of equal width on the probability of the likeliest class (Naeini et al. 2015; Guo et al. 2017, eq. 3).
    For multi-label every label of every row is a binary prediction of its own.
    """
    scores, labels = predictions.scores, predictions.labels
    if labels.ndim == 2:
        confidence = np.maximum(scores, 1 - scores)
        right = (scores > 0.5) == (labels == 1)
    else:
        confidence = scores.max(axis=1, keepdims=True)
        right = (scores.argmax(axis=1) == labels)[:, None]
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.zeros((len(labels), CALIBRATION_BINS))
    for column in range(bins.shape[1]):
        np.add.at(gaps, (np.arange(len(labels)), bins[:, column]), right[:, column] - confidence[:, column])
    return lambda weights: np.abs(weights @ gaps).sum(axis=1) / (weights.sum(axis=1) * bins.shape[1])


def columns(predictions: Predictions) -> list[tuple[Array, Array]]:
    """For each class that is scored against the rest: positive rows (N,) bool and scores (N,)."""
    scores, labels = predictions.scores, predictions.labels
    if labels.ndim == 2:
        return [(labels[:, k] == 1, scores[:, k]) for k in range(scores.shape[1])]
    if scores.shape[1] == 2:
        return [(labels == 1, scores[:, 1])]
    return [(labels == k, scores[:, k]) for k in range(scores.shape[1])]


def _class_sums(predictions: Predictions) -> Callable[[Values], tuple[Values, Values, Values]]:
    """Weights (B, N) -> weighted hits, labels and decisions of each class, (B, K) each."""
    labels, decisions = predictions.labels, predictions.decisions
    if labels.ndim == 1:
        classes = np.arange(predictions.scores.shape[1])
        labels, decisions = labels[:, None] == classes, decisions[:, None] == classes
    actual, predicted = labels.astype(np.float64), decisions.astype(np.float64)
    hits = actual * predicted
    return lambda weights: (weights @ hits, weights @ actual, weights @ predicted)


def _over_classes(predictions: Predictions, binary_metric: Callable[[Array, Array], Statistic]) -> Statistic:
    """Returns the mean of a binary ranking metric over the classes for which it is defined."""
    parts = [binary_metric(positive, scores) for positive, scores in columns(predictions) if 0 < positive.sum() < len(positive)]

    def statistic(weights: Values) -> Values:
        if not parts:
            return np.full(len(weights), np.nan)
        values = np.stack([part(weights) for part in parts], axis=1)
        return _mean_where(np.nan_to_num(values), ~np.isnan(values))

    return statistic


def _binary_auroc(positive: Array, scores: Array) -> Statistic:
    """Mann-Whitney: sums the weight below each positive row, ties by half, minus the pairs of positives, P^2 / 2."""
    order, starts, ends = _ties(scores, positive)
    rows = np.flatnonzero(positive)

    def statistic(weights: Values) -> Values:
        below = _running(weights, order)
        own = weights[:, rows]
        n_positive = own.sum(axis=1)
        won = np.einsum("ij,ij->i", own, below[:, starts] + below[:, ends]) / 2 - n_positive**2 / 2
        return _ratio(won, n_positive * (below[:, -1] - n_positive))

    return statistic


def _binary_average_precision(positive: Array, scores: Array) -> Statistic:
    order, _, ends = _ties(-scores, positive)
    rows = np.flatnonzero(positive)
    own_order, _, own_ends = _ties(-scores[rows], np.ones(len(rows), dtype=bool))

    def statistic(weights: Values) -> Values:
        seen = _running(weights, order)
        own = weights[:, rows]
        n_positive = own.sum(axis=1)
        precision = _ratio(_running(own, own_order)[:, own_ends], seen[:, ends], empty=0.0)
        value = _ratio(np.einsum("ij,ij->i", own, precision), n_positive)
        return np.asarray(np.where(n_positive == seen[:, -1], np.nan, value))

    return statistic


def _ties(scores: Array, positive: Array) -> tuple[Array, Array, Array]:
    """Returns the order that sorts the scores, and for each positive row where its group of equal scores starts and ends."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    return order, np.searchsorted(ranked, scores[positive], "left"), np.searchsorted(ranked, scores[positive], "right")


def _running(weights: Values, order: Array) -> Values:
    """(B, N + 1) the weight of the first 0, 1, ..., N rows in that order."""
    sums = np.zeros((len(weights), len(order) + 1))
    np.cumsum(weights[:, order], axis=1, out=sums[:, 1:])
    return sums


def _ratio(above: Values, below: Values, empty: float = np.nan) -> Values:
    """above / below; ``empty`` unless below is positive."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), empty), where=below > 0))


def _correlation(above: Values, below: Values) -> Values:
    """above / sqrt(below), with 0/0 = 0. ``below`` is a product of counts, so below 0.5 it is zero up to rounding."""
    tiny = 1e-9
    return np.where(below > tiny, above / np.sqrt(np.where(below > tiny, below, 1.0)), 0.0)


def _mean_where(values: Values, mask: NDArray[np.bool_]) -> Values:
    """Mean along the second axis over the masked entries; NaN if there are none."""
    return _ratio(np.where(mask, values, 0.0).sum(axis=1), mask.sum(axis=1).astype(np.float64))
