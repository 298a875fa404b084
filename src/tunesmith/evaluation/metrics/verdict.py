"""Better, worse or cannot tell: two systems on the same rows.

The word asks two things. The 95 % interval of the difference (paired bootstrap over rows, and over seeds) has to
exclude zero; and with one seed each, swapping the two systems' answers on random rows must give a difference as large
in at most 5 % of the cases. The second test is exact for systems that are equal, whatever the metric and however few
the rows; for accuracy it is McNemar's. Where it does not reject, zero is part of the interval, so the interval is
stretched to hold it: the interval and the word cannot contradict each other. ``docs/decisions/intervals.md`` has the
figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.intervals import LEVEL, MOST_UNDEFINED, Spread, check_same_rows, n_columns, spread
from tunesmith.evaluation.metrics.predictions import Predictions, both, problem_type_of
from tunesmith.evaluation.metrics.resample import BLOCK_ELEMENTS, MOST_ELEMENTS, Cells, affordable, cells_of, replicate
from tunesmith.evaluation.metrics.table import MetricKind, kind_of, value_of
from tunesmith.results import Verdict, Word

POWER = 0.80
MOST_SWAPS = 4_000
"""Swaps behind the exact test; a p-value near 0.05 is then within 0.007 of the one from all swaps."""
FEWEST_ONE_SIDED = 6
"""McNemar's exact p-value first falls below 0.05 when six rows differ and all in one direction: 2 / 2^6."""


@dataclass(frozen=True)
class _Pair:
    """Two systems and one metric on the same rows, grouped into cells; the first ``n_ours`` systems are ours.

    Attributes:
        values: (S) the metric of each system.
        replicates: (B, S) the metric of each system on each resample; resamples without a value are gone.
        n_drawn: resamples drawn, with those.
        paired: the i-th systems of both sides share their seed, and are compared with each other.
    """

    metric: str
    kind: MetricKind
    cells: Cells
    n_ours: int
    values: tuple[float, ...]
    replicates: Values
    n_drawn: int
    paired: bool = False

    @property
    def difference(self) -> float:
        return float(np.mean(self.values[: self.n_ours]) - np.mean(self.values[self.n_ours :]))

    @property
    def single(self) -> bool:
        return len(self.values) == 2

    @property
    def n(self) -> int:
        return len(self.cells.of_row)


def verdict(
    metric: str,
    ours: Sequence[Predictions],
    other: Sequence[Predictions],
    against: str,
    split: str,
    n_resamples: int = 10_000,
    seed: int = 0,
    paired_seeds: bool = False,
    problem_type: str | None = None,
) -> Verdict:
    """Whether we are better than the other system on this metric, with the interval of the difference.

    Args:
        ours, other: one Predictions a seed, all of the same rows in the same order. With one seed each, the verdict
            is about these two models; with several, about what training again with other seeds would give.
        against: the other system's name.
        paired_seeds: the i-th of both shared everything that its seed decides (initial weights, order of rows), as variants of
            one recipe do. What the seed does to both alike then drops out of the interval.
        problem_type: where the predictions do not tell it: ``clustering``.

    Returns:
        The verdict. ``low`` and ``high`` are None, and the word ``cannot tell``, where a system has no value or both
        give the same answer on every row; ``note`` says so. ``p_value`` is McNemar's exact test (accuracy, one seed).
        ``smallest_detectable`` = (t(0.975) + t(0.80)) * standard error of the difference, the usual normal-theory
        formula (Card et al. 2020, "With Little Power Comes Great Responsibility"; Miller 2024, "Adding Error Bars to
        Evals", section 5), with the standard error observed here. The same seed gives the same verdict.

    Raises:
        ValueError: the rows do not match, the metric is unknown, or paired systems are not equally many.
    """
    return verdicts([metric], ours, other, against, split, n_resamples, seed, paired_seeds, problem_type)[0]


