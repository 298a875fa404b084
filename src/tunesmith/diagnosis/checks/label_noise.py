"""How many labels are wrong, and how probably each: a mixture of a calibrated model and labels drawn at random.

A held-out model that is unsure, and a label that is wrong, both make a label improbable. What tells them apart is the whole
distribution: let p be the model's probabilities at temperature T, and let a share e of the labels be drawn from the other classes
with equal chance. Then P(given | text) = (1 - e) p(given) + e (1 - p(given)) / (K - 1). T and e are chosen by maximum likelihood
over all rows, and Bayes' rule gives each row the probability that its label is one of the wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array

MOST_ROWS = 50_000
"""Rows the two numbers are fitted to, drawn at random beyond."""
SMALLEST_LOG = -30.0
CHI2_95 = 3.841458820694124
"""Half of its quantile is the drop in log-likelihood at the ends of a 95 % interval (Wilks 1938)."""
LARGEST_RATE = 0.5
TEMPERATURES = np.geomspace(0.5, 2.0, 41)
"""Tried beside the fitted one for the interval, as its multiples: a sharper model leaves more to noise, a softer one less."""


@dataclass(frozen=True)
class LabelNoise:
    """What was fitted.

    Attributes:
        rate: estimated share of wrong labels, in [0, 0.5].
        low, high: its 95 % interval by profile likelihood.
        temperature: that makes the model's probabilities fit; below 1 it was too unsure.
        wrong: for each row (N) the probability that its label is wrong; with half a wrong row where the rate is less.
    """

    rate: float
    low: float
    high: float
    temperature: float
    wrong: Array


def label_noise(pred_probs: Array, given: Array, seed: int = 0) -> LabelNoise:
    """The share of wrong labels and each row's probability to be one of them.

    Args:
        pred_probs: held-out probabilities (N, K), K at least 2.
        given: class ids (N), all labelled.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    logs = np.log(np.clip(pred_probs, np.exp(SMALLEST_LOG), 1)).astype(np.float64)
    n_classes = pred_probs.shape[1]
    rows = np.arange(len(given))
    if len(rows) > MOST_ROWS:
        rows = np.random.default_rng(seed).choice(len(given), MOST_ROWS, replace=False)

    def loss(log_temperature: float) -> float:
        own = own_chance(logs[rows], given[rows], float(np.exp(log_temperature)))
        return -log_likelihood(best_rate(own, n_classes), own, n_classes)

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-3})
    temperature = float(np.exp(best.x))
    fitted = own_chance(logs[rows], given[rows], temperature)
    rate = best_rate(fitted, n_classes)
    low, high = rate_interval(rate, logs[rows], given[rows], temperature)
    own = own_chance(logs, given, temperature)
    assumed = max(rate, 0.5 / len(given))  # half a row: where no label seems wrong, the least probable still come first
    by_chance = assumed * (1 - own) / (n_classes - 1)
    return LabelNoise(rate, low, high, temperature, by_chance / np.maximum((1 - assumed) * own + by_chance, 1e-300))


def own_chance(logs: Array, given: Array, temperature: float) -> Array:
    """The given label's probability (N) after dividing log-probabilities (N, K) by the temperature."""
    scaled = logs / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    raised = np.exp(scaled)
    return np.asarray(raised[np.arange(len(given)), given] / raised.sum(axis=1))


def log_likelihood(rate: float, own: Array, n_classes: int) -> float:
    """Of all rows together, natural logarithm."""
    return float(np.log((1 - rate) * own + rate * (1 - own) / (n_classes - 1) + 1e-300).sum())


def best_rate(own: Array, n_classes: int) -> float:
    """The most likely rate at one temperature: the log-likelihood is concave in it, so its slope is searched for its zero."""
    other = (1 - own) / (n_classes - 1)

    def slope(rate: float) -> float:
        return float(((other - own) / ((1 - rate) * own + rate * other + 1e-300)).sum())

    return falling_zero(slope, 0.0, LARGEST_RATE)


def rate_interval(rate: float, logs: Array, given: Array, temperature: float) -> tuple[float, float]:
    """Where the log-likelihood, at the best temperature for each rate, has fallen by half the quantile of chi-square."""
    n_classes = logs.shape[1]
    owns = [own_chance(logs, given, temperature * factor) for factor in TEMPERATURES.tolist()]

    def profile(rate: float) -> float:
        return max(log_likelihood(rate, own, n_classes) for own in owns)

    level = profile(rate) - CHI2_95 / 2
    low = abs(falling_zero(lambda r: profile(-r) - level, -rate, 0.0))
    high = falling_zero(lambda r: profile(r) - level, rate, LARGEST_RATE)
    return low, high


def falling_zero(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero between two ends; the end itself where it does not."""
    from scipy.optimize import brentq

    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    return float(brentq(function, low, high, xtol=1e-9))
