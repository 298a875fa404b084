"""From a baseline's answers to what a run's result holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunesmith.evaluation.baselines.answers import Answers
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.table import TABLE
from tunesmith.evaluation.metrics.thresholds import tune
from tunesmith.results import Baseline, Metric


def with_thresholds(problem_type: str, answers: Answers, metric: str, seed: int = 0) -> Answers:
    """The answers decided anew with thresholds tuned on ``validation``, as the run's own are, so that none has an advantage."""
    validation = answers.predictions.get("validation")
    tuned = None if validation is None else tune(validation, metric, seed)
    if tuned is None:
        return answers
    decided = {split: given.decided(problem_type, tuned.values) for split, given in answers.predictions.items()}
    return replace(answers, predictions=decided)


def measured(problem_type: str, answers: Answers, splits: Sequence[str], n_resamples: int, seed: int = 0) -> Baseline:
    """Every metric of the problem on those splits, with its interval.

    Args:
        splits: those that the answers do not have are left out.
    """
    metrics: list[Metric] = []
    for split in splits:
        if split in answers.predictions:
            metrics += metric_intervals(
                problem_type, answers.predictions[split], split, list(TABLE[problem_type]), n_resamples, seed
            )
    return Baseline(answers.name, tuple(metrics), answers.seconds, answers.note)