def verdicts(
    metrics: Sequence[str],
    ours: Sequence[Predictions],
    other: Sequence[Predictions],
    against: str,
    split: str,
    n_resamples: int = 10_000,
    seed: int = 0,
    paired_seeds: bool = False,
    problem_type: str | None = None,
) -> tuple[Verdict, ...]:
    """The ``verdict`` on each of several metrics; those that read the same thing share their resamples."""
    if not ours or not other:
        raise ValueError("a verdict needs predictions of both systems")
    if paired_seeds and len(ours) != len(other):
        raise ValueError(f"{len(ours)} and {len(other)} systems cannot be paired by their seeds")
    systems = [*ours, *other]
    check_same_rows(systems)
    problem = problem_type or problem_type_of(ours[0])
    kinds = {metric: kind_of(problem, metric) for metric in metrics}
    found: dict[str, Verdict] = {}
    for reads in MOST_ELEMENTS:
        chosen = {metric: kind for metric, kind in kinds.items() if kind.reads == reads}
        cells = cells_of(systems, of_decisions=reads == "decisions") if chosen else None
        values = {metric: [value_of(kind, system) for system in systems] for metric, kind in chosen.items()}
        for metric, kind in chosen.items():
            if None in values[metric]:
                who = "this run" if None in values[metric][: len(ours)] else against
                found[metric] = _without(metric, against, split, len(ours[0]), f"no value for {who}: {kind.undefined}")
        left = {metric: kind for metric, kind in chosen.items() if metric not in found}
        if cells is not None and left:
            n_used = affordable(len(cells.counts), n_resamples, reads, n_columns(problem, ours[0]))
            for pair in _pairs(cells, left, values, len(ours), n_used, seed):
                found[pair.metric] = _judged(replace(pair, paired=paired_seeds), against, split, seed)
    return tuple(found[metric] for metric in metrics)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided exact p-value of McNemar's test: among the rows that only one system has right, a fair coin.

    Source: McNemar 1947; the exact binomial form.
    """
    from scipy.special import bdtr  # type: ignore[import-untyped]

    discordant = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0


def _without(metric: str, against: str, split: str, n: int, note: str) -> Verdict:
    return Verdict(metric, split, against, None, None, None, "cannot tell", n, note=note)


def _pairs(
    cells: Cells,
    kinds: Mapping[str, MetricKind],
    values: Mapping[str, Sequence[float | None]],
    n_ours: int,
    n_resamples: int,
    seed: int,
) -> list[_Pair]:
    """One pair a metric, with its replicates."""
    statistics = [[kind.statistic(system) for system in cells.systems] for kind in kinds.values()]
    drawn = replicate(cells, statistics, n_resamples, seed)
    pairs = []
    for (metric, kind), replicates in zip(kinds.items(), drawn, strict=True):
        known = tuple(value for value in values[metric] if value is not None)
        usable = replicates[~np.isnan(replicates).any(axis=1)]
        pairs.append(_Pair(metric, kind, cells, n_ours, known, usable, len(replicates)))
    return pairs


def _judged(pair: _Pair, against: str, split: str, seed: int) -> Verdict:
    p_value = _mcnemar_of(pair) if pair.metric == "accuracy" and pair.single else None
    error = _spread_of(pair)
    undecided = Verdict(
        pair.metric, split, against, pair.difference, None, None, "cannot tell", pair.n, p_value, _smallest(pair, error)
    )
    if error is None:
        return replace(undecided, note="too few rows for an interval")
    if error.error == 0 and pair.difference == 0:
        return replace(undecided, note="both give the same result whatever rows are drawn")
    half = error.quantile(0.5 + LEVEL / 2) * error.error
    low, high, how = pair.difference - half, pair.difference + half, _how(pair)
    guarded = pair.single and pair.kind.exchangeable and (pair.kind.of_decisions or error.error == 0)
    if guarded and (low > 0 or high < 0) and _swap_p_value(pair, p_value, min(pair.n_drawn, MOST_SWAPS), seed) > 1 - LEVEL:
        low, high, how = min(low, 0.0), max(high, 0.0), f"{how}; stretched to zero, which the exact test does not reject"
    return replace(undecided, low=low, high=high, word=word_of(low, high, pair.kind.higher_is_better), interval=how)


def _how(pair: _Pair) -> str:
    k, other = pair.n_ours, len(pair.values) - pair.n_ours
    seeds = "" if pair.single else f" and of {k} pairs of seeds" if pair.paired else f" and of {k} + {other} seeds"
    return f"paired bootstrap standard error, {pair.n_drawn} resamples of rows{seeds}"


def word_of(low: float, high: float, higher_is_better: bool) -> Word:
    """What the 95 % interval of a difference says."""
    if low <= 0 <= high:
        return "cannot tell"
    return "better" if (low > 0) == higher_is_better else "worse"


def _spread_of(pair: _Pair) -> Spread | None:
    """The standard error of the difference; None where too many resamples have no value."""
    if pair.n < 2 or len(pair.replicates) < (1 - MOST_UNDEFINED) * pair.n_drawn:
        return None
    k = pair.n_ours
    if pair.paired:  # one system whose values are the differences
        differences = [ours - other for ours, other in zip(pair.values[:k], pair.values[k:], strict=True)]
        return spread([differences], [pair.replicates[:, :k] - pair.replicates[:, k:]], pair.n)
    return spread([pair.values[:k], pair.values[k:]], [pair.replicates[:, :k], pair.replicates[:, k:]], pair.n)


def _smallest(pair: _Pair, of_difference: Spread | None) -> float | None:
    """The smallest absolute difference that would have been shown with 80 % power."""
    exact = FEWEST_ONE_SIDED / pair.n if pair.metric == "accuracy" and pair.single and pair.n else 0.0
    if of_difference is None:
        return exact or None
    wanted = of_difference.quantile(0.5 + LEVEL / 2) + of_difference.quantile(POWER)
    return max(wanted * of_difference.error, exact) or None


def _mcnemar_of(pair: _Pair) -> float:
    right = [system.labels == system.decisions for system in pair.cells.systems]
    first, second = (rows.all(axis=1) if rows.ndim == 2 else rows for rows in right)
    counts = pair.cells.counts
    return mcnemar(int(counts[first & ~second].sum()), int(counts[second & ~first].sum()))


def _swap_p_value(pair: _Pair, p_value: float | None, n_swaps: int, seed: int) -> float:
    """The p-value of the difference when each row's two answers are exchanged by a fair coin.

    Source: the paired permutation test (Fisher 1935; for classifier metrics Yeh 2000, "More accurate tests for the
    statistical significance of result differences", section 2). One is added above and below (Davison and Hinkley 1997,
    eq. 4.11), so that the level is kept for any number of swaps.
    """
    if p_value is not None:
        return p_value
    ours, other = pair.cells.systems
    statistic = pair.kind.statistic(both(ours, other))
    rng = np.random.default_rng([seed, 1])
    counts = pair.cells.counts
    differs = np.flatnonzero(_differs(ours, other))
    as_large = used = 0
    size = max(1, BLOCK_ELEMENTS // (2 * len(counts)))
    for start in range(0, n_swaps, size):
        block = min(size, n_swaps - start)
        swapped = np.zeros((block, len(counts)))
        swapped[:, differs] = rng.binomial(counts[differs].astype(np.int64), 0.5, size=(block, len(differs)))
        kept = counts - swapped
        drawn: Values = statistic(np.hstack([kept, swapped])) - statistic(np.hstack([swapped, kept]))
        drawn = drawn[~np.isnan(drawn)]
        as_large += int(np.count_nonzero(np.abs(drawn) >= abs(pair.difference) - 1e-12))
        used += len(drawn)
    return (1 + as_large) / (1 + used)


def _differs(ours: Predictions, other: Predictions) -> Values:
    """(C,) whether the two systems answered a cell differently."""
    changed = (ours.decisions != other.decisions).reshape(len(ours), -1).any(axis=1)
    return np.asarray(changed | (ours.scores != other.scores).reshape(len(ours), -1).any(axis=1))
