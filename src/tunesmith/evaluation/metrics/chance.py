"""Expected metrics of random decisions, and the verdict whether a system is above them.

The random system predicts each class with its share in train, whatever the text (stratified random). Of all systems that ignore
the text it has the highest macro F1: a coin beats the majority class in macro F1, but not this one. MCC is 0 for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI
from tunesmith.evaluation.metrics.intervals import ResampledMetric, few_rows, no_interval, resampling_words
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling, affordable, make_cells, replicate
from tunesmith.evaluation.metrics.table import MetricKind, metric_kind, metric_value
from tunesmith.evaluation.metrics.verdict import smallest_detectable, with_interval
from tunesmith.results import Verdict

CHANCE = "chance"
METRIC = "mcc"
"""The metric by which every system that ignores the text is expected to have 0."""
CORRELATIONS = ("spearman", "pearson")
"""Metrics that are undefined for a constant prediction, which orders nothing; any order that ignores the text has 0."""
PERMUTATIONS, MOST_ROWS = 999, 2_000
"""Rows up to which a metric that is not of decisions is computed for each permutation; with more that takes seconds, and the
interval alone is exact enough."""


def expected_metrics(problem_type: str, labels: Array, shares: Array) -> dict[str, float]:
    """Computes the expected metrics of random decisions on rows with these labels.

    Macro F1 is exact for classes that occur: the number of decisions for a class is binomial, and the share of hits among them
    is expected to be the share of the class. Average precision: Bestgen 2015, "Exact expected average precision of the random
    baseline", eq. 3.

    Args:
        labels: (N,) class ids, or (N, K) of 0 and 1.
        shares: (K,) the probability of each class or label.
    """
    is_multi = problem_type == MULTI
    marked = labels if is_multi else np.eye(len(shares), dtype=np.int64)[labels]
    counts, n = marked.sum(axis=0), len(labels)
    if is_multi:
        accuracy = float(np.prod(np.where(marked == 1, shares, 1 - shares), axis=1).mean())
        micro = float(2 * (counts @ shares) / max(counts.sum() + n * shares.sum(), 1e-12))
    else:
        accuracy = micro = float(counts @ shares / n)
    present = counts > 0
    f1 = [expected_f1(int(count), n, float(share)) for count, share in zip(counts[present], shares[present], strict=True)]
    ranked = present & (counts < n)
    return {
        "accuracy": accuracy,
        "macro_f1": float(np.mean(f1)),
        "micro_f1": micro,
        "mcc": 0.0,
        **({"auroc": 0.5, "average_precision": expected_average_precision(counts[ranked], n)} if ranked.any() else {}),
    }


def expected_f1(n_positive: int, n: int, share: float) -> float:
    """Returns the expected F1 of a class with ``n_positive`` of ``n`` rows that is predicted with probability ``share``."""
    from scipy.stats import binom  # type: ignore[import-untyped]

    n_decided = np.arange(n + 1)
    f1 = 2 * n_decided * (n_positive / n) / (n_positive + n_decided)
    return float(binom.pmf(n_decided, n, share) @ f1)


def expected_average_precision(n_positive: Array, n: int) -> float:
    """Returns the expected average precision of random scores, averaged over classes with ``n_positive`` (K) of ``n`` rows."""
    harmonic = float((1 / np.arange(1, n + 1)).sum()) / n
    return float(np.mean(harmonic + (n_positive - 1) / (n - 1) * (1 - harmonic)))


def chance_verdict(
    metric: str,
    ours: Sequence[Predictions],
    expected: Mapping[str, float],
    problem_type: str,
    split: str,
    resampling: Resampling,
    against: str = CHANCE,
) -> Verdict:
    """Compares a system's metric with its expectation for random decisions, or of a constant prediction.

    With one seed and independent rows the word also needs an exact test: that random permutations of the labels seldom give as
    large a difference.
    """
    kind, n = metric_kind(problem_type, metric), len(ours[0])
    values = [metric_value(kind, system) for system in ours]
    defined = [value for value in values if value is not None]
    empty = Verdict(metric, split, against, None, None, None, word="cannot tell", n=n)
    if len(defined) < len(values):
        return replace(empty, note=f"no value for this run: {kind.undefined}")
    cells = make_cells(ours, resampling.clusters, of_decisions=kind.of_decisions)
    n_used = affordable(len(cells.counts), resampling.n_resamples, kind.reads, 1)
    (drawn,) = replicate(cells, [[kind.statistic(system) for system in cells.systems]], n_used, resampling.seed)
    resampled = ResampledMetric(kind, defined, drawn, cells, few_rows(kind, ours))
    undecided = replace(empty, difference=resampled.value - expected[metric], n_clusters=cells.n_clusters)
    error = resampled.spread
    if error is None:
        return replace(undecided, note=no_interval(cells.n_clusters))
    how = f"bootstrap standard error, {resampling_words(len(drawn), len(ours), cells.members is not None)}"
    is_exact = len(ours) == 1 and cells.members is None and (kind.of_decisions or n <= MOST_ROWS)
    exact = partial(permutation_p_value, kind, ours[0], expected[metric], resampling.seed) if is_exact else None
    undecided = replace(undecided, interval=how, smallest_detectable=smallest_detectable(error, resampling.level))
    ends = kind.ends[0] - expected[metric], kind.ends[1] - expected[metric]
    return with_interval(undecided, error, kind.higher_is_better, exact, resampling.n_candidates, ends)


def permutation_p_value(kind: MetricKind, system: Predictions, expected: float, seed: int) -> float:
    """Returns the p-value of a difference from the expectation, if labels and predictions were independent."""
    observed = abs((metric_value(kind, system) or 0.0) - expected)
    drawn = permuted_tables(kind, system, seed) if kind.of_decisions and system.labels.ndim == 1 else permuted(kind, system, seed)
    gaps = np.abs(drawn[~np.isnan(drawn)] - expected)
    return float(1 + np.count_nonzero(gaps >= observed - 1e-12)) / (1 + len(gaps))


def permuted_tables(kind: MetricKind, system: Predictions, seed: int) -> Array:
    """Computes a metric of decisions for random permutations of the labels: for random tables with the same margins."""
    from scipy.stats import random_table

    n_classes = system.scores.shape[1]
    margins = (np.bincount(of_rows, minlength=n_classes) for of_rows in (system.labels, system.decisions))
    tables = random_table(*margins, seed=np.random.default_rng([seed, 2])).rvs(size=PERMUTATIONS)
    labels, decisions = (axis.ravel() for axis in np.indices((n_classes, n_classes)))
    cells = Predictions(labels, np.zeros((len(labels), n_classes)), decisions)
    return kind.statistic(cells)(tables.reshape(PERMUTATIONS, -1).astype(np.float64))


def permuted(kind: MetricKind, system: Predictions, seed: int) -> Array:
    """Computes any metric for random permutations of the labels, one by one; NaN where it is undefined."""
    rng, n = np.random.default_rng([seed, 2]), len(system)
    drawn = [metric_value(kind, replace(system, labels=system.labels[rng.permutation(n)])) for _ in range(PERMUTATIONS)]
    return np.array([np.nan if value is None else value for value in drawn])
