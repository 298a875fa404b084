"""Means of a value per row (a query, a pair, a triplet): their intervals, and the verdict between two systems.

The procedure of ``verdict`` for a mean: the standard error from a paired bootstrap over rows, and over several seeds; with one
system each also the exact test that exchanges the two systems' values of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.intervals import TOO_FEW_ROWS, Spread, resampling_words, spread
from tunesmith.evaluation.metrics.resample import BLOCK_ELEMENTS, resampled_sums
from tunesmith.evaluation.metrics.verdict import MAX_SWAPS, SAME, smallest_detectable, with_interval
from tunesmith.results import Metric, Verdict

MIN_ROWS = 2


def mean_metric(name: str, split: str, values: Sequence[Array], n_resamples: int = 10_000, seed: int = 0) -> Metric:
    """Computes the mean over rows and systems with its 95 % interval, inside [0, 1].

    Args:
        values: one array a seed, a value in [0, 1] for each row (N).
    """
    n, means = len(values[0]), [float(row_values.mean()) for row_values in values]
    mean = float(np.mean(means))
    metric = Metric(name, split, mean, None, None, n, note=TOO_FEW_ROWS)
    if n < MIN_ROWS:
        return metric
    drawn = resampled_sums(np.stack(values, axis=1).astype(np.float64), n_resamples, seed) / n
    half = spread([means], [drawn], n).margin
    how = f"bootstrap standard error, {resampling_words(len(drawn), len(values))}"
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
        return replace(undecided, note=TOO_FEW_ROWS)
    drawn = resampled_sums(np.stack([*ours, *other], axis=1).astype(np.float64), n_resamples, seed) / n
    error = spread(means, [drawn[:, : len(ours)], drawn[:, len(ours) :]], n)
    return decide(undecided, error, ours, other, len(drawn), seed, higher_is_better=True)


def decide(
    undecided: Verdict,
    error: Spread,
    ours: Sequence[Array],
    other: Sequence[Array],
    n_drawn: int,
    seed: int,
    higher_is_better: bool,
) -> Verdict:
    """Completes the verdict with its interval, its word and the smallest detectable difference."""
    if error.error == 0 and undecided.difference == 0:
        return replace(undecided, note=SAME)
    how, exact_test = f"paired bootstrap standard error, {n_drawn} resamples of rows", None
    if len(ours) == len(other) == 1:
        exact_test = partial(swap_p_value, ours[0] - other[0], min(n_drawn, MAX_SWAPS), seed)
    else:
        how += f" and of {len(ours)} + {len(other)} seeds"
    undecided = replace(undecided, smallest_detectable=smallest_detectable(error))
    return with_interval(undecided, error, how, higher_is_better, exact_test)


def swap_p_value(differences: Array, n_swaps: int, seed: int) -> float:
    """The p-value of the mean difference under a random exchange of each row's two values; see ``verdict``."""
    rng, n = np.random.default_rng([seed, 1]), len(differences)
    as_large, size = 0, max(1, BLOCK_ELEMENTS // n)
    for start in range(0, n_swaps, size):
        signs = rng.integers(0, 2, size=(min(size, n_swaps - start), n)) * 2 - 1
        as_large += int(np.count_nonzero(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9))
    return (1 + as_large) / (1 + n_swaps)
