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
from tunesmith.evaluation.metrics.intervals import no_interval, resampling_words, scaled, spread
from tunesmith.evaluation.metrics.resample import (
    BLOCK_ELEMENTS,
    DEFAULT_RESAMPLING,
    Resampling,
    cluster_numbers,
    cluster_sums,
    effective_number,
    resampled_sums,
)
from tunesmith.evaluation.metrics.table import Interval
from tunesmith.evaluation.metrics.verdict import (
    MAX_SWAPS,
    NO_ERROR,
    SAME,
    UNBOUNDED,
    Ends,
    is_without_error,
    smallest_detectable,
    with_interval,
)
from tunesmith.recipe.metric_names import DIRECTIONS, UNBOUNDED_METRICS
from tunesmith.results import Metric, Verdict

MIN_ROWS = 2


def mean_metric(name: str, split: str, values: Sequence[Array], resampling: Resampling = DEFAULT_RESAMPLING) -> Metric:
    """Computes the mean over rows and systems with its 95 % interval: inside [0, 1], unless the metric is an unbounded number.

    Of a share (values of 0 and 1) it is Wilson's, with the standard error of the resamples. Of ``UNBOUNDED_METRICS``, such as
    rewards, it is symmetric, by Student's t.

    Args:
        values: one array a seed, a value for each row (N), in [0, 1] unless the metric is unbounded.
    """
    form: Interval = "unbounded" if name in UNBOUNDED_METRICS else "share"
    metric = ratio_metric(name, split, [(row_values, np.ones(len(row_values))) for row_values in values], form, resampling)
    return replace(metric, higher_is_better=DIRECTIONS.get(name, True))


def mean_verdict(
    metric: str,
    ours: Sequence[Array],
    other: Sequence[Array],
    against: str,
    split: str,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Verdict:
    """Compares our mean with the other system's, with the interval of the difference; the metric's name says which is better.

    Args:
        ours, other: one array a seed, a value for each row (N); the same rows in the same order.
    """
    ends, higher = UNBOUNDED if metric in UNBOUNDED_METRICS else (-1.0, 1.0), DIRECTIONS.get(metric, True)
    if len({len(row_values) for row_values in (*ours, *other)}) != 1:
        raise ValueError("the systems have different numbers of rows")
    sums = [[(row_values.astype(np.float64), np.ones(len(row_values))) for row_values in systems] for systems in (ours, other)]
    empty = Verdict(metric, split, against, None, None, None, word="cannot tell")
    return ratio_verdict(empty, sums[0], sums[1], resampling, higher_is_better=higher, ends=ends)


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
    systems: Sequence[TokenSums], n_bytes: Array | None, split: str, resampling: Resampling = DEFAULT_RESAMPLING
) -> tuple[Metric, ...]:
    """Computes ``loss`` and ``perplexity``, and with bytes ``bits_per_byte``, each with its 95 % interval.

    Args:
        systems: one a seed, on the same rows. With several the loss is their mean, and the perplexity its exponential.
        n_bytes: (N) bytes of UTF-8 that the counted tokens of each row encode.
    """
    loss = ratio_metric("loss", split, systems, "positive", resampling)
    low, high = (None if end is None else perplexity_of(end) for end in (loss.low, loss.high))
    perplexity = replace(loss, name="perplexity", value=perplexity_of(loss.value or 0.0), low=low, high=high)
    if n_bytes is None:
        return loss, perplexity
    in_bytes = [in_bits(system, n_bytes) for system in systems]
    return loss, perplexity, ratio_metric("bits_per_byte", split, in_bytes, "positive", resampling)


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
    resampling: Resampling = DEFAULT_RESAMPLING,
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
    empty = Verdict(metric, split, against, None, None, None, word="cannot tell")
    return ratio_verdict(empty, ours, other, resampling, higher_is_better=False)


def bits_per_byte(nats: float, n_bytes: int) -> float:
    """Bits per byte of text, from the sum of its token losses."""
    return nats / log(2) / n_bytes


def in_bits(system: TokenSums, n_bytes: Array) -> TokenSums:
    """Converts nats and tokens to bits and bytes; a row without counted tokens has no counted bytes."""
    return system[0] / log(2), np.where(system[1] > 0, n_bytes, 0)


