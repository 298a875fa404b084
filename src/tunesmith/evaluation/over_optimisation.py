"""Finds where a gold reward turns while the trained reward rises, and fits the laws of over-optimisation to both.

Source of the laws: Gao et al. 2023, "Scaling laws for reward model overoptimization": with d = sqrt(KL), the gold reward of
best-of-n is d (a - b d) above its start, that of reinforcement learning d (a - b log d).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from types import MappingProxyType
from typing import Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.means import mean_metric
from tunesmith.evaluation.metrics.resample import Resampling

Law = Literal["best_of_n", "reinforcement"]
LAWS: Mapping[str, str] = MappingProxyType({"best_of_n": "d (a - b d)", "reinforcement": "d (a - b log d)"})
FALL_ERRORS, FALL_ERRORS_PER_LOG = 1.6, 0.7
"""The mean of two evaluations of gold has to lie below the best such mean by (1.6 + 0.7 log k) standard errors at the k-th
evaluation: the best of many is high by chance. A gold reward that stays as it is then seems to fall in less than 5 of 100 runs of
up to 100 evaluations (``tests/evaluation/test_over_optimisation.py``)."""
N_REPLICATES = 2_000
FEWEST_POINTS, FEWEST_OF_BEST = 4, 3


@dataclass(frozen=True)
class Turn:
    """A gold reward that fell while the trained reward rose.

    Attributes:
        best, seen: positions of the best evaluation, and of the one at which the fall was certain.
        fall: how much gold fell.
    """

    best: int
    seen: int
    fall: float


def find_turn(gold: Sequence[float], errors: Sequence[float], proxy: Sequence[float]) -> Turn | None:
    """Finds the first evaluation at which gold has fallen for certain although the trained reward has risen; None before.

    Args:
        gold, errors: mean gold reward of each evaluation with its standard error.
        proxy: mean trained reward of each.
    """
    smooth = [(gold[i - 1] + gold[i]) / 2 for i in range(1, len(gold))]
    for now in range(1, len(smooth)):
        best = int(np.argmax(smooth[:now]))
        pairs = np.array([errors[best], errors[best + 1], errors[now], errors[now + 1]])
        error = float(np.sqrt((pairs**2).sum() / 4))
        fell = smooth[best] - smooth[now]
        rose = (proxy[now] + proxy[now + 1]) / 2 > (proxy[best] + proxy[best + 1]) / 2
        needed = (FALL_ERRORS + FALL_ERRORS_PER_LOG * log(now + 2)) * error
        if rose and fell > 0 and fell >= needed:
            top = best if gold[best] >= gold[best + 1] else best + 1
            return Turn(top, now + 1, fell)
    return None


@dataclass(frozen=True)
class Fit:
    """A law fitted to gold rewards.

    Attributes:
        a, b: the coefficients, each with the ends of its 95 % interval.
        n_points: evaluations that were fitted.
        peak_kl: the divergence in nats at which the law is highest; None without a maximum.
    """

    law: Law
    a: tuple[float, float, float]
    b: tuple[float, float, float]
    n_points: int
    peak_kl: float | None


def before_half_is_lost(kl: Sequence[float], gold: Sequence[float]) -> list[int]:
    """Returns the positions in rising order of KL up to the turn of gold and on until half of its gain is lost again.

    Further points are far outside of what the laws describe.
    """
    order = [int(i) for i in np.argsort(kl, kind="stable")]
    top = max(range(len(order)), key=lambda place: gold[order[place]])
    floor = (gold[order[0]] + gold[order[top]]) / 2
    lost = next((place for place in range(top, len(order)) if gold[order[place]] < floor), len(order))
    return order[:lost]


def fit_law(law: Law, kl: Sequence[float], gains: Sequence[float], seed: int = 0) -> Fit | None:
    """Fits a law by least squares, with intervals by the studentised bootstrap of its residuals; None for too few points.

    Source of the intervals: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 6.2.

    Args:
        kl: divergence of each point in nats; points at 0 say nothing and are left out.
        gains: gold reward minus that of the start.
    """
    used = np.array(kl) > 0
    d, y = np.sqrt(np.array(kl, dtype=np.float64)[used]), np.array(gains, dtype=np.float64)[used]
    if len(y) < FEWEST_POINTS or len(np.unique(d)) < 3:
        return None
    x = np.stack([d, -d * (d if law == "best_of_n" else np.log(d))], axis=1)
    inverse = np.linalg.inv(x.T @ x)
    estimate, errors = least_squares(x, inverse, y[None])
    leverage = np.einsum("ni,ij,nj->n", x, inverse, x)
    residuals = (y - x @ estimate[0]) / np.sqrt(np.maximum(1 - leverage, 1e-9))
    draw = np.random.default_rng(seed).integers(0, len(y), (N_REPLICATES, len(y)))
    again, their_errors = least_squares(x, inverse, x @ estimate[0] + (residuals - residuals.mean())[draw])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num((again - estimate[0]) / their_errors)
    low, high = (np.quantile(t, share, axis=0) for share in (0.975, 0.025))
    (a, b), ends = estimate[0], (estimate[0] - low * errors[0], estimate[0] - high * errors[0])
    ends_of = [(float(value), float(ends[0][i]), float(ends[1][i])) for i, value in enumerate((a, b))]
    return Fit(law, ends_of[0], ends_of[1], len(y), peak(law, float(a), float(b)))


def fit_law_of_best(kl: Sequence[float], scores: Array, resampling: Resampling) -> Fit | None:
    """Fits the law of best-of-n to the gold rewards of prompts, with intervals over the prompts; None for too few points.

    The coefficients of least squares are linear in the rewards, so that those of all prompts are the means of those of each. The
    points of a prompt are estimated from the same answers: residuals between points would not say how uncertain they are.

    Args:
        kl: (K) divergence of each n in nats, the first of n = 1, which is 0.
        scores: (P, K) expected gold reward of the best of n answers to each prompt.
    """
    if len(kl) - 1 < FEWEST_OF_BEST:
        return None
    d = np.sqrt(np.array(kl[1:], dtype=np.float64))
    of_prompts = (scores[:, 1:] - scores[:, :1]) @ np.linalg.pinv(np.stack([d, -(d**2)], axis=1)).T
    a, b = (mean_metric("gold_reward", "", [of_prompts[:, i]], resampling) for i in range(2))
    if None in (a.value, a.low, a.high, b.value, b.low, b.high):
        return None
    ends = [(float(m.value or 0), float(m.low or 0), float(m.high or 0)) for m in (a, b)]
    return Fit("best_of_n", ends[0], ends[1], len(d), peak("best_of_n", ends[0][0], ends[1][0]))


def least_squares(x: Array, inverse: Array, y: Array) -> tuple[Array, Array]:
    """Returns the coefficients (B, 2) and their standard errors (B, 2) of each of B outcomes (B, n)."""
    coefficients = y @ x @ inverse
    squares = ((y - coefficients @ x.T) ** 2).sum(axis=1) / (y.shape[1] - 2)
    return coefficients, np.sqrt(squares[:, None] * np.diag(inverse)[None])


def peak(law: Law, a: float, b: float) -> float | None:
    """Returns the KL at which a law is highest: d = a / (2 b), or log d = a / b - 1; None without a maximum."""
    if b <= 0 or (law == "best_of_n" and a <= 0):
        return None
    return float((a / (2 * b)) ** 2 if law == "best_of_n" else np.exp(min(2 * (a / b - 1), 700.0)))
