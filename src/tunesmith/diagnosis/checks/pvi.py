"""Pointwise V-information (PVI), the bits of the label that a model reads from the text, and its mean, V-information.

Ethayarajh et al. 2022, "Understanding Dataset Difficulty with V-Usable Information". PVI(x, y) = log2 g'[x](y) - log2 g[null](y),
where g' is a model of the texts that was not trained on the row, and g one of the labels alone. The best g by log loss is the
class prior, so it is the default: PVI then ranks rows of one class as their loss does, and makes classes comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.personal import masked
from tunesmith.diagnosis.evidence import UNINFORMED, UNLABELLED, Diagnosis, Evidence, ranks, scatter_rows, skip, skip_if_missing
from tunesmith.evaluation.metrics.resample import LEVEL, Resampling, cluster_numbers, resampled_sums

NAME = "pvi"
SMALLEST = 1e-12
"""Smaller probabilities are clipped to this, so that one row cannot have infinite information."""
RESAMPLES = 2_000
MODEL_WEIGHTS = tuple(i / 10 for i in range(31))
"""Weights of the model against the prior that are tried: 0 to 3; above 1 the model was underconfident."""
MIN_ROWS = 20
"""Fewest labelled rows of a value for a mean; rarer values are only counted."""
MISSING = "(missing)"
SHOWN = 3


@dataclass(frozen=True)
class Information:
    """V-information of N rows.

    Attributes:
        pvi: of each row (N), bits.
        null_entropy: surprisal of each row's label without its text (N), bits.
        v_information: mean PVI = H_V(Y) - H_V(Y|X), bits.
        accuracy: of the model's most probable class.
    """

    pvi: Array
    null_entropy: Array
    v_information: float
    accuracy: float


def prior_log2(given: Array, n_classes: int) -> Array:
    """log2 of the share of each class (K) among labelled rows; a class without rows counts half a row."""
    counts = np.bincount(given[given != UNLABELLED], minlength=n_classes).astype(float)
    return np.asarray(np.log2(np.maximum(counts, 0.5) / max(1.0, counts.sum())))


def information(pred_probs: Array, given: Array, null_log2: Array | None = None) -> Information:
    """Computes PVI of every row and its mean.

    Args:
        pred_probs: out-of-fold probabilities (N, K).
        given: class ids (N), all of them labelled.
        null_log2: log2 of the null model's probability of each row's label (N); None: the class prior.
    """
    rows = np.arange(len(given))
    null_entropy = -(prior_log2(given, pred_probs.shape[1])[given] if null_log2 is None else null_log2)
    pvi = null_entropy + np.log2(np.clip(pred_probs[rows, given], SMALLEST, 1))
    accuracy = float((pred_probs.argmax(axis=1) == given).mean())
    return Information(pvi, null_entropy, float(pvi.mean()), accuracy)


def bounds(null_entropy: Array, n_classes: int) -> tuple[Array, Array]:
    """PVI below which (N) the model is certainly wrong, and above which (N) it is certainly right.

    p(y) < 1 / K cannot be the largest of K probabilities, p(y) > 1 / 2 must be, and p(y) = 2^(PVI - H_null).
    """
    return null_entropy - np.log2(n_classes), null_entropy - 1


def pvi(evidence: Evidence) -> Diagnosis:
    """Ranks labelled rows by PVI and flags rows below 0 on which the model is certainly wrong."""
    if skipped := skip_if_missing(NAME, evidence, "pred_probs"):
        return skipped
    assert evidence.pred_probs is not None
    values, given = evidence_information(evidence, evidence.pred_probs), evidence.given[evidence.labelled]
    low, _ = bounds(values.null_entropy, evidence.labels.n)
    informed = evidence.is_informed
    badness, flagged = scatter_rows(evidence, -values.pvi, informed & (values.pvi < low) & (values.pvi < 0))
    counts = np.bincount(given, minlength=evidence.labels.n)
    per_class = {evidence.class_name(k): float(values.pvi[given == k].mean()) for k in np.flatnonzero(counts).tolist()}
    summary = (
        f"The text gives {values.v_information:.3f} of {values.null_entropy.mean():.3f} bits of the label "
        f"({evidence.method or 'a'} model, accuracy {values.accuracy:.3f})"
    )
    summary += f"; {plural(int(flagged.sum()), 'row', 'has', 'have')} a negative PVI." if informed else f". {UNINFORMED}"
    figures = {
        "bits_of_row": -badness,
        "v_information_bits": values.v_information,
        "entropy_bits": float(values.null_entropy.mean()),
        "accuracy": values.accuracy,
        "mean_pvi_bits_of_class": per_class,
    }
    reasons = {
        i: f"PVI {-badness[i]:.2f} bits: the text lowers the probability of  {evidence.class_name(int(evidence.given[i]))}"
        for i in np.flatnonzero(flagged).tolist()
    }
    hardest = listed(f"{name} ({bits:.2f} bits)" for name, bits in sorted(per_class.items(), key=lambda item: item[1])[:3])
    return Diagnosis(
        NAME,
        summary,
        ("pred_probs",),
        scores=ranks(badness),
        flagged=flagged,
        reasons=reasons,
        figures=figures,
        remedy=f"Hardest: {hardest}." if per_class else "",
    )


def evidence_information(evidence: Evidence, pred_probs: Array) -> Information:
    """``information`` of the labelled rows for probabilities (N, K) of all rows, with the null model of the evidence."""
    rows = evidence.labelled
    null = None if evidence.null_log2 is None else evidence.null_log2[rows]
    return information(pred_probs[rows], evidence.given[rows], null)


def tempered(pred_probs: Array, given: Array, folds: Array) -> Array:
    """Mixes probabilities (N, K) with the class prior: p^a prior^(1 - a), normalised, with a fitted on the other folds' rows.

    V-information is that of the best model of a family, and every family has models that ignore the text (optional
    ignorance, Xu et al. 2020): it cannot be below 0. Overconfident models of an uninformative input are far below. Here
    a = 0 is the class prior, a = 1 the model as it is, and a minimises the loss on the out-of-fold rows of all other folds.

    Args:
        given: class ids (N); unlabelled rows are not fitted to, and get probabilities, too.
    """
    n_classes = pred_probs.shape[1]
    log_p = np.log(np.clip(pred_probs, SMALLEST, 1))
    best = np.empty_like(log_p)
    for fold in np.unique(folds).tolist():
        rest, held = np.flatnonzero((folds != fold) & (given != UNLABELLED)), folds == fold
        log_prior = prior_log2(given[rest], n_classes) * np.log(2)
        losses = [-mixed(log_p[rest], log_prior, weight)[np.arange(len(rest)), given[rest]].sum() for weight in MODEL_WEIGHTS]
        best[held] = mixed(log_p[held], log_prior, MODEL_WEIGHTS[int(np.argmin(losses))])
    return np.asarray(np.exp(best))


def mixed(log_p: Array, log_prior: Array, weight: float) -> Array:
    """Logarithms (N, K) of p^weight prior^(1 - weight), normalised."""
    raw = weight * log_p + (1 - weight) * log_prior
    raw -= raw.max(axis=1, keepdims=True)
    return np.asarray(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)))


def conditional_information(with_text: Array, with_part: Array) -> Array:
    """Pointwise information (N), bits, of the whole text beyond a part t(x) of it: log2 p(y | x) - log2 p(y | t(x)).

    Args:
        with_text, with_part: probabilities (N) of each row's label by a model of the whole and one of the part.
    """
    return np.asarray(np.log2(np.clip(with_text, SMALLEST, 1)) - np.log2(np.clip(with_part, SMALLEST, 1)))


def mean_interval(
    values: Array, clusters: Array | None = None, n_resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of the mean of values (N), see ``ratio_interval``."""
    return ratio_interval(values, np.ones(len(values)), clusters, n_resamples, level)


