"""95 % intervals of metrics, by bootstrap over rows (or clusters of rows) and, with several seeds, over seeds.

The form of each metric's interval and the coverage of alternatives: ``docs/decisions/intervals.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.evaluation.metrics.classification import Statistic, Values, columns
from tunesmith.evaluation.metrics.few_rows import FewRows
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import (
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
from tunesmith.results import Metric

TOO_FEW_ROWS = "too few rows for an interval"
ONE_CLUSTER = "all rows belong together, by their group or as variants of one text, so that there is no interval"
JACKKNIFE_CELLS = 2_000
"""With more cells the acceleration of BCa, of order 1 / sqrt(n), is left at 0."""
MAX_UNDEFINED = 0.05
"""Largest share of resamples without a value (a class was not drawn) for which an interval is computed."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Spread:
    """Uncertainty of a mean over seeds, or of a difference of two such means.

    Attributes:
        error: its standard error, over rows and seeds.
        parts: its variance components, rows first, each with its degrees of freedom.
    """

    error: float
    parts: tuple[tuple[float, int], ...]

    def margin(self, level: float = LEVEL) -> float:
        """Returns half the width of the interval."""
        return self.quantile(0.5 + level / 2) * self.error

    def with_rows(self, variance: float) -> Spread:
        """Returns the spread with a further variance of the rows."""
        (rows, freedom), *others = self.parts
        return replace(self, error=(self.error**2 + variance) ** 0.5, parts=((rows + variance, freedom), *others))

    def p_value(self, difference: float) -> float:
        """Returns the two-sided p-value of a difference: one minus the level at which its interval ends at zero."""
        from scipy.optimize import brentq  # type: ignore[import-untyped]

        if self.error == 0:
            return 0.0 if difference else 1.0
        distance, largest = abs(difference) / self.error, 1 - 1e-12
        if self.quantile(largest) <= distance:
            return 2 * (1 - largest)
        return float(2 * (1 - brentq(lambda probability: self.quantile(probability) - distance, 0.5, largest, xtol=1e-14)))

    def quantile(self, probability: float) -> float:
        """Averages the t quantiles of the parts by their variances (Cochran 1964: never below the level, unlike Welch's)."""
        from scipy.special import stdtrit  # type: ignore[import-untyped]

        quantiles = [float(stdtrit(freedom, probability)) for _, freedom in self.parts]
        variances = [variance for variance, _ in self.parts]
        return float(np.average(quantiles, weights=variances)) if sum(variances) > 0 else quantiles[0]