def ratio_metric(name: str, split: str, systems: Sequence[TokenSums], form: Interval, resampling: Resampling) -> Metric:
    """Returns the mean over seeds of sum / count, with its interval on the scale of ``form``, see ``intervals.scaled``."""
    sums, resampling = counted_rows(systems, resampling)
    values, n, clusters = ratios(sums), len(sums[0][0]), resampling.clusters
    mean, higher = float(np.mean(values)), form != "positive"
    metric = Metric(
        name,
        split,
        mean,
        None,
        None,
        n,
        higher_is_better=higher,
        note=no_interval(resampling.n_clusters),
        n_clusters=resampling.n_clusters,
    )
    effective = effective_number(cluster_sums(sums[0][1], clusters))
    if effective < MIN_ROWS:
        return metric
    drawn = ratio_replicates(sums, resampling)
    low, high = scaled(form, mean, spread([values], [drawn], effective), effective, resampling.level)
    how = f"bootstrap standard error, {resampling_words(len(drawn), len(sums), clusters is not None)}"
    return replace(metric, low=low, high=high, interval=how, note="", n_candidates=resampling.n_candidates)


def ratio_verdict(
    empty: Verdict,
    ours: Sequence[TokenSums],
    other: Sequence[TokenSums],
    resampling: Resampling,
    *,
    higher_is_better: bool,
    ends: Ends = UNBOUNDED,
) -> Verdict:
    """Returns the verdict on sum / count, or on its exponential.

    Args:
        empty: names the metric, the split and the other system.
        ends: the smallest and the largest difference that there can be.
    """
    sums, resampling = counted_rows([*ours, *other], resampling)
    n, n_ours, values, clusters = len(sums[0][0]), len(ours), np.array(ratios(sums)), resampling.clusters
    effective = effective_number(cluster_sums(sums[0][1], clusters))
    drawn = ratio_replicates(sums, resampling) if effective >= MIN_ROWS else np.zeros((0, len(values)))
    sides = [(values[:n_ours], drawn[:, :n_ours]), (values[n_ours:], drawn[:, n_ours:])]
    if empty.metric == "perplexity":  # on the tangent of exp at the mean loss, so that their mean is exactly its exponential
        for i, (losses, replicates) in enumerate(sides):
            mean, value = losses.mean(), perplexity_of(float(losses.mean()))
            sides[i] = value * (1 + losses - mean), value * (1 + replicates - mean)
    difference = float(sides[0][0].mean() - sides[1][0].mean())
    undecided = replace(empty, difference=difference, n=n, n_clusters=resampling.n_clusters)
    if effective < MIN_ROWS:
        return replace(undecided, note=no_interval(resampling.n_clusters))
    error = spread([side[0].tolist() for side in sides], [side[1] for side in sides], effective)
    if is_without_error(error, difference) and abs(difference) <= NO_ERROR:
        return replace(undecided, note=SAME)
    how, exact_test = f"paired bootstrap standard error, {resampling_words(len(drawn), 1, clusters is not None)}", None
    if len(values) == 2:
        # Both systems counted the same tokens, so exchanging a row's two sums exchanges its part of the difference.
        differences = cluster_sums(sums[0][0] - sums[1][0], clusters)
        exact_test = partial(swap_p_value, differences, min(len(drawn), MAX_SWAPS), resampling.seed)
    else:
        how += f" and of {n_ours} + {len(values) - n_ours} seeds"
    detectable = smallest_detectable(error, resampling.level)
    undecided = replace(undecided, smallest_detectable=detectable, interval=how)
    return with_interval(undecided, error, higher_is_better, exact_test, resampling.n_candidates, ends)


def counted_rows(systems: Sequence[TokenSums], resampling: Resampling) -> tuple[list[TokenSums], Resampling]:
    """Selects the rows with counted tokens, and their clusters.

    Raises ValueError unless all systems count the same tokens of the same rows.
    """
    counts = systems[0][1]
    for _, others in systems[1:]:
        if len(others) != len(counts):
            raise ValueError(f"the systems have {len(counts)} and {len(others)} rows; they have to be the same rows")
        if not np.array_equal(others, counts):
            raise ValueError("the systems count different tokens, so their losses cannot be compared; bits_per_byte can")
    counted = counts > 0
    if not counted.any():
        raise ValueError("no token is counted")
    clusters = cluster_numbers(resampling.clusters, counted)
    return [
        (sums[counted].astype(np.float64), counts[counted].astype(np.float64)) for sums, counts in systems
    ], resampling.of_rows(clusters)


def ratios(systems: Sequence[TokenSums]) -> list[float]:
    """Sum / count of each system."""
    return [float(sums.sum() / counts.sum()) for sums, counts in systems]


def ratio_replicates(systems: Sequence[TokenSums], resampling: Resampling) -> Values:
    """(B, S) sum / count of each system on the same resampled rows."""
    totals = resampled_sums(np.stack([systems[0][1], *(sums for sums, _ in systems)], axis=1), resampling)
    return np.asarray(totals[:, 1:] / totals[:, :1])
