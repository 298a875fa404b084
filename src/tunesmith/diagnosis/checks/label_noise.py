"""Label noise rate and per-row probability of a wrong label: a mixture of a calibrated model and random labels.

An unsure out-of-fold model and a wrong label both make a label improbable. The whole distribution separates the two: let p be
the model's probabilities at temperature T, and let a share e of the labels be drawn from the other classes with equal chance.
Then P(given | text) = (1 - e) p(given) + e (1 - p(given)) / (K - 1). T and e are fitted by maximum likelihood over all rows, and
Bayes' rule gives each row the probability that its label is one of the wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array

MAX_ROWS = 50_000
"""Rows the two parameters are fitted to, drawn at random from larger data."""
SMALLEST_LOG = -30.0
CHI2_95 = 3.841458820694124
"""Half of this quantile is the drop in log-likelihood at the ends of a 95 % interval (Wilks 1938)."""
MAX_RATE = 0.5
TEMPERATURES = np.geomspace(0.5, 2.0, 41)
"""Multiples of the fitted temperature tried for the interval: a sharper model leaves more to noise, a softer one less."""


@dataclass(frozen=True)
class LabelNoise:
    """The fitted mixture.

    Attributes:
        rate: estimated share of wrong labels, in [0, 0.5].
        low, high: its 95 % interval by profile likelihood.
        temperature: the fitted temperature; below 1 the model was underconfident.
        wrong: for each row (N) the probability that its label is wrong, assuming at least half a wrong row in all.
    """

    rate: float
    low: float
    high: float
    temperature: float
    wrong: Array


def label_noise(pred_probs: Array, given: Array) -> LabelNoise:
    """Fits the share of wrong labels and computes each row's probability of a wrong label.

    Args:
        pred_probs: out-of-fold probabilities (N, K), K at least 2.
        given: class ids (N), all labelled.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    logs = np.log(np.clip(pred_probs, np.exp(SMALLEST_LOG), 1)).astype(np.float64)
    n_classes = pred_probs.shape[1]
    rows = np.arange(len(given))
    if len(rows) > MAX_ROWS:
        rows = np.random.default_rng(0).choice(len(given), MAX_ROWS, replace=False)

    def loss(log_temperature: float) -> float:
        own = tempered_probability(logs[rows], given[rows], float(np.exp(log_temperature)))
        return -log_likelihood(best_rate(own, n_classes), own, n_classes)

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-3})
    temperature = float(np.exp(best.x))
    rate = best_rate(tempered_probability(logs[rows], given[rows], temperature), n_classes)
    low, high = rate_interval(rate, logs[rows], given[rows], temperature)
    own = tempered_probability(logs, given, temperature)
    assumed = max(rate, 0.5 / len(given))  # half a row: without wrong labels, the least probable still come first
    at_random = assumed * (1 - own) / (n_classes - 1)
    return LabelNoise(rate, low, high, temperature, at_random / np.maximum((1 - assumed) * own + at_random, 1e-300))


def tempered_probability(logs: Array, given: Array, temperature: float) -> Array:
    """Returns the given label's probability (N) after dividing log-probabilities (N, K) by the temperature."""
    scaled = logs / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    raised = np.exp(scaled)
    return np.asarray(raised[np.arange(len(given)), given] / raised.sum(axis=1))


def log_likelihood(rate: float, own: Array, n_classes: int) -> float:
    """Returns the natural log-likelihood of all rows together."""
    return float(np.log((1 - rate) * own + rate * (1 - own) / (n_classes - 1) + 1e-300).sum())


def best_rate(own: Array, n_classes: int) -> float:
    """Returns the most likely rate at one temperature: the zero of the slope, since the log-likelihood is concave in the rate."""
    other = (1 - own) / (n_classes - 1)
    return falling_zero(lambda rate: float(((other - own) / ((1 - rate) * own + rate * other + 1e-300)).sum()), 0.0, MAX_RATE)


def rate_interval(rate: float, logs: Array, given: Array, temperature: float) -> tuple[float, float]:
    """Returns the rates at which the profile log-likelihood has fallen by half the chi-square quantile."""
    n_classes = logs.shape[1]
    owns = [tempered_probability(logs, given, temperature * factor) for factor in TEMPERATURES.tolist()]

    def profile(rate: float) -> float:
        return max(log_likelihood(rate, own, n_classes) for own in owns)

    level = profile(rate) - CHI2_95 / 2
    low = abs(falling_zero(lambda r: profile(-r) - level, -rate, 0.0))
    high = falling_zero(lambda r: profile(r) - level, rate, MAX_RATE)
    return low, high


def falling_zero(function: Callable[[float], float], low: float, high: float) -> float:
    """Returns the zero of a falling function between two ends; the nearer end if it does not cross zero."""
    from scipy.optimize import brentq

    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    return float(brentq(function, low, high, xtol=1e-9))
