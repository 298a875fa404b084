"""The verdict between two systems on the same rows: better, worse or cannot tell.

It combines two tests. The 95 % interval of the difference (paired bootstrap over rows, and over seeds) has to exclude
zero; and with one seed each, swapping the two systems' predictions on random rows must give a difference as large in at
most 5 % of the cases. The second test is exact for systems that are equal, for any metric and any number of rows; for
accuracy it is McNemar's. If it does not reject, zero is part of the interval, so the interval is stretched to include
it: the interval and the word cannot contradict each other. ``docs/decisions/intervals.md`` has the figures.

``low`` and ``high`` are None, and the word is ``cannot tell``, if a system has no value or both predict the same on every row;
``note`` gives the reason. ``p_value`` is McNemar's exact test (accuracy, one seed). ``smallest_detectable`` =
(t(0.975) + t(0.80)) * standard error of the difference, the usual normal-theory formula (Card et al. 2020, "With Little Power
Comes Great Responsibility"; Miller 2024, "Adding Error Bars to Evals", section 5), with the standard error observed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.intervals import MAX_UNDEFINED, Spread, check_same_rows, n_columns, no_interval, spread
from tunesmith.evaluation.metrics.predictions import Predictions, concatenate, infer_problem_type
from tunesmith.evaluation.metrics.resample import (
    BLOCK_ELEMENTS,
    DEFAULT_RESAMPLING,
    LEVEL,
    MAX_ELEMENTS,
    Cells,
    Resampling,
    affordable,
    make_cells,
    replicate,
)
from tunesmith.evaluation.metrics.table import MetricKind, metric_kind, metric_value
from tunesmith.results import Verdict, Word

POWER = 0.80
MAX_SWAPS = 4_000
"""Swaps behind the exact test; a p-value near 0.05 is then within 0.007 of the one from all swaps."""
MIN_ONE_SIDED = 6
"""McNemar's exact p-value first falls below 0.05 for six rows that differ, all in one direction: 2 / 2^6."""
Ends = tuple[float, float]
UNBOUNDED: Ends = (-math.inf, math.inf)
NO_ERROR = 1e-9
"""A standard error that is rounding, relative to a difference above 1."""
SAME = "both give the same result whatever rows are drawn"
STRETCHED = "stretched to zero, which the exact test does not reject"


@dataclass(frozen=True)
class _Pair:
    """Two systems and one metric on the same rows, grouped into cells; the first ``n_ours`` entries are ours.

    Attributes:
        values: (S) the metric of each system.
        replicates: (B, S) the metric of each system on each resample, without undefined resamples.
        n_drawn: resamples drawn, undefined ones among them.
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


def verdicts(
    metrics: Sequence[str],
    ours: Sequence[Predictions],
    other: Sequence[Predictions],
    against: str,
    split: str,
    resampling: Resampling = DEFAULT_RESAMPLING,
    paired_seeds: bool = False,
    problem_type: str | None = None,
) -> tuple[Verdict, ...]:
    """Compares our predictions with the other system's on each of several metrics, with the interval of the difference.

    Metrics that read the same arrays share their resamples. The same seed gives the same verdicts.

    Args:
        ours, other: one Predictions a seed, all of the same rows in the same order. With one seed each, the verdict
            is about these two models; with several, about training again with other seeds.
        against: the other system's name.
        paired_seeds: the i-th of both share everything that depends on the seed (initial weights, order of rows), as variants
            of one recipe do. The common effect of a seed then drops out of the interval.
        problem_type: only for ``clustering``, which the predictions do not determine.
    """
    if not ours or not other:
        raise ValueError("a verdict needs predictions of both systems")
    if paired_seeds and len(ours) != len(other):
        raise ValueError(f"{len(ours)} and {len(other)} systems cannot be paired by their seeds")
    systems = [*ours, *other]
    check_same_rows(systems)
    problem = problem_type or infer_problem_type(ours[0])
    kinds = {metric: metric_kind(problem, metric) for metric in metrics}
    by_metric: dict[str, Verdict] = {}
    for reads in MAX_ELEMENTS:
        group = {metric: kind for metric, kind in kinds.items() if kind.reads == reads}
        cells = make_cells(systems, resampling.clusters, of_decisions=reads == "decisions") if group else None
        values = {metric: [metric_value(kind, system) for system in systems] for metric, kind in group.items()}
        for metric, kind in group.items():
            if None in values[metric]:
                who = "this run" if None in values[metric][: len(ours)] else against
                note = f"no value for {who}: {kind.undefined}"
                by_metric[metric] = Verdict(
                    metric, split, against, None, None, None, word="cannot tell", n=len(ours[0]), note=note
                )
        defined = {metric: kind for metric, kind in group.items() if metric not in by_metric}
        if cells is not None and defined:
            n_used = affordable(len(cells.counts), resampling.n_resamples, reads, n_columns(problem, ours[0]))
            for pair in _pairs(cells, defined, values, len(ours), replace(resampling, n_resamples=n_used)):
                by_metric[pair.metric] = _decide(replace(pair, paired=paired_seeds), against, split, resampling)
    return tuple(by_metric[metric] for metric in metrics)


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided exact p-value of McNemar's test (1947, binomial form) on the rows that only one system has right."""
    from scipy.special import bdtr  # type: ignore[import-untyped]

    discordant = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0


