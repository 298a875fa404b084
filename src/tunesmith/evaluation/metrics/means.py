"""Means over rows (of a value a row) and over tokens (of their losses): intervals, and the verdict between two systems.

The procedure of ``verdict`` for a mean: the standard error from a paired bootstrap over rows, and over several seeds; with one
system each also the exact test that exchanges the two systems' values of a row.

Of token losses a row has a sum and a number of tokens. The metric is the ratio of their sums over rows, so that each row is
weighted by its tokens, and rows are resampled with both. The number of rows is then the effective one (Kish 1965), which a few
long rows among short ones reduce.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import exp, log

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.intervals import TOO_FEW_ROWS, Spread, resampling_words, scaled, spread
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
    """Returns the p-value of the mean difference under a random exchange of each row's two values; see ``verdict``."""
    rng, n = np.random.default_rng([seed, 1]), len(differences)
    as_large, size = 0, max(1, BLOCK_ELEMENTS // n)
    for start in range(0, n_swaps, size):
        signs = rng.integers(0, 2, size=(min(size, n_swaps - start), n)) * 2 - 1
        as_large += int(np.count_nonzero(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9))
    return (1 + as_large) / (1 + n_swaps)


TokenSums = tuple[Array, Array]
"""The sum of one system's losses on each row (N) in nats, and the row's counted tokens (N)."""
LOWER_IS_BETTER: Mapping[str, str] = {
    "loss": "nats a token",
    "perplexity": "exp(loss): the number of equally likely tokens with the same loss",
    "bits_per_byte": "bits a byte of text, whatever the tokenizer",
}
"""Token metric -> its unit."""
LARGEST_LOSS = 300.0
"""Nats above which a perplexity stays the same: the square of a larger one overflows a float64."""


def token_mean_metrics(
    systems: Sequence[TokenSums], n_bytes: Array | None, split: str, n_resamples: int = 10_000, seed: int = 0
) -> tuple[Metric, ...]:
    """Computes ``loss`` and ``perplexity``, and with bytes ``bits_per_byte``, each with its 95 % interval.

    Args:
        systems: one a seed, on the same rows. With several the loss is their mean, and the perplexity its exponential.
        n_bytes: (N) bytes of UTF-8 that the counted tokens of each row encode.
    """
    loss = ratio_metric("loss", systems, split, n_resamples, seed)
    low, high = (None if end is None else perplexity_of(end) for end in (loss.low, loss.high))
    perplexity = replace(loss, name="perplexity", value=perplexity_of(loss.value or 0.0), low=low, high=high)
    if n_bytes is None:
        return loss, perplexity
    in_bytes = [in_bits(system, n_bytes) for system in systems]
    return loss, perplexity, ratio_metric("bits_per_byte", in_bytes, split, n_resamples, seed)


def perplexity_of(loss: float) -> float:
    """Returns the exponential of a loss in nats, at most that of ``LARGEST_LOSS``."""
    return exp(min(loss, LARGEST_LOSS))


def token_mean_verdict(
    ours: Sequence[TokenSums],
    other: Sequence[TokenSums],
    against: str,
    split: str,
    metric: str = "loss",
    n_bytes: Array | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Verdict:
    """Compares our loss with the other system's on the same rows, with the interval of the difference; lower is better.

    A difference of perplexities is exp(loss) minus exp(loss); its standard error is that of the tangents at the two losses (the
    delta method). Its uncertainty includes that of both losses, so its word can be more cautious.

    Args:
        ours, other: one a seed, on the same rows in the same order.
        n_bytes: (N) bytes of each row, for ``bits_per_byte``: the only metric of the three that two tokenizers share.
    """
    if metric == "bits_per_byte" and n_bytes is not None:
        ours, other = ([in_bits(system, n_bytes) for system in systems] for systems in (ours, other))
    elif metric not in ("loss", "perplexity"):
        raise ValueError(f"{metric!r} is none of {', '.join(LOWER_IS_BETTER)}, or has no bytes to divide by")
    sums = counted_rows([*ours, *other])
    empty = Verdict(metric, split, against, None, None, None, word="cannot tell")
    return ratio_verdict(empty, sums[: len(ours)], sums[len(ours) :], n_resamples, seed)


def bits_per_byte(nats: float, n_bytes: int) -> float:
    """Bits per byte of text, from the sum of its token losses."""
    return nats / log(2) / n_bytes


def in_bits(system: TokenSums, n_bytes: Array) -> TokenSums:
    """Converts nats and tokens to bits and bytes; a row without counted tokens has no counted bytes."""
    return system[0] / log(2), np.where(system[1] > 0, n_bytes, 0)


def ratio_metric(name: str, systems: Sequence[TokenSums], split: str, n_resamples: int, seed: int) -> Metric:
    """Returns the mean over seeds of sum / count with its interval, computed on the logarithm so that it stays above zero."""
    sums = counted_rows(systems)
    values, n = ratios(sums), len(sums[0][0])
    metric = Metric(name, split, float(np.mean(values)), None, None, n, higher_is_better=False, note=TOO_FEW_ROWS)
    if n < MIN_ROWS:
        return metric
    drawn = ratio_replicates(sums, n_resamples, seed)
    effective = effective_rows(sums[0][1])
    low, high = scaled("positive", float(np.mean(values)), spread([values], [drawn], effective), effective)
    how = f"bootstrap standard error, {resampling_words(len(drawn), len(sums))}"
    return replace(metric, low=low, high=high, interval=how, note="")


def ratio_verdict(empty: Verdict, ours: Sequence[TokenSums], other: Sequence[TokenSums], n_resamples: int, seed: int) -> Verdict:
    """Returns the verdict on sum / count, or on its exponential; lower is better.

    Args:
        empty: names the metric, the split and the other system.
    """
    n, n_ours, values = len(ours[0][0]), len(ours), np.array(ratios([*ours, *other]))
    drawn = ratio_replicates([*ours, *other], n_resamples, seed) if n >= MIN_ROWS else np.zeros((0, len(values)))
    sides = [(values[:n_ours], drawn[:, :n_ours]), (values[n_ours:], drawn[:, n_ours:])]
    if empty.metric == "perplexity":  # on the tangent of exp at the mean loss, so that their mean is exactly its exponential
        for i, (losses, replicates) in enumerate(sides):
            mean, value = losses.mean(), perplexity_of(float(losses.mean()))
            sides[i] = value * (1 + losses - mean), value * (1 + replicates - mean)
    difference = float(sides[0][0].mean() - sides[1][0].mean())
    undecided = replace(empty, difference=difference, n=n)
    if n < MIN_ROWS:
        return replace(undecided, note=TOO_FEW_ROWS)
    error = spread([side[0].tolist() for side in sides], [side[1] for side in sides], effective_rows(ours[0][1]))
    # Both systems counted the same tokens, so exchanging a row's two sums exchanges its part of the difference.
    our_sums, other_sums = ([sums for sums, _ in systems] for systems in (ours, other))
    return decide(undecided, error, our_sums, other_sums, len(drawn), seed, higher_is_better=False)


def counted_rows(systems: Sequence[TokenSums]) -> list[TokenSums]:
    """Selects the rows with counted tokens. Raises ValueError unless all systems count the same tokens of the same rows."""
    counts = systems[0][1]
    for _, others in systems[1:]:
        if len(others) != len(counts):
            raise ValueError(f"the systems have {len(counts)} and {len(others)} rows; they have to be the same rows")
        if not np.array_equal(others, counts):
            raise ValueError("the systems count different tokens, so their losses cannot be compared; bits_per_byte can")
    counted = counts > 0
    if not counted.any():
        raise ValueError("no token is counted")
    return [(sums[counted].astype(np.float64), counts[counted].astype(np.float64)) for sums, counts in systems]


def effective_rows(counts: Values) -> int:
    """Returns the effective number of rows of equal length: (sum of counts)^2 / sum of counts^2 (Kish 1965), at least two."""
    return max(MIN_ROWS, round(float(counts.sum() ** 2 / (counts**2).sum())))


def ratios(systems: Sequence[TokenSums]) -> list[float]:
    """Sum / count of each system."""
    return [float(sums.sum() / counts.sum()) for sums, counts in systems]


def ratio_replicates(systems: Sequence[TokenSums], n_resamples: int, seed: int) -> Values:
    """(B, S) sum / count of each system on the same resampled rows."""
    totals = resampled_sums(np.stack([systems[0][1], *(sums for sums, _ in systems)], axis=1), n_resamples, seed)
    return np.asarray(totals[:, 1:] / totals[:, :1])
