"""Intervals and verdicts of a user's function, by calls on resampled rows.

The function is a black box: it is called on the rows that a resample draws, with their repeats. Its form is unknown, so that the
interval is the value and a multiple of its standard error; with the range of its values it is a share's, which never leaves the
range. What few rows cannot show, such as a class that is never found, stays unseen (``docs/how-to/own-metrics.md`` has figures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError, first_line
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.few_rows import Z
from tunesmith.evaluation.metrics.intervals import (
    MAX_UNDEFINED,
    Spread,
    no_interval,
    resampling_words,
    score_interval,
    spread,
)
from tunesmith.evaluation.metrics.own_function import MeasuredRows, OwnFunction, seconds_per_call
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers, effective_number
from tunesmith.evaluation.metrics.verdict import MAX_SWAPS, SAME, UNBOUNDED, is_without_error, smallest_detectable, with_interval
from tunesmith.results import BY_CALLS, Metric, Verdict

STEPS = (200, 500, 1_000, 2_000, 5_000, 10_000)
"""Numbers of resamples; few of them, so that the same function gets the same number whatever else the machine does."""
BUDGET_SECONDS, LONGEST_SECONDS = 3.0, 60.0
"""Time for the resamples of one system on one split, and for the fewest resamples, beyond which there is no interval."""
NO_VARIATION = "no resample changes the value, so that its uncertainty is unknown"


@dataclass(frozen=True)
class Resampled:
    """The values of several systems on all rows and on the same resamples.

    Attributes:
        values: (S, K) of each system and metric; NaN where a function gave none.
        drawn: (B, S, K).
        n_units: the effective number of independent rows or clusters.
        reason: why a value or a resample is missing; empty if none is.
    """

    names: tuple[str, ...]
    values: Values
    drawn: Values
    n_units: int
    n_clusters: int | None
    reason: str = ""

    def spread(self, name: str, n_ours: int) -> Spread | None:
        """Returns the standard error of the mean of the first systems, or of its difference from that of the others."""
        k = self.names.index(name)
        drawn = self.drawn[:, :, k]
        usable = drawn[~np.isnan(drawn).any(axis=1)]
        if self.n_units < 2 or not len(usable) or len(usable) < (1 - MAX_UNDEFINED) * len(drawn):
            return None
        sides = [slice(0, n_ours), slice(n_ours, None)] if n_ours < len(self.values) else [slice(0, n_ours)]
        return spread([self.values[side, k].tolist() for side in sides], [usable[:, side] for side in sides], self.n_units)


def own_metrics(split: str, systems: Sequence[MeasuredRows], resampling: Resampling) -> list[Metric]:
    """Computes the metrics of the function, each with its 95 % interval.

    Args:
        systems: one a seed, on the same rows; the value is the mean over the seeds.
    """
    function, n = systems[0].function, len(systems[0])
    resampled = resample(systems, resampling)
    hidden, metrics = hidden_variance(systems, resampled), []
    for k, name in enumerate(function.names):
        value = float(resampled.values[:, k].mean())
        higher = name not in function.lower
        metric = Metric(name, split, value=None, low=None, high=None, n=n, higher_is_better=higher)
        metric = replace(metric, n_clusters=resampled.n_clusters, n_candidates=resampling.n_candidates)
        if np.isnan(value):
            metrics.append(replace(metric, note=no_value(resampled, function)))
            continue
        error = resampled.spread(name, len(systems))
        error = None if error is None else error.with_rows(hidden[k])
        low, high, note = ends_of(value, error, resampled, function.ends, resampling.level)
        how = resampling_words(len(resampled.drawn), len(systems), resampled.n_clusters is not None)
        how = "" if low is None else f"bootstrap standard error, {how}, {BY_CALLS}{function.reference}"
        metrics.append(replace(metric, value=value, low=low, high=high, interval=how, note=note))
    return metrics


def hidden_variance(systems: Sequence[MeasuredRows], resampled: Resampled) -> Values:
    """Returns the variance of each metric (K) that resamples of rare classes cannot show, averaged over the seeds."""
    variances = np.zeros((len(systems), len(resampled.names)))
    if not len(resampled.drawn):
        return np.zeros(len(resampled.names))
    for s, system in enumerate(systems):
        for rows, share in system.variants():
            try:
                values = np.array(in_order(rows.values(), resampled.names))
            except RecipeError:
                continue  # undefined there, as a resample may be
            variances[s] += np.nan_to_num((values - resampled.values[s]) * share / Z) ** 2
    return np.asarray(variances.mean(axis=0))


def no_value(resampled: Resampled, function: OwnFunction) -> str:
    """Returns why there is no value: the function failed on all rows, so that there are no resamples, or gave no number."""
    return f"{function.reference} gives no number here" if len(resampled.drawn) or not resampled.reason else resampled.reason


def ends_of(
    value: float, error: Spread | None, resampled: Resampled, ends: tuple[float, float] | None, level: float
) -> tuple[float | None, float | None, str]:
    """Returns both ends of an interval, or the reason why there is none."""
    if error is None:
        return None, None, resampled.reason or no_interval(resampled.n_clusters)
    if ends is not None:
        width, quantile = ends[1] - ends[0], error.quantile(0.5 + level / 2)
        share, n = (value - ends[0]) / width, resampled.n_units
        low, high = score_interval(min(max(share, 0.0), 1.0), error.error / width, n, quantile)
        return ends[0] + width * low, ends[0] + width * high, ""
    if is_without_error(error, value):
        return None, None, NO_VARIATION
    return value - error.margin(level), value + error.margin(level), ""


def own_verdict(
    name: str, ours: Sequence[MeasuredRows], others: Sequence[MeasuredRows], against: str, split: str, resampling: Resampling
) -> Verdict:
    """Compares two systems by one metric of the function, on the same resamples for both.

    With one system each, "better" also needs the exact test that exchanges the outputs of both on random rows.
    """
    systems, function = [*ours, *others], ours[0].function
    resampled = resample(systems, resampling)
    k, n_ours = function.names.index(name), len(ours)
    means = [float(resampled.values[side, k].mean()) for side in (slice(0, n_ours), slice(n_ours, None))]
    undecided = Verdict(name, split, against, None, None, None, word="cannot tell", n=len(ours[0]))
    undecided = replace(undecided, n_clusters=resampled.n_clusters)
    if np.isnan(means).any():
        return replace(undecided, note=no_value(resampled, function))
    undecided = replace(undecided, difference=means[0] - means[1])
    error = resampled.spread(name, n_ours)
    if error is None:
        return replace(undecided, note=resampled.reason or no_interval(resampled.n_clusters))
    if is_without_error(error, means[0] - means[1]):
        same = abs(means[0] - means[1]) <= 1e-12
        return replace(undecided, note=SAME if same else NO_VARIATION)
    words = resampling_words(len(resampled.drawn), 1, resampled.n_clusters is not None)
    how, exact_test = f"paired bootstrap standard error, {words}, {BY_CALLS}{function.reference}", None
    if len(systems) == 2:
        exact_test = partial(exchange_p_value, systems, name, means[0] - means[1], len(resampled.drawn), resampling)
    else:
        how += f" and of {n_ours} + {plural(len(others), 'seed')}"
    undecided = replace(undecided, interval=how, smallest_detectable=smallest_detectable(error, resampling.level))
    ends = UNBOUNDED if function.ends is None else (function.ends[0] - function.ends[1], function.ends[1] - function.ends[0])
    return with_interval(undecided, error, name not in function.lower, exact_test, resampling.n_candidates, ends)


def resample(systems: Sequence[MeasuredRows], resampling: Resampling) -> Resampled:
    """Calls the function on all rows of each system, and on as many resamples of them as the time allows."""
    names, n = systems[0].function.names, len(systems[0])
    clusters = cluster_numbers(resampling.clusters)
    sizes = np.ones(n) if clusters is None else np.bincount(clusters).astype(np.float64)
    n_clusters = None if clusters is None else len(sizes)
    n_units = n if clusters is None else effective_number(sizes)
    empty = np.empty((0, len(systems), len(names)))
    try:
        values = np.array([list(in_order(system.values(), names)) for system in systems])
        seconds = max(map(seconds_per_call, systems))
    except RecipeError as error:  # the training is done: it is kept, and the metric has no value
        return Resampled(names, np.full((len(systems), len(names)), np.nan), empty, n_units, n_clusters, first_line(error))
    n_drawn = affordable_calls(seconds, resampling.n_resamples)
    if not n_drawn:
        reason = f"no interval: one call takes {seconds:.1f} s, and {STEPS[0]} resamples would take {STEPS[0] * seconds:.0f} s"
        return Resampled(names, values, empty, n_units, n_clusters, reason)
    drawn, reason = draw(systems, names, clusters, n_drawn, resampling.seed)
    undefined = int(np.isnan(drawn).any(axis=(1, 2)).sum())
    counted = f"no value on {undefined:,} of {plural(n_drawn, 'resample')}" if undefined else ""
    return Resampled(names, values, drawn, n_units, n_clusters, ": ".join(filter(None, (counted, reason))))


def affordable_calls(seconds: float, n_resamples: int) -> int:
    """Returns the number of resamples for a call of this duration: the largest step in the budget; 0 if the first is too long."""
    in_budget = [step for step in STEPS if step * seconds <= BUDGET_SECONDS]
    if not in_budget and STEPS[0] * seconds > LONGEST_SECONDS:
        return 0
    return min(n_resamples, max(in_budget, default=STEPS[0]))


def draw(
    systems: Sequence[MeasuredRows], names: Sequence[str], clusters: Array | None, n_drawn: int, seed: int
) -> tuple[Values, str]:
    """Returns the values on resampled rows (B, S, K), NaN where the function failed, and the first failure."""
    rng, n, reason = np.random.default_rng(seed), len(systems[0]), ""
    n_units = n if clusters is None else int(clusters.max()) + 1
    drawn = np.full((n_drawn, len(systems), len(names)), np.nan)
    for b in range(n_drawn):
        counts = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)
        positions = np.repeat(np.arange(n), counts if clusters is None else counts[clusters])
        for s, system in enumerate(systems):
            try:
                drawn[b, s] = list(in_order(system.values(positions), names))
            except RecipeError as error:
                reason = reason or first_line(error)
    return drawn, reason


def in_order(values: dict[str, float], names: Sequence[str]) -> list[float]:
    return [values[name] for name in names]


def exchange_p_value(
    systems: Sequence[MeasuredRows], name: str, difference: float, n_drawn: int, resampling: Resampling
) -> float:
    """Returns the p-value of the difference under a random exchange of the outputs of each row or cluster; see ``verdict``."""
    rng, (ours, others), as_large, used = np.random.default_rng([resampling.seed, 1]), systems, 0, 0
    clusters = cluster_numbers(resampling.clusters)
    clusters = np.arange(len(ours)) if clusters is None else clusters
    for _ in range(min(n_drawn, MAX_SWAPS)):
        mask = rng.integers(0, 2, int(clusters.max()) + 1).astype(bool)[clusters]
        try:
            swapped = [first.exchanged(second, mask).values()[name] for first, second in ((ours, others), (others, ours))]
        except RecipeError:
            continue  # no value, as of a resample that is undefined
        gap = abs(swapped[0] - swapped[1])
        as_large, used = as_large + int(gap >= abs(difference) - 1e-12), used + int(not np.isnan(gap))
    return (1 + as_large) / (1 + used)