def metric_intervals(
    problem_type: str,
    predictions: Predictions | Sequence[Predictions],
    split: str,
    names: Sequence[str],
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> tuple[Metric, ...]:
    """Computes metrics, each with its 95 % interval.

    Args:
        predictions: of one run, or of several seeds on the same rows: then the value is the mean over the seeds and
            the interval covers other rows and other seeds.
        resampling: with the clusters of the rows, if they depend on each other.

    Returns:
        One Metric a name; without an interval ``low`` and ``high`` are None and ``note`` gives the reason.
        The same seed gives the same intervals.
    """
    systems = [predictions] if isinstance(predictions, Predictions) else list(predictions)
    check_same_rows(systems)
    kinds = [metric_kind(problem_type, name) for name in names]
    metrics: dict[str, Metric] = {}
    for reads in MAX_ELEMENTS:
        group = [(name, kind) for name, kind in zip(names, kinds, strict=True) if kind.reads == reads]
        if group:
            metrics |= _group_intervals(problem_type, systems, split, group, resampling)
    return tuple(metrics[name] for name in names)


def no_interval(n_clusters: int | None) -> str:
    """Returns the reason why there is no interval: one independent unit, or too few rows."""
    return ONE_CLUSTER if n_clusters == 1 else TOO_FEW_ROWS


def check_same_rows(systems: Sequence[Predictions]) -> None:
    """Raises ValueError unless all systems predicted the same rows in the same order."""
    if not systems:
        raise ValueError("no predictions were given")
    first = systems[0]
    for other in systems[1:]:
        if len(first) != len(other):
            raise ValueError(f"the systems predicted {len(first)} and {len(other)} rows; they have to be the same rows")
        if first.row_ids is not None and other.row_ids is not None and not np.array_equal(first.row_ids, other.row_ids):
            position = int(np.flatnonzero(first.row_ids != other.row_ids)[0])
            raise ValueError(f"the systems predicted different rows: row ids differ from position {position} on")
        if not np.array_equal(first.labels, other.labels):
            raise ValueError("the systems predicted different rows: their labels differ")


def spread(values: Sequence[Sequence[float]], replicates: Sequence[Values], n: int) -> Spread:
    """Estimates the standard error of a mean over seeds, or of the difference of two such means, over rows and seeds.

    Rows: the variance of the replicates, times n / (n - 1) for the rows it was estimated from. Seeds: the variance of
    the values over their number. The interaction of rows and seeds is in both and is subtracted once (the two-way
    random-effects estimate; Owen 2007, "The pigeonhole bootstrap", section 3).

    Args:
        values: for each of one or two systems, the metric of each of its seeds (S).
        replicates: for each system, the metric of each seed on each resample (B, S); the same resamples for both.
    """
    small = n / max(n - 1, 1)
    means = [drawn.mean(axis=1) for drawn in replicates]
    rows = float((means[0] - means[1] if len(means) == 2 else means[0]).var()) * small
    total, parts = rows, [(rows, max(n - 1, 1))]
    for seed_values, drawn in zip(values, replicates, strict=True):
        n_seeds = len(seed_values)
        if n_seeds > 1:
            own = drawn - drawn.mean(axis=1, keepdims=True)
            between = float(np.var(seed_values, ddof=1)) / n_seeds
            total += between - float(own.var(axis=0).mean()) * small / (n_seeds - 1)
            parts.append((between, n_seeds - 1))
    return Spread(max(total, *(variance for variance, _ in parts)) ** 0.5 if len(parts) > 1 else rows**0.5, tuple(parts))


def n_columns(problem_type: str, predictions: Predictions) -> int:
    """Returns the number of rankings that a score metric reads."""
    return 1 if problem_type == REGRESSION else len(columns(predictions))


def _group_intervals(
    problem_type: str, systems: list[Predictions], split: str, group: list[tuple[str, MetricKind]], resampling: Resampling
) -> dict[str, Metric]:
    """Returns the metrics that share their resamples: those of decisions, of scores, or of ranks."""
    reads, n = group[0][1].reads, len(systems[0])
    values = {name: [metric_value(kind, system) for system in systems] for name, kind in group}
    cells = make_cells(systems, resampling.clusters, of_decisions=reads == "decisions")
    defined = [(name, kind) for name, kind in group if all(value is not None for value in values[name])]
    statistics = [[kind.statistic(system) for system in cells.systems] for _, kind in defined]
    n_used = affordable(len(cells.counts), resampling.n_resamples, reads, n_columns(problem_type, systems[0]))
    empty = Metric("", split, None, None, None, n, n_clusters=cells.n_clusters, n_candidates=resampling.n_candidates)
    metrics = {
        name: replace(empty, name=name, higher_is_better=kind.higher_is_better, note=kind.undefined) for name, kind in group
    }
    replicates = replicate(cells, statistics, n_used, resampling.seed) if n > 1 else [np.empty((0, len(systems)))] * len(defined)
    for (name, kind), of_systems, drawn in zip(defined, statistics, replicates, strict=True):
        seed_values = [value for value in values[name] if value is not None]
        resampled = ResampledMetric(kind, seed_values, drawn, cells, few_rows(kind, systems))
        low, high, how = _interval(resampled, of_systems[0], resampling.level)
        note = "" if how else resampled.few.reason or no_interval(cells.n_clusters)
        metrics[name] = replace(metrics[name], value=resampled.value, low=low, high=high, interval=how, note=note)
    return metrics


def few_rows(kind: MetricKind, systems: Sequence[Predictions]) -> FewRows:
    """Returns the metric's correction for few rows, its variance averaged over the seeds."""
    if kind.few_rows is None:
        return FewRows()
    found = [kind.few_rows(system) for system in systems]
    return replace(found[0], variance=float(np.mean([few.variance for few in found])))


@dataclass(frozen=True)
class ResampledMetric:
    """One metric of a system on the rows and on their resamples.

    Attributes:
        values: the metric of each seed (S).
        replicates: (B, S) the metric of each seed on each resample; NaN where it is undefined.
        few: its correction for few rows.
    """

    kind: MetricKind
    values: Sequence[float]
    replicates: Values
    cells: Cells
    few: FewRows

    @property
    def value(self) -> float:
        """Returns the mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def n_units(self) -> int:
        """Returns the number of independent units that the error is estimated from."""
        return min(self.cells.n_units, self.few.n_units or self.cells.n_units)

    @property
    def usable(self) -> Values:
        """Returns the replicates in which every seed has a value."""
        return self.replicates[~np.isnan(self.replicates).any(axis=1)]

    @property
    def spread(self) -> Spread | None:
        """Returns the standard error, with the correction for few rows; None if there are too few rows or usable resamples."""
        is_too_few = self.n_units < 2 or len(self.usable) < (1 - MAX_UNDEFINED) * len(self.replicates)
        if self.few.reason or is_too_few:
            return None
        # Few positives rank too well by chance, and resamples, in which rows repeat, once more by as much.
        bias = float(self.usable.mean()) - self.value if self.kind.reads == "ranks" else 0.0
        return spread([self.values], [self.usable], self.n_units).with_rows(self.few.variance + bias**2)


def _interval(metric: ResampledMetric, statistic: Statistic, level: float) -> tuple[float | None, float | None, str]:
    """Both ends and a description of the method; (None, None, "") without an interval."""
    kind, cells, n, usable, uncertainty = metric.kind, metric.cells, metric.n_units, metric.usable, metric.spread
    if uncertainty is None:
        return None, None, ""
    value = metric.value
    resampled = resampling_words(len(metric.replicates), len(metric.values), cells.members is not None)
    single = len(metric.values) == 1 and cells.members is None and not metric.few.variance
    if kind.interval == "bca" and single and uncertainty.error > 0:
        low, high = bca(value, usable[:, 0], acceleration(cells, statistic), level)
        return low, high, f"BCa bootstrap, {resampled}"
    if kind.interval == "wilson" and single:
        low, high = score_interval(value, (value * (1 - value) / n) ** 0.5, n, _NORMAL.inv_cdf(0.5 + level / 2))
        return low, high, "Wilson"
    if kind.interval == "folded":
        # A mean of absolute gaps, which noise alone increases. Resampling adds the noise a second time, and to a gap that is
        # truly zero only half as much as the rows did: so the lower end is lowered by twice the bias of the resamples.
        bias, margin = max(float(usable.mean()) - value, 0.0), uncertainty.margin(level)
        low, high = max(0.0, value - 2 * bias - margin), min(1.0, value + margin)
    else:
        low, high = scaled(kind.interval, value, uncertainty, n, level, metric.few.variance)
    if not (math.isfinite(low) and math.isfinite(high)):  # an error many times the quantity
        return None, None, ""
    return low, high, f"bootstrap standard error, {resampled}"


def resampling_words(n_drawn: int, n_seeds: int, clustered: bool = False) -> str:
    """Describes what was resampled: rows or clusters of rows, and seeds if there are several."""
    return f"{plural(n_drawn, 'resample')} of {'clusters' if clustered else 'rows'}" + (
        f" and {plural(n_seeds, 'seed')}" if n_seeds > 1 else ""
    )


def scaled(
    form: str, value: float, uncertainty: Spread, n: int, level: float = LEVEL, unseen: float = 0.0
) -> tuple[float, float]:
    """Returns the interval from a standard error, on the scale on which the metric's error is nearly symmetric.

    Shares (accuracy, F1, AUROC): the score interval with the effective number of rows. Correlations: Fisher's z.
    Positive quantities: the logarithm. R2: the logarithm of 1 - R2. Differences of bits: as they are.
    """
    t, error = uncertainty.quantile(0.5 + level / 2), uncertainty.error
    if form == "unbounded":
        return value - t * error, value + t * error
    if form in ("wilson", "bca", "share"):
        return score_interval(value, error, n, t, unseen)
    if form == "correlation":
        if abs(value) > 1 - 1e-9:
            low, high = score_interval((value + 1) / 2, error / 2, n, t)
            return 2 * low - 1, 2 * high - 1
        half = t * error / (1 - value**2)
        return float(np.tanh(np.arctanh(value) - half)), float(np.tanh(np.arctanh(value) + half))
    gap = 1 - value if form == "at_most_one" else value
    if gap <= 0:
        return value, value
    with np.errstate(over="ignore"):  # infinite: see ``_interval``
        low, high = gap * np.exp(-t * error / gap), gap * np.exp(t * error / gap)
    return (float(1 - high), float(1 - low)) if form == "at_most_one" else (float(low), float(high))


def score_interval(value: float, error: float, n: int, z: float, unseen: float = 0.0) -> tuple[float, float]:
    """Wilson's interval (1927) for a share with that standard error.

    The number of rows is the effective one, value * (1 - value) / error^2, so that it equals Wilson's for a plain
    share and never leaves [0, 1]; where all values are equal it is ``n``.

    Args:
        unseen: the part of error^2 of rows that the resamples could not show, see ``few_rows``. It is added to both halves
            of the interval of the rest: as a part of ``error`` it would count as very few effective rows near 0 and 1.
    """
    if error > 0 and not 0 < value < 1:
        half = max(z * error, z**2 / (n + z**2))
        return (0.0, min(1.0, half)) if value <= 0 else (max(0.0, 1 - half), 1.0)
    shown = max(error**2 - unseen, 0.0)
    if shown == 0:  # all values are equal: a share q of other rows, Wilson's upper end at 0, could be of any value in [0, 1]
        share = z**2 / (n + z**2)
        low, high = value * (1 - share), value + (1 - value) * share
    else:
        z2 = z**2 * shown / (value * (1 - value))
        centre = (value + z2 / 2) / (1 + z2)
        half = (z2 * value * (1 - value) + z2**2 / 4) ** 0.5 / (1 + z2)
        low, high = centre - half, centre + half
    added = z * unseen**0.5
    return max(0.0, value - math.hypot(value - low, added)), min(1.0, value + math.hypot(high - value, added))


def bca(value: float, replicates: Values, accelerated: float, level: float = LEVEL) -> tuple[float, float]:
    """Returns the bias-corrected and accelerated percentile interval (Efron 1987, eq. 6.8); ties with the value count half."""
    share = float((replicates < value - 1e-12).mean() + (np.abs(replicates - value) <= 1e-12).mean() / 2)
    edge = 0.5 / len(replicates)
    bias = _NORMAL.inv_cdf(min(max(share, edge), 1 - edge))
    ends = []
    for probability in (0.5 - level / 2, 0.5 + level / 2):
        shifted = bias + _NORMAL.inv_cdf(probability)
        ends.append(_NORMAL.cdf(bias + shifted / (1 - accelerated * shifted)))
    low, high = np.quantile(replicates, ends)
    return float(low), float(high)


def acceleration(cells: Cells, statistic: Statistic) -> float:
    """BCa's acceleration by the jackknife (Efron 1987, eq. 6.6): leave out one row of each cell in turn."""
    counts = cells.counts
    if len(counts) > JACKKNIFE_CELLS:
        return 0.0
    left_out = statistic(counts - np.eye(len(counts)))
    defined = ~np.isnan(left_out)
    weights = counts[defined] / counts[defined].sum()
    gaps = weights @ left_out[defined] - left_out[defined]
    squares = float(counts[defined] @ gaps**2)
    return float(counts[defined] @ gaps**3) / (6 * squares**1.5) if squares > 1e-18 else 0.0