def ratio_interval(
    values: Array, sizes: Array, clusters: Array | None = None, n_resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of sum(values) / sum(sizes) (N each) by bootstrap over rows, or over clusters (N); NaN for fewer than two.

    Expanded percentiles (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"): plain ones are too narrow for few.
    Large samples get fewer resamples; their means are near normal.
    """
    resampling = Resampling(n_resamples, clusters=cluster_numbers(clusters))
    sums = resampled_sums(np.stack([values, sizes], axis=1), resampling)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = sums[:, 0] / sums[:, 1]
    return expanded_percentiles(ratios, resampling.n_clusters or len(values), level)


def expanded_percentiles(replicates: Array, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Returns the ends of the interval from the replicates (B) of a statistic of n units; NaN for fewer than two units."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    if n < 2 or not np.isfinite(replicates).all():
        return float("nan"), float("nan")
    tail = NormalDist().cdf(float(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2)))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def slices(evidence: Evidence, column: str, cells: Sequence[object]) -> Diagnosis:
    """Computes mean PVI of the rows with each value of a column, the lowest first, with 95 % intervals.

    It is no V-information of the slice: no model was trained for it, and the null model is that of all rows. A slice differs if
    the interval of its difference from all other rows excludes 0; these hold for all values of the column together (Bonferroni).

    Args:
        cells: of that column, one a row (N). Personal data in them are masked.
    """
    name = f"slices_{column}"
    if skipped := skip_if_missing(name, evidence, "pred_probs"):
        return skipped
    assert evidence.pred_probs is not None
    rows = evidence.labelled
    values = np.array([MISSING if is_missing(cells[i]) else str(cells[i]) for i in rows.tolist()], dtype=object)
    names, place, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    large = np.flatnonzero(counts >= MIN_ROWS).tolist()
    if not large:
        return skip(name, f"no value of {column} has {MIN_ROWS} rows with a label")
    information = evidence_information(evidence, evidence.pred_probs)
    right = evidence.pred_probs[rows].argmax(axis=1) == evidence.given[rows]
    units = evidence.clusters[rows]
    level = 1 - (1 - LEVEL) / len(large)
    table = [
        {"column": column, "value": masked(str(names[k])), **slice_figures(information.pvi, right, units, place == k, level)}
        for k in large
    ]
    table.sort(key=lambda row: row["mean_pvi_bits"])
    shown = f"{slice_words(column, table)}; all rows {information.v_information:.2f}."
    if n_small := len(names) - len(large):
        n_rows = len(rows) - int(counts[large].sum())
        shown += f" Left out: {plural(n_small, 'value')} with fewer than {MIN_ROWS} rows, {plural(n_rows, 'row')} in all."
    return Diagnosis(name, f"{shown} {different_slices(table)}", ("pred_probs",), figures={"table": table})


def slice_figures(pvi: Array, right: Array, clusters: Array, inside: Array, level: float) -> dict[str, Any]:
    """Mean PVI with its interval and accuracy of the rows of one value, and the difference of the mean from the other rows.

    Args:
        inside: (N) bool, the rows of the value.
        level: of the interval of the difference.
    """
    low, high = mean_interval(pvi[inside], clusters[inside])
    difference = {"difference": float("nan"), "difference_low": float("nan"), "difference_high": float("nan")}
    if not inside.all():
        ends = difference_interval(pvi, inside, clusters, level)
        difference = dict(zip(difference, (float(pvi[inside].mean() - pvi[~inside].mean()), *ends), strict=True))
    mean, n = float(pvi[inside].mean()), int(inside.sum())
    return {"n": n, "mean_pvi_bits": mean, "low": low, "high": high, "accuracy": float(right[inside].mean()), **difference}


def difference_interval(values: Array, inside: Array, clusters: Array, level: float) -> tuple[float, float]:
    """Interval of the mean of the values (N) inside minus that outside, by bootstrap over clusters (N)."""
    resampling = Resampling(RESAMPLES, clusters=cluster_numbers(clusters))
    sums = resampled_sums(np.stack([values * inside, inside, values * ~inside, ~inside], axis=1), resampling)
    with np.errstate(divide="ignore", invalid="ignore"):
        differences = sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]
    n_units = [len(np.unique(clusters[part])) for part in (inside, ~inside)]
    return expanded_percentiles(differences[np.isfinite(differences)], min(n_units), level)


def different_slices(table: Sequence[dict[str, Any]]) -> str:
    """Names the values that are harder or easier than the other rows by the corrected intervals."""
    harder = [row["value"] for row in table if row["difference_high"] < 0]
    easier = [row["value"] for row in table if row["difference_low"] > 0]
    parts = [f"{word} than the other rows: {listed(names)}" for word, names in (("harder", harder), ("easier", easier)) if names]
    together = f"for all {plural(len(table), 'value')} together"
    if not parts:
        return f"None differs from the other rows ({together})."
    first, *rest = parts
    return f"{'; '.join([first[0].upper() + first[1:], *rest])} ({together})."


def slice_words(column: str, table: Sequence[dict[str, Any]]) -> str:
    """Names the values with the lowest mean PVI."""
    worst = listed(
        f"{row['value']} {row['mean_pvi_bits']:z.2f} [{row['low']:z.2f}, {row['high']:z.2f}] (accuracy {row['accuracy']:.2f}, "
        f"{plural(row['n'], 'row')})"
        for row in table[:SHOWN]
    )
    more = f"; {len(table) - SHOWN:,} more" if len(table) > SHOWN else ""
    return f"Mean PVI by {column}, in bits, lowest first: {worst}{more}"
