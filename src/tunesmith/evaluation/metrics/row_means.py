"""Means of a value per row (a query, a pair, a triplet): their intervals, and the verdict between two systems.

The procedure of ``verdict`` for a mean: the standard error from a paired bootstrap over rows, and over several seeds; with one
system each also the exact test that exchanges the two systems' values of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.intervals import LEVEL, Spread, spread
from tunesmith.evaluation.metrics.resample import BLOCK_ELEMENTS, Cells, affordable, weight_blocks
from tunesmith.evaluation.metrics.verdict import MAX_SWAPS, POWER, STRETCHED, verdict_word
from tunesmith.results import Metric, Verdict

MIN_ROWS = 2


def mean_metric(name: str, split: str, values: Sequence[Array], n_resamples: int = 10_000, seed: int = 0) -> Metric:
    """Computes the mean over rows and systems with its 95 % interval, inside [0, 1].

    Args:
        values: one array a seed, a value in [0, 1] for each row (N).
    """
    n, means = len(values[0]), [float(row_values.mean()) for row_values in values]
    mean = float(np.mean(means))
    metric = Metric(name, split, mean, None, None, n, note="too few rows for an interval")
    if n < MIN_ROWS:
        return metric
    drawn = replicates(values, n_resamples, seed)
    error = spread([means], [drawn], n)
    half = error.quantile(0.5 + LEVEL / 2) * error.error
    how = f"bootstrap standard error, {len(drawn)} resamples of rows" + ("" if len(values) == 1 else f" and {len(values)} seeds")
    return replace(metric, low=max(0.0, mean - half), high=min(1.0, mean + half), interval=how, note="")


def mean_verdict(
    metric: str,
    ours: Sequence[Array],
    other: Sequence[Array],
    against: str,
    split: str,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Verdict:
    """Compares our mean with the other system's, with the interval of the difference; higher is better.

    Args:
        ours, other: one array a seed, a value for each row (N); the same rows in the same order.

    Raises:
        ValueError: the systems have different numbers of rows.
    """
    if len({len(row_values) for row_values in (*ours, *other)}) != 1:
        raise ValueError("the systems have different numbers of rows")
    n, means = len(ours[0]), [[float(row_values.mean()) for row_values in systems] for systems in (ours, other)]
    difference = float(np.mean(means[0]) - np.mean(means[1]))
    undecided = Verdict(metric, split, against, difference, None, None, word="cannot tell", n=n)
    if n < MIN_ROWS:
        return replace(undecided, note="too few rows for an interval")
    drawn = replicates([*ours, *other], n_resamples, seed)
    error = spread(means, [drawn[:, : len(ours)], drawn[:, len(ours) :]], n)
    if error.error == 0 and difference == 0:
        return replace(undecided, note="both give the same result whatever rows are drawn")
    return decide(undecided, error, ours, other, n_drawn=len(drawn), seed=seed)


def decide(
    undecided: Verdict,
    error: Spread,
    ours: Sequence[Array],
    other: Sequence[Array],
    *,
    n_drawn: int,
    seed: int,
    higher_is_better: bool = True,
) -> Verdict:
    """Completes the verdict with its interval and its word."""
    difference = undecided.difference or 0.0
    half = error.quantile(0.5 + LEVEL / 2) * error.error
    low, high, single = difference - half, difference + half, len(ours) == len(other) == 1
    how = f"paired bootstrap standard error, {n_drawn} resamples of rows"
    how += "" if single else f" and of {len(ours)} + {len(other)} seeds"
    if single and (low > 0 or high < 0) and swap_p_value(ours[0] - other[0], min(n_drawn, MAX_SWAPS), seed) > 1 - LEVEL:
        low, high, how = min(low, 0.0), max(high, 0.0), f"{how}; {STRETCHED}"
    smallest = (error.quantile(0.5 + LEVEL / 2) + error.quantile(POWER)) * error.error
    word = verdict_word(low, high, higher_is_better)
    return replace(undecided, low=low, high=high, word=word, smallest_detectable=smallest, interval=how)


def replicates(values: Sequence[Array], n_resamples: int, seed: int) -> Values:
    """Computes the mean of each system on the same resampled rows (B, S)."""
    n, table = len(values[0]), np.stack(values, axis=1).astype(np.float64)
    rng, rows = np.random.default_rng(seed), Cells((), np.arange(n), np.ones(n))
    drawn = affordable(n, n_resamples, "scores", 1)
    return np.concatenate([weights @ table / n for weights in weight_blocks(rows, drawn, rng)])


def swap_p_value(differences: Array, n_swaps: int, seed: int) -> float:
    """The p-value of the mean difference under a random exchange of each row's two values; see ``verdict``."""
    rng, n = np.random.default_rng([seed, 1]), len(differences)
    as_large, size = 0, max(1, BLOCK_ELEMENTS // n)
    for start in range(0, n_swaps, size):
        signs = rng.integers(0, 2, size=(min(size, n_swaps - start), n)) * 2 - 1
        as_large += int(np.count_nonzero(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9))
    return (1 + as_large) / (1 + n_swaps)