def _pairs(
    cells: Cells,
    kinds: Mapping[str, MetricKind],
    values: Mapping[str, Sequence[float | None]],
    n_ours: int,
    resampling: Resampling,
) -> list[_Pair]:
    """Returns one pair a metric, with its replicates."""
    statistics = [[kind.statistic(system) for system in cells.systems] for kind in kinds.values()]
    drawn = replicate(cells, statistics, resampling.n_resamples, resampling.seed)
    return [
        _Pair(
            metric=metric,
            kind=kind,
            cells=cells,
            n_ours=n_ours,
            values=tuple(value for value in values[metric] if value is not None),
            replicates=replicates[~np.isnan(replicates).any(axis=1)],
            n_drawn=len(replicates),
        )
        for (metric, kind), replicates in zip(kinds.items(), drawn, strict=True)
    ]


def _decide(pair: _Pair, against: str, split: str, resampling: Resampling) -> Verdict:
    error, p_value, exact, n_clusters = _pair_spread(pair), None, 0.0, pair.cells.n_clusters
    if pair.metric == "accuracy" and pair.single and n_clusters is None:
        right = [system.labels == system.decisions for system in pair.cells.systems]
        first, second = (rows.all(axis=1) if rows.ndim == 2 else rows for rows in right)
        counts = pair.cells.counts
        p_value = mcnemar(int(counts[first & ~second].sum()), int(counts[second & ~first].sum()))
        exact = MIN_ONE_SIDED / pair.n if pair.n else 0.0
    detectable = max(0.0 if error is None else smallest_detectable(error, resampling.level), exact) or None
    undecided = Verdict(pair.metric, split, against, pair.difference, None, None, word="cannot tell", n=pair.n)
    undecided = replace(undecided, p_value=p_value, smallest_detectable=detectable, n_clusters=n_clusters)
    if error is None:
        return replace(undecided, note=no_interval(n_clusters))
    if is_without_error(error, pair.difference) and abs(pair.difference) <= NO_ERROR:
        return replace(undecided, note=SAME)
    k, n_other = pair.n_ours, len(pair.values) - pair.n_ours
    seeds = "" if pair.single else f" and of {plural(k, 'pair')} of seeds" if pair.paired else f" and of {k} + {n_other} seeds"
    units = "rows" if n_clusters is None else "clusters"
    how = f"paired bootstrap standard error, {plural(pair.n_drawn, 'resample')} of {units}{seeds}"
    guarded = pair.single and pair.kind.exchangeable and (pair.kind.of_decisions or is_without_error(error, pair.difference))
    exact_test = partial(_swap_p_value, pair, p_value, min(pair.n_drawn, MAX_SWAPS), resampling.seed) if guarded else None
    undecided = replace(undecided, interval=how)
    smallest, largest = pair.kind.ends
    ends = smallest - largest, largest - smallest
    return with_interval(undecided, error, pair.kind.higher_is_better, exact_test, resampling.n_candidates, ends)


def with_interval(
    undecided: Verdict,
    error: Spread,
    higher_is_better: bool,
    exact_test: Callable[[], float] | None,
    n_candidates: int = 1,
    ends: Ends = UNBOUNDED,
) -> Verdict:
    """Adds the interval of the difference, its p-value and its word; a p-value of the exact test above 5 % stretches it to zero.

    Args:
        n_candidates: see ``resample.Resampling``: the p-value is multiplied by it, and the interval is as much wider.
        ends: the smallest and the largest difference that there can be.
    """
    difference, level = undecided.difference or 0.0, 1 - (1 - LEVEL) / n_candidates
    low, high, p_value = difference - error.margin(level), difference + error.margin(level), error.p_value(difference)
    is_extreme = not ends[0] + NO_ERROR < difference < ends[1] - NO_ERROR
    if is_bounded(ends) and difference and (is_extreme or is_without_error(error, difference)):
        unseen = unseen_interval(difference, error, level, ends)
        low, high, p_value = min(low, unseen[0]), max(high, unseen[1]), max(p_value, unseen_p_value(difference, error, ends))
    low, high = max(low, ends[0]), min(high, ends[1])
    undecided = replace(undecided, low=low, high=high, p_two_sided=min(1.0, n_candidates * p_value))
    if low <= 0 <= high:
        return undecided
    word: Word = "better" if (low > 0) == higher_is_better else "worse"
    exact = 0.0 if exact_test is None else min(1.0, n_candidates * exact_test())
    decided = replace(undecided, word=word, p_two_sided=max(undecided.p_two_sided or 0.0, exact))
    return stretched(decided, STRETCHED) if exact > 1 - LEVEL else decided


def is_bounded(ends: Ends) -> bool:
    return math.isfinite(ends[0]) and math.isfinite(ends[1])


def is_without_error(error: Spread, difference: float) -> bool:
    """Tells whether all resamples have the same difference, up to rounding."""
    return error.error <= NO_ERROR * max(1.0, abs(difference))


