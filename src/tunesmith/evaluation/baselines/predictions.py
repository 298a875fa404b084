"""The output of every baseline, the label arrays it is fitted to, its thresholds and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, Array, Predictions, from_scores
from tunesmith.evaluation.metrics.table import TABLE
from tunesmith.evaluation.metrics.thresholds import tune
from tunesmith.results import Baseline, Metric


@dataclass(frozen=True)
class BaselinePredictions:
    """A baseline's predictions.

    Attributes:
        name: ``majority``, ``tfidf``, ``frozen`` or ``untuned``.
        predictions: split -> its predictions, rows in the order of the examples.
        seconds: to fit and to predict.
        note: describes the baseline, for the user.
    """

    name: str
    predictions: Mapping[str, Predictions]
    seconds: float
    note: str


def label_array(labels: Labels, examples: Examples) -> Array:
    """Class ids (N,), 0/1 (N, K) or floats (N,).

    Raises:
        ValueError: a row has no label.
    """
    missing = [i for i, label in enumerate(examples.labels) if label is None]
    if missing:
        first = examples.row_ids[missing[0]]
        raise ValueError(f"{len(missing)} rows of {examples.split} have no label, the first is row {first}")
    if labels.problem_type == MULTI:
        return np.asarray(examples.labels, dtype=np.int64).reshape(len(examples), labels.n)
    return np.asarray(examples.labels, dtype=np.float64 if labels.problem_type == REGRESSION else np.int64)


def predictions_by_split(labels: Labels, targets: Sequence[Examples], scores: Sequence[Array]) -> dict[str, Predictions]:
    """Split -> predictions, from one array of scores a split."""
    return {
        examples.split: from_scores(labels.problem_type, label_array(labels, examples), split_scores, row_ids=examples.row_ids)
        for examples, split_scores in zip(targets, scores, strict=True)
    }


def tune_baseline(problem_type: str, baseline: BaselinePredictions, metric: str, seed: int = 0) -> BaselinePredictions:
    """Tunes the thresholds of a baseline on ``validation``, like those of the run, so that neither has an advantage."""
    validation = baseline.predictions.get("validation")
    tuned = None if validation is None else tune(validation, metric, seed)
    if tuned is None:
        return baseline
    decided = {split: predictions.decided(problem_type, tuned.values) for split, predictions in baseline.predictions.items()}
    return replace(baseline, predictions=decided)


def score_baseline(
    problem_type: str, baseline: BaselinePredictions, splits: Sequence[str], n_resamples: int, seed: int = 0
) -> Baseline:
    """Computes every metric of the problem with its interval on those of the splits that the baseline predicted."""
    metrics: list[Metric] = []
    for split in splits:
        if split in baseline.predictions:
            names = list(TABLE[problem_type])
            metrics += metric_intervals(problem_type, baseline.predictions[split], split, names, n_resamples, seed)
    return Baseline(baseline.name, tuple(metrics), baseline.seconds, baseline.note)
