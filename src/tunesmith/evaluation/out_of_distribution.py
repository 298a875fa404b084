"""Scores how unlike the training rows a row is, and how well such scores tell shifted rows from rows like those of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.results import Metric

MAHALANOBIS, ENERGY, SPREAD = "mahalanobis", "energy", "ensemble_spread"


@dataclass(frozen=True)
class Mahalanobis:
    """The distance of hidden states to those of train (Lee et al. 2018, equation 2, with one class).

    Attributes:
        mean: (D).
        precision: (D, D) the inverse of the covariance, shrunk towards a multiple of the identity (Ledoit and Wolf 2004).
    """

    mean: Array
    precision: Array

    @classmethod
    def fit(cls, states: Array) -> Mahalanobis:
        """Fits mean and covariance to the states of train (N, D)."""
        from sklearn.covariance import LedoitWolf

        fitted = LedoitWolf().fit(states.astype(np.float64))
        return cls(fitted.location_, fitted.precision_)

    def scores(self, states: Array) -> Array:
        """Returns the squared distance of each row (M); larger is less like train."""
        centred = states.astype(np.float64) - self.mean
        return np.asarray(np.einsum("nd,de,ne->n", centred, self.precision, centred))


def energy(rewards: Array) -> Array:
    """Returns the energy of each reward (N): -log(1 + exp(reward)) (Liu et al. 2020, equation 4, with the classes good and bad).

    Of one output it orders rows as the reward does: rows of low reward are the unlikely ones.
    """
    return -np.logaddexp(0.0, rewards)


def ensemble_spread(rewards: Array) -> Array:
    """Returns the standard deviation of the rewards of several models (S, N), each centred and scaled over the rows: (N)."""
    scaled = (rewards - rewards.mean(axis=1, keepdims=True)) / np.maximum(rewards.std(axis=1, keepdims=True), 1e-12)
    return np.asarray(scaled.std(axis=0))


def detection(inside: Array, outside: Array, resampling: Resampling, clusters: Array | None = None) -> Metric:
    """Returns the AUROC of a score that should be larger for shifted rows, with its 95 % interval; 0.5 is chance.

    Args:
        inside, outside: the score of rows like those of train (N), and of shifted rows (M).
        clusters: (N + M) of the rows.
    """
    scores = np.concatenate([inside, outside])
    ranks = np.searchsorted(np.sort(scores), scores, side="left") / max(1, len(scores) - 1)  # ties stay ties
    truth = np.repeat([0, 1], [len(inside), len(outside)])
    predictions = from_scores(SINGLE, truth, np.stack([1.0 - ranks, ranks], axis=1))
    of_rows = resampling.of_rows(cluster_numbers(clusters))
    (metric,) = metric_intervals(SINGLE, predictions, "shifted", ["auroc"], of_rows)
    return metric


def detections(
    inside: Mapping[str, Array], outside: Mapping[str, Array], resampling: Resampling, clusters: Array | None = None
) -> list[dict[str, Any]]:
    """Returns the AUROC of each score, as JSON objects.

    Args:
        inside, outside: score -> its values.
    """
    found = {name: detection(inside[name], outside[name], resampling, clusters) for name in inside}
    return [{"score": name, "auroc": m.value, "low": m.low, "high": m.high, "n": m.n} for name, m in found.items()]
