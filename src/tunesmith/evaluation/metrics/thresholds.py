"""Tunes decision thresholds on validation, for two classes or several labels.

The best cut of a small validation set overfits it. Two measures reduce that: the threshold is the median of the best cuts of
50 resamples (bagging, Breiman 1996), and it replaces 0.5 only if its gain is more than one standard error. Results of the
alternatives: ``docs/decisions/intervals.md``, "Thresholds".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.predictions import Predictions, infer_problem_type
from tunesmith.evaluation.metrics.table import TABLE, metric_kind, metric_value
from tunesmith.recipe.metric_names import BINARY_METRICS, metric_title

DEFAULT = 0.5
RESAMPLES = 50
MIN_ROWS_PER_LABEL = 10
"""A label with fewer positive or fewer negative rows keeps 0.5: its best cut would follow single rows."""

Objective = Callable[[Values], Values]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds and their effect on validation.

    Attributes:
        values: the smallest probability that decides for class 1 (one value), or for each label (K).
        before, after: the metric at 0.5 and at ``values``; None if it is undefined. On new rows the gain is smaller.
        note: the choice and its reason, for the user.
    """

    values: tuple[float, ...]
    metric: str
    before: float | None
    after: float | None
    note: str


@dataclass(frozen=True)
class _Sweep:
    """A metric as a function of the threshold.

    Attributes:
        cuts: (J) rising thresholds, one for each division of the rows; 0.5 represents the division it makes.
        objective: weights (B, N) -> the metric at every cut (B, J).
        n: rows.
    """

    cuts: Values
    objective: Objective
    n: int


def tune(predictions: Predictions, metric: str, seed: int = 0) -> Thresholds | None:
    """Tunes the thresholds for this metric on the rows of validation; None if the metric has no threshold.

    Two classes have one threshold. For multi-label, ``macro_f1`` and ``mcc`` are means over labels and each label has
    its own; ``micro_f1`` and ``accuracy`` (all labels right) have one that is shared, since the best threshold of
    micro F1 is the same for all labels (Lipton et al. 2014, theorem 1).

    Args:
        predictions: of the validation rows; their decisions are ignored.
    """
    problem_type = infer_problem_type(predictions)
    if metric not in TABLE[problem_type]:
        return None
    tunable = problem_type == MULTI or (problem_type == SINGLE and predictions.scores.shape[1] == 2)
    if not tunable or not metric_kind(problem_type, metric).of_decisions or len(predictions) < 2:
        return None
    rng = np.random.default_rng(seed)
    if problem_type == SINGLE:
        values = [_bagged_cut(_of_two_classes(predictions, metric), rng)]
    elif metric in ("macro_f1", "mcc"):
        values = []
        for positive, scores in zip(predictions.labels.T == 1, predictions.scores.T, strict=True):
            is_tunable = min(positive.sum(), (~positive).sum()) >= MIN_ROWS_PER_LABEL
            values.append(_bagged_cut(_binary(positive, scores, metric, both_classes=False), rng) if is_tunable else DEFAULT)
    else:
        shared = _pooled(predictions) if metric == "micro_f1" else _exact_match(predictions)
        values = [_bagged_cut(shared, rng)] * predictions.scores.shape[1]
    return _outcome(problem_type, predictions, metric, tuple(values))


def _outcome(problem_type: str, predictions: Predictions, metric: str, values: tuple[float, ...]) -> Thresholds:
    kind = metric_kind(problem_type, metric)
    before = metric_value(kind, predictions.decided(problem_type, [DEFAULT] * len(values)))
    after = metric_value(kind, predictions.decided(problem_type, values))
    moved = sum(value != DEFAULT for value in values)
    what = "threshold" if len(values) == 1 else f"{moved} of {plural(len(values), 'threshold')}"
    if moved:
        note = f"{what} moved from 0.5 for {metric_title(metric)} on {plural(len(predictions), 'validation row')}"
    else:
        rows = plural(len(predictions), "validation row")
        note = f"0.5 kept: no other threshold gains more than one standard error of {metric_title(metric)} on {rows}"
    return Thresholds(values, metric, before, after, note)


def _bagged_cut(sweep: _Sweep, rng: np.random.Generator) -> float:
    """Returns the bagged best cut; 0.5 if its gain is within one standard error."""
    default = int(np.flatnonzero(sweep.cuts == DEFAULT)[0])
    weights = rng.multinomial(sweep.n, np.full(sweep.n, 1 / sweep.n), size=RESAMPLES).astype(np.float64)
    drawn = np.concatenate([sweep.objective(row[None]) for row in weights])
    bagged = np.median([sweep.cuts[_best(row, sweep.cuts)] for row in drawn])
    nearest = int(np.abs(sweep.cuts - bagged).argmin())
    values = sweep.objective(np.ones((1, sweep.n)))[0]
    error = float(np.std(drawn[:, nearest] - drawn[:, default]))
    return float(sweep.cuts[nearest]) if values[nearest] - values[default] > error else DEFAULT


def _best(values: Values, cuts: Values) -> int:
    """Returns the position of the best value; of equal ones the nearest to 0.5."""
    ties = np.flatnonzero(values >= np.nanmax(values) - 1e-12)
    return int(ties[np.abs(cuts[ties] - DEFAULT).argmin()])