def unseen_interval(difference: float, error: Spread, level: float, ends: Ends) -> tuple[float, float]:
    """Returns the interval of a difference on which all rows agree.

    A share of other rows, as large as the upper end of Wilson's interval at 0, could have any difference between the ends. That
    is exact for means over rows, and an approximation for other metrics.
    """
    squared, n = error.quantile(0.5 + level / 2) ** 2, error.parts[0][1] + 1
    unseen = squared / (n + squared)
    return difference * (1 - unseen) + ends[0] * unseen, difference * (1 - unseen) + ends[1] * unseen


def unseen_p_value(difference: float, error: Spread, ends: Ends) -> float:
    """Returns one minus the level at which ``unseen_interval`` ends at zero."""
    from scipy.special import stdtr

    farthest, n = abs(ends[0] if difference > 0 else ends[1]), error.parts[0][1] + 1
    return 2 * float(stdtr(error.parts[0][1], -((n * abs(difference) / farthest) ** 0.5))) if farthest else 0.0


def stretched(verdict: Verdict, reason: str) -> Verdict:
    """Returns the verdict ``cannot tell`` with the interval stretched to zero, so that interval and word agree."""
    low, high = min(verdict.low or 0.0, 0.0), max(verdict.high or 0.0, 0.0)
    return replace(verdict, low=low, high=high, word="cannot tell", interval=f"{verdict.interval}; {reason}")


def holm(family: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Corrects the words of a table for the number of its comparisons (Holm 1979, "A simple sequentially rejective procedure").

    If every system were equal, a table corrected so has a "better" or "worse" in at most 5 of 100 cases, however the comparisons
    depend on each other. Verdicts without a p-value (no difference at all) do not count.
    """
    order = sorted((v.p_two_sided, i) for i, v in enumerate(family) if v.p_two_sided is not None)
    adjusted, largest = list(family), 0.0
    for rank, (p_two_sided, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_two_sided))
        verdict = replace(family[i], p_adjusted=largest, n_comparisons=len(order))
        is_kept = verdict.word == "cannot tell" or largest <= 1 - LEVEL
        reason = (
            f"stretched to zero: {verdict.word} alone, but not among the {plural(len(order), 'comparison')} of the table (Holm)"
        )
        adjusted[i] = verdict if is_kept else stretched(verdict, reason)
    return tuple(adjusted)


def smallest_detectable(error: Spread, level: float = LEVEL) -> float:
    """Returns the smallest absolute difference that would have been shown with 80 % power."""
    return (error.quantile(0.5 + level / 2) + error.quantile(POWER)) * error.error


def _pair_spread(pair: _Pair) -> Spread | None:
    """Returns the standard error of the difference; None if too many resamples have no value."""
    n = pair.cells.n_units
    if n < 2 or len(pair.replicates) < (1 - MAX_UNDEFINED) * pair.n_drawn:
        return None
    k = pair.n_ours
    if pair.paired:  # one system whose values are the differences
        differences = [ours - other for ours, other in zip(pair.values[:k], pair.values[k:], strict=True)]
        return spread([differences], [pair.replicates[:, :k] - pair.replicates[:, k:]], n)
    return spread([pair.values[:k], pair.values[k:]], [pair.replicates[:, :k], pair.replicates[:, k:]], n)


def _swap_p_value(pair: _Pair, p_value: float | None, n_swaps: int, seed: int) -> float:
    """Returns the p-value of the difference under a random exchange of the two predictions of each row (or each cluster's rows).

    Source: the paired permutation test (Fisher 1935; for classifier metrics Yeh 2000, "More accurate tests for the
    statistical significance of result differences", section 2). One is added above and below (Davison and Hinkley 1997,
    eq. 4.11), so that the level is kept for any number of swaps.
    """
    if p_value is not None:
        return p_value
    ours, other = pair.cells.systems
    statistic = pair.kind.statistic(concatenate(ours, other))
    rng = np.random.default_rng([seed, 1])
    counts, members = pair.cells.counts, pair.cells.members
    unequal = [(ours.decisions != other.decisions), (ours.scores != other.scores)]
    differs = np.flatnonzero(np.any([part.reshape(len(counts), -1).any(axis=1) for part in unequal], axis=0))  # cells
    as_large = used = 0
    size = max(1, BLOCK_ELEMENTS // (2 * len(counts)))
    for start in range(0, n_swaps, size):
        block = min(size, n_swaps - start)
        swapped = np.zeros((block, len(counts)))
        if members is None:
            swapped[:, differs] = rng.binomial(counts[differs].astype(np.int64), 0.5, size=(block, len(differs)))
        else:
            swapped = np.ascontiguousarray((members.T @ rng.integers(0, 2, size=(members.shape[0], block)).astype(np.float64)).T)
        stayed = counts - swapped
        drawn: Values = statistic(np.hstack([stayed, swapped])) - statistic(np.hstack([swapped, stayed]))
        drawn = drawn[~np.isnan(drawn)]
        as_large += int(np.count_nonzero(np.abs(drawn) >= abs(pair.difference) - 1e-12))
        used += len(drawn)
    return (1 + as_large) / (1 + used)
