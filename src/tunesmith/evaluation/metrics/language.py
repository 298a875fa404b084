"""Losses of language models as means over tokens: their interval, and the verdict between two systems.

A row has a sum of losses and a number of tokens. The metric is a ratio, sum over rows of the one by sum over rows of the other,
so that long rows weigh as their tokens do, and what is resampled is the row with both. The procedure is that of ``row_means``,
with the effective number of rows (Kish 1965) in place of their number: a few long rows among short ones are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, log
from types import MappingProxyType

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.intervals import scaled, spread
from tunesmith.evaluation.metrics.resample import Cells, affordable, weight_blocks
from tunesmith.evaluation.metrics.row_means import FEWEST, judged
from tunesmith.results import Metric, Verdict

TokenSums = tuple[Array, Array]
"""Of one system: the sum of the losses of each row (N) in nats, and its counted tokens (N)."""
LOWER_IS_BETTER: Mapping[str, str] = MappingProxyType(
    {
        "loss": "nats a token",
        "perplexity": "exp(loss): as many equally likely tokens would be as hard to guess",
        "bits_per_byte": "bits a byte of text, whatever the tokenizer",
    }
)
"""The metrics of tokens and what they count."""


def token_mean_metrics(
    systems: Sequence[TokenSums], n_bytes: Array | None, split: str, n_resamples: int = 10_000, seed: int = 0
) -> tuple[Metric, ...]:
    """``loss`` and ``perplexity``, and with bytes ``bits_per_byte``, each with its 95 % interval.

    Args:
        systems: of each seed's system, on the same rows. With several the loss is their mean, and the perplexity its exponential.
        n_bytes: (N) bytes of UTF-8 that the counted tokens of each row stand for.

    Raises:
        ValueError: no token is counted.
    """
    loss = ratio_metric("loss", systems, split, n_resamples, seed)
    perplexity = replace(
        loss, name="perplexity", value=exp(loss.value or 0.0),
        low=None if loss.low is None else exp(loss.low), high=None if loss.high is None else exp(loss.high),
    )  # fmt: skip
    if n_bytes is None:
        return loss, perplexity
    of_bytes = [in_bits(system, n_bytes) for system in systems]
    return loss, perplexity, ratio_metric("bits_per_byte", of_bytes, split, n_resamples, seed)


def token_mean_verdict(
    ours: Sequence[TokenSums], other: Sequence[TokenSums], against: str, split: str, metric: str = "loss",
    n_bytes: Array | None = None, n_resamples: int = 10_000, seed: int = 0,
) -> Verdict:  # fmt: skip
    """Whether our loss is lower than the other system's on the same rows, with the interval of the difference.

    A difference of perplexities is exp(loss) minus exp(loss); its standard error is that of the tangents at the two losses (the
    delta method). It is uncertain by the height of both, too, so its word can be the more careful one.

    Args:
        ours, other: of each seed's system, the same rows in the same order.
        n_bytes: (N) bytes of each row, for ``bits_per_byte``: the only metric of the three that two tokenizers share.

    Raises:
        ValueError: the systems answered other rows, or counted other tokens; no token is counted; the metric is unknown.
    """
    if metric == "bits_per_byte" and n_bytes is not None:
        ours, other = ([in_bits(system, n_bytes) for system in systems] for systems in (ours, other))
    elif metric not in ("loss", "perplexity"):
        raise ValueError(f"{metric!r} is none of {', '.join(LOWER_IS_BETTER)}, or has no bytes to divide by")
    kept = counted_rows([*ours, *other])
    return ratio_verdict(metric, kept[: len(ours)], kept[len(ours) :], against, split, n_resamples, seed)


def bits_per_byte(nats: float, n_bytes: int) -> float:
    """The bits that a byte of text costs, from the sum of the losses of its tokens."""
    return nats / log(2) / n_bytes


def in_bits(system: TokenSums, n_bytes: Array) -> TokenSums:
    """Nats and tokens as bits and bytes; a row without counted tokens has no bytes that count."""
    return system[0] / log(2), np.where(system[1] > 0, n_bytes, 0)


def ratio_metric(name: str, systems: Sequence[TokenSums], split: str, n_resamples: int, seed: int) -> Metric:
    """The mean over seeds of sum / count with its interval, made on the logarithm so that it stays above zero."""
    kept = counted_rows(systems)
    values, n = ratios(kept), len(kept[0][0])
    value = float(np.mean(values))
    if n < FEWEST:
        return Metric(name, split, value, None, None, n, False, note="too few rows for an interval")
    drawn = ratio_replicates(kept, n_resamples, seed)
    effective = effective_rows(kept[0][1])
    low, high = scaled("positive", value, spread([values], [drawn], effective), effective)
    how = f"bootstrap standard error, {len(drawn)} resamples of rows" + ("" if len(kept) == 1 else f" and {len(kept)} seeds")
    return Metric(name, split, value, low, high, n, False, interval=how)


def ratio_verdict(
    metric: str, ours: Sequence[TokenSums], other: Sequence[TokenSums], against: str, split: str, n_resamples: int, seed: int
) -> Verdict:
    """The verdict on sum / count, or on its exponential; lower is better."""
    n, n_ours, values = len(ours[0][0]), len(ours), np.array(ratios([*ours, *other]))
    drawn = ratio_replicates([*ours, *other], n_resamples, seed) if n >= FEWEST else np.zeros((0, len(values)))
    sides = [(values[:n_ours], drawn[:, :n_ours]), (values[n_ours:], drawn[:, n_ours:])]
    if metric == "perplexity":
        sides = [exponential(*side) for side in sides]
    difference = float(sides[0][0].mean() - sides[1][0].mean())
    undecided = Verdict(metric, split, against, difference, None, None, "cannot tell", n)
    if n < FEWEST:
        return replace(undecided, note="too few rows for an interval")
    error = spread([side[0].tolist() for side in sides], [side[1] for side in sides], effective_rows(ours[0][1]))
    if error.error == 0 and difference == 0:
        return replace(undecided, note="both give the same result whatever rows are drawn")
    # Both systems counted the same tokens, so exchanging a row's two sums exchanges its part of the difference.
    sums = [[system[0] for system in systems] for systems in (ours, other)]
    return judged(undecided, error, sums[0], sums[1], len(drawn), seed, higher_is_better=False)


def exponential(losses: Values, replicates: Values) -> tuple[Values, Values]:
    """Losses and their replicates on the tangent of exp at the mean loss: their mean is exactly its exponential."""
    mean = losses.mean()
    return exp(mean) * (1 + losses - mean), exp(mean) * (1 + replicates - mean)


def counted_rows(systems: Sequence[TokenSums]) -> list[TokenSums]:
    """The rows of which something is counted. Raises ValueError unless all systems count the same of the same rows."""
    counts = systems[0][1]
    for _, others in systems[1:]:
        if len(others) != len(counts):
            raise ValueError(f"the systems answered {len(counts)} and {len(others)} rows; they have to be the same rows")
        if not np.array_equal(others, counts):
            raise ValueError("the systems count different tokens, so their losses cannot be compared; bits_per_byte can")
    kept = counts > 0
    if not kept.any():
        raise ValueError("no token is counted")
    return [(sums[kept].astype(np.float64), counts[kept].astype(np.float64)) for sums, counts in systems]


def effective_rows(counts: Values) -> int:
    """As many rows of equal length would say as much: (sum of counts)^2 / sum of counts^2 (Kish 1965), at least two."""
    return max(FEWEST, round(float(counts.sum() ** 2 / (counts**2).sum())))


def ratios(systems: Sequence[TokenSums]) -> list[float]:
    """Sum / count of each system."""
    return [float(sums.sum() / counts.sum()) for sums, counts in systems]


def ratio_replicates(systems: Sequence[TokenSums], n_resamples: int, seed: int) -> Values:
    """(B, S) sum / count of each system on the same resampled rows."""
    counts = systems[0][1]
    n, table = len(counts), np.stack([counts, *(sums for sums, _ in systems)], axis=1)
    rng, rows = np.random.default_rng(seed), Cells((), np.arange(n), np.ones(n))
    blocks = [weights @ table for weights in weight_blocks(rows, affordable(n, n_resamples, "scores", 1), rng)]
    totals = np.concatenate(blocks)
    return np.asarray(totals[:, 1:] / totals[:, :1])
