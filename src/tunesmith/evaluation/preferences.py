"""Measures rewards on pairs of a chosen and a rejected answer: accuracy with ties as half, log loss, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.outputs import Outputs

METRICS_OF_PROBABILITIES = ("log_loss", "calibration_error")
REWARD_DIFFERENCE = "reward_difference"
"""The name in ``Outputs.row_values`` of the reward of the chosen answer less that of the rejected one."""
GAP_BINS = 5
"""Groups of pairs, of about the same size, in which the accuracy is reported by the gap of the annotators' scores."""


def pair_accuracy(differences: Array) -> Array:
    """Returns 1 for each pair (N) whose chosen answer has the higher reward, 0.5 for a tie, else 0."""
    return np.where(differences == 0, 0.5, (differences > 0).astype(np.float64))


def bradley_terry_losses(differences: Array, margins: Array | None = None) -> Array:
    """Returns the loss of each pair (N): -log sigmoid(difference - margin) (Bradley, Terry 1952; margin: Touvron et al. 2023)."""
    return np.asarray(np.logaddexp(0.0, -(differences - (0.0 if margins is None else margins))))


def pair_outputs(differences: Array, margins: Array | None = None, row_ids: Sequence[int] | None = None) -> Outputs:
    """Returns the outputs of a system on pairs.

    Args:
        differences: (N) the reward of the chosen answer less that of the rejected one; its sigmoid is the probability that the
            chosen one is better.
    """
    values = np.asarray(differences, dtype=np.float64)
    probability = 1.0 / (1.0 + np.exp(-np.clip(values, -500, 500)))
    scores = np.stack([1.0 - probability, probability], axis=1)
    predictions = from_scores(SINGLE, np.ones(len(values), dtype=np.int64), scores, row_ids=row_ids)
    scores_of_rows, of_rows = {"accuracy": pair_accuracy(values)}, {REWARD_DIFFERENCE: values}
    return Outputs(SINGLE, predictions, bradley_terry_losses(values, margins), scores_of_rows, of_rows)


class GapGroup(TypedDict):
    """The accuracy in pairs whose annotators' scores differ by an amount in a range, as in result.json."""

    lowest: float
    highest: float
    rows: int
    accuracy: float


def accuracy_by_gap(accuracy: Array, gaps: Array) -> list[GapGroup]:
    """Returns the accuracy in groups of pairs of about the same size, from the smallest to the largest gap of scores.

    Pairs of equal gaps are in one group, so that there may be fewer than ``GAP_BINS``.
    """
    edges = np.unique(np.quantile(gaps, np.linspace(0, 1, GAP_BINS + 1)[1:-1]))
    groups = np.searchsorted(edges, gaps, side="left")
    return [
        GapGroup(
            lowest=float(gaps[groups == group].min()),
            highest=float(gaps[groups == group].max()),
            rows=int((groups == group).sum()),
            accuracy=float(accuracy[groups == group].mean()),
        )
        for group in np.unique(groups).tolist()
    ]
