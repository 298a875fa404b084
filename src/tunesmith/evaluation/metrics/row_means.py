"""Means of a value per row (a query, a pair, a triplet): their interval, and the verdict between two systems.

The procedure of ``verdict`` for a statistic that is a mean: the standard error from a paired bootstrap over rows, seeds beside
rows where there are several, and with one system each the exact test that exchanges the two systems' values of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.intervals import LEVEL, Spread, spread
from tunesmith.evaluation.metrics.resample import BLOCK_ELEMENTS, Cells, affordable, weight_blocks
from tunesmith.evaluation.metrics.verdict import MOST_SWAPS, POWER, word_of
from tunesmith.results import Metric, Verdict

FEWEST = 2


def mean_metric(name: str, split: str, values: Sequence[Array], n_resamples: int = 10_000, seed: int = 0) -> Metric:
    """The mean over rows and systems with its 95 % interval, inside [0, 1].

    Args:
        values: of each seed's system, a value in [0, 1] for each row (N).
    """
    n, mean = len(values[0]), float(np.mean([of_rows.mean() for of_rows in values]))
    if n < FEWEST:
        return Metric(name, split, mean, None, None, n, note="too few rows for an interval")
    drawn = replicates(values, n_resamples, seed)
    error = spread([[float(of_rows.mean()) for of_rows in values]], [drawn], n)
    half = error.quantile(0.5 + LEVEL / 2) * error.error
    how = f"bootstrap standard error, {len(drawn)} resamples of rows" + ("" if len(values) == 1 else f" and {len(values)} seeds")
    return Metric(name, split, mean, max(0.0, mean - half), min(1.0, mean + half), n, interval=how)


def mean_verdict(
    metric: str, ours: Sequence[Array], other: Sequence[Array], against: str, split: str, n_resamples: int = 10_000, seed: int = 0
) -> Verdict:
    """Whether our mean is higher than the other system's, with the interval of the difference.

    Args:
        ours, other: of each seed's system, a value for each row (N), higher is better; the same rows in the same order.

    Raises:
        ValueError: the systems answered other numbers of rows.
    """
    if len({len(of_rows) for of_rows in (*ours, *other)}) != 1:
        raise ValueError("the systems answered different numbers of rows")
    n, means = len(ours[0]), [[float(of_rows.mean()) for of_rows in systems] for systems in (ours, other)]
    difference = float(np.mean(means[0]) - np.mean(means[1]))
    undecided = Verdict(metric, split, against, difference, None, None, "cannot tell", n)
    if n < FEWEST:
        return replace(undecided, note="too few rows for an interval")
    drawn = replicates([*ours, *other], n_resamples, seed)
    error = spread(means, [drawn[:, : len(ours)], drawn[:, len(ours) :]], n)
    if error.error == 0 and difference == 0:
        return replace(undecided, note="both give the same result whatever rows are drawn")
    return judged(undecided, error, ours, other, len(drawn), seed)


def judged(
    undecided: Verdict, error: Spread, ours: Sequence[Array], other: Sequence[Array], n_drawn: int, seed: int,
    higher_is_better: bool = True,
) -> Verdict:  # fmt: skip
    """The verdict with its interval and its word."""
    difference = undecided.difference or 0.0
    half = error.quantile(0.5 + LEVEL / 2) * error.error
    low, high, single = difference - half, difference + half, len(ours) == len(other) == 1
    how = f"paired bootstrap standard error, {n_drawn} resamples of rows"
    how += "" if single else f" and of {len(ours)} + {len(other)} seeds"
    if single and (low > 0 or high < 0) and swap_p_value(ours[0] - other[0], min(n_drawn, MOST_SWAPS), seed) > 1 - LEVEL:
        low, high, how = min(low, 0.0), max(high, 0.0), f"{how}; stretched to zero, which the exact test does not reject"
    smallest = (error.quantile(0.5 + LEVEL / 2) + error.quantile(POWER)) * error.error
    return replace(
        undecided, low=low, high=high, word=word_of(low, high, higher_is_better), smallest_detectable=smallest, interval=how
    )


def replicates(values: Sequence[Array], n_resamples: int, seed: int) -> Values:
    """(B, S) the mean of each system on the same resampled rows."""
    n, table = len(values[0]), np.stack(values, axis=1).astype(np.float64)
    rng, rows = np.random.default_rng(seed), Cells((), np.arange(n), np.ones(n))
    drawn = affordable(n, n_resamples, "scores", 1)
    return np.concatenate([weights @ table / n for weights in weight_blocks(rows, drawn, rng)])


def swap_p_value(differences: Array, n_swaps: int, seed: int) -> float:
    """The p-value of the mean difference when each row's two values are exchanged by a fair coin; see ``verdict``."""
    rng, n = np.random.default_rng([seed, 1]), len(differences)
    as_large, size = 0, max(1, BLOCK_ELEMENTS // n)
    for start in range(0, n_swaps, size):
        signs = rng.integers(0, 2, size=(min(size, n_swaps - start), n)) * 2 - 1
        as_large += int(np.count_nonzero(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9))
    return (1 + as_large) / (1 + n_swaps)