def _cuts(points: Values) -> Values:
    """Midpoints of rising distinct points, one below and one above them; 0.5 in place of the one that divides alike."""
    edges = np.concatenate([[0.0], points, [1.0]])
    cuts: Values = (edges[1:] + edges[:-1]) / 2
    cuts[-1] = max(cuts[-1], np.nextafter(points[-1], 2.0))  # a score of 1 is not above the last cut either
    cuts[np.searchsorted(points, DEFAULT, "left")] = DEFAULT
    return cuts


def _binary(positive: Array, scores: Array, metric: str, *, both_classes: bool) -> _Sweep:
    """Returns a metric of one yes-or-no decision a row."""
    points, place = np.unique(scores, return_inverse=True)

    def above_cuts(weights: Values) -> Values:
        rows = _sums_at(weights, place, len(points))
        return np.concatenate([rows[:, ::-1].cumsum(axis=1)[:, ::-1], np.zeros((len(rows), 1))], axis=1)

    def objective(weights: Values) -> Values:
        hits, decided = above_cuts(weights * positive), above_cuts(weights)  # (B, J)
        return _metric_from_counts(metric, hits, decided, hits[:, :1], decided[:, :1], both_classes=both_classes)

    return _Sweep(_cuts(points), objective, len(scores))


def _of_two_classes(predictions: Predictions, metric: str) -> _Sweep:
    """A metric of two classes; the F1 of class 0 is that of class 1 with the rows counted from the other side."""
    of_first = metric in BINARY_METRICS and predictions.positive == 0
    sweep = _binary(predictions.labels == 1, predictions.scores[:, 1], metric, both_classes=metric not in BINARY_METRICS)
    if not of_first:
        return sweep
    positive, scores = predictions.labels == 1, predictions.scores[:, 1]
    accuracy = _binary(positive, scores, "accuracy", both_classes=True).objective
    of_both = _binary(positive, scores, "macro_f1", both_classes=True).objective
    of_class_1 = _binary(positive, scores, "f1", both_classes=False).objective

    def objective(weights: Values) -> Values:
        of_class_0 = 2 * of_both(weights) - of_class_1(weights)
        return of_class_0 if metric == "f1" else (of_class_0 + accuracy(weights)) / 2

    return _Sweep(sweep.cuts, objective, sweep.n)


def _pooled(predictions: Predictions) -> _Sweep:
    """Micro F1 with one threshold for all labels."""
    n, n_labels = predictions.scores.shape
    pooled = _binary(predictions.labels.ravel() == 1, predictions.scores.ravel(), "macro_f1", both_classes=False)
    return _Sweep(pooled.cuts, lambda weights: pooled.objective(np.repeat(weights, n_labels, axis=1)), n)


def _exact_match(predictions: Predictions) -> _Sweep:
    """Share of rows with every label right: for thresholds above the scores of all absent labels, up to those of present ones."""
    present = predictions.labels == 1
    least = np.where(present, predictions.scores, np.inf).min(axis=1)
    most = np.where(present, -np.inf, predictions.scores).max(axis=1)
    is_possible = most < least
    points = np.unique(predictions.scores)
    start = np.searchsorted(points, most, "right")
    stop = np.where(present.any(axis=1), np.searchsorted(points, least, "right"), len(points) + 1)

    def objective(weights: Values) -> Values:
        right = weights * is_possible
        steps = _sums_at(right, start, len(points) + 2) - _sums_at(right, stop, len(points) + 2)
        return np.asarray(np.cumsum(steps, axis=1)[:, : len(points) + 1] / weights.sum(axis=1, keepdims=True))

    return _Sweep(_cuts(points), objective, len(present))


def _sums_at(weights: Values, place: Array, size: int) -> Values:
    """(B, size) the weights summed by position."""
    return np.stack([np.bincount(place, row, minlength=size) for row in weights])


def _metric_from_counts(
    metric: str, hits: Values, decided: Values, actual: Values, total: Values, *, both_classes: bool
) -> Values:
    """Returns a binary metric from its counts; F1 of the positive class, or the mean F1 of both classes."""
    if metric == "accuracy_f1":
        parts = (_metric_from_counts(part, hits, decided, actual, total, both_classes=False) for part in ("accuracy", "f1"))
        return np.asarray(sum(parts) / 2)
    if metric in ("accuracy", "micro_f1"):
        return np.asarray((total - actual - decided + 2 * hits) / total)
    if metric == "mcc":
        below = decided * actual * (total - decided) * (total - actual)
        return np.where(below > 0, (total * hits - decided * actual) / np.sqrt(np.where(below > 0, below, 1.0)), 0.0)
    first = _f1(hits, decided + actual)
    if not both_classes:
        return first
    return (first + _f1(total - actual - decided + hits, 2 * total - decided - actual)) / 2


def _f1(hits: Values, decided_and_actual: Values) -> Values:
    occurs = decided_and_actual > 0
    return np.where(occurs, 2 * hits / np.where(occurs, decided_and_actual, 1.0), 0.0)
