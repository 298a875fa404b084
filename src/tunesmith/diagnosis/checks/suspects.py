"""The leading check: the probability that each label is wrong."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.checks.dynamics import area_under_margin, tracked_logits
from tunesmith.diagnosis.checks.label_errors import probability_words, update_by_margins
from tunesmith.diagnosis.checks.label_noise import LabelNoise, label_noise
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, scatter_rows, skip, skip_if_missing

NAME = "suspect_labels"
MIN_PROBABILITY = 0.2
"""Flags rows from this probability of a wrong label: at most five are read to find one."""


def suspect_labels(evidence: Evidence) -> Diagnosis:
    """Computes each row's probability of a wrong label: ``label_noise``, then ``update_by_margins`` for tracked rows.

    The score is 1 minus it; the proposal is the most probable other class of the out-of-fold model. Rows from
    ``MIN_PROBABILITY`` on are flagged.
    """
    if skipped := skip_if_missing(NAME, evidence, "pred_probs"):
        return skipped
    assert evidence.pred_probs is not None
    labelled = evidence.labelled
    given = evidence.given[labelled]
    if len(np.unique(given)) < 2:
        return skip(NAME, "it needs rows of two classes")
    noise = label_noise(evidence.pred_probs[labelled], given)
    wrong = update_by_margins(noise.wrong, training_margins(evidence)[labelled])
    scores, flagged = scatter_rows(evidence, 1 - wrong, wrong >= MIN_PROBABILITY)
    others = evidence.pred_probs.copy()
    others[labelled, given] = -1
    proposed = np.where(flagged, others.argmax(axis=1), UNLABELLED)
    reasons = {
        i: f"{1 - scores[i]:.0%} to be wrong: {probability_words(evidence, i, int(proposed[i]))}"
        for i in np.flatnonzero(flagged).tolist()
    }
    figures = {
        "noise_rate": noise.rate,
        "noise_low": noise.low,
        "noise_high": noise.high,
        "temperature": noise.temperature,
        "wrong_among_flagged": float(wrong[flagged[labelled]].sum()),
    }
    return Diagnosis(
        NAME,
        noise_summary(evidence, noise, int(flagged.sum()), len(labelled)),
        ("pred_probs",),
        scores=scores,
        flagged=flagged,
        proposed=proposed,
        reasons=reasons,
        remedy="Look through them, worst first; correct the file and train again." if flagged.any() else "",
        figures=figures,
    )


def training_margins(evidence: Evidence) -> Array:
    """AUM of every row (N); NaN for rows without logits of a training run."""
    margins = np.full(len(evidence), np.nan)
    if evidence.epoch_logits is not None:
        rows, logits, given = tracked_logits(evidence)
        margins[rows] = area_under_margin(logits, given)
    return margins


def noise_summary(evidence: Evidence, noise: LabelNoise, n_flagged: int, n: int) -> str:
    """The share of wrong labels and the number of flagged rows, in two sentences."""
    between = f"(95 %: {noise.low:.1%} to {noise.high:.1%})"
    share = f"About {noise.rate:.1%} of the {n:,} labels of {evidence.rows.split} are wrong {between}."
    if not n_flagged:
        return f"{share} No row stands out."
    return f"{share} {n_flagged:,} rows are flagged for review: each has at least one chance in five to be wrong."
