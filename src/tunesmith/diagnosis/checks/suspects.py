"""Labels that are probably wrong, each with its probability: the diagnosis that leads."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.checks.dynamics import area_under_margin, followed
from tunesmith.diagnosis.checks.label_errors import chance_words
from tunesmith.diagnosis.checks.label_noise import LabelNoise, label_noise
from tunesmith.diagnosis.checks.margin_evidence import updated
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, lacking, on_all_rows, skip

NAME = "suspect_labels"
WORTH_A_LOOK = 0.2
"""Rows are flagged from this probability to be wrong: at most five are looked at to find one."""


def suspect_labels(evidence: Evidence) -> Diagnosis:
    """Each row's probability to be labelled wrongly: see ``label_noise`` and, for rows that a training run had,
    ``margin_evidence``. The score is 1 minus it; the proposal is the class that the held-out model finds most probable of the
    others. Rows from ``WORTH_A_LOOK`` on are flagged."""
    if skipped := lacking(NAME, evidence, "pred_probs"):
        return skipped
    assert evidence.pred_probs is not None
    labelled = evidence.labelled
    if len(np.unique(evidence.given[labelled])) < 2:
        return skip(NAME, "it needs rows of two classes")
    given = evidence.given[labelled]
    noise = label_noise(evidence.pred_probs[labelled], given)
    wrong = updated(noise.wrong, followed_margins(evidence)[labelled])
    scores, flagged = on_all_rows(evidence, 1 - wrong, wrong >= WORTH_A_LOOK)
    others = evidence.pred_probs.copy()
    others[labelled, given] = -1
    proposed = np.where(flagged, others.argmax(axis=1), UNLABELLED)
    reasons = {
        int(i): f"{1 - scores[i]:.0%} to be wrong: {chance_words(evidence, int(i), int(proposed[i]))}"
        for i in np.flatnonzero(flagged)
    }
    figures = {"noise_rate": noise.rate, "noise_low": noise.low, "noise_high": noise.high, "temperature": noise.temperature,
               "wrong_among_flagged": float(wrong[flagged[labelled]].sum())}  # fmt: skip
    remedy = "Look through them, worst first; correct the file and train again." if flagged.any() else ""
    return Diagnosis(
        NAME, summary(evidence, noise, int(flagged.sum()), len(labelled)), ("pred_probs",), scores, flagged, proposed, reasons,
        remedy=remedy, figures=figures,
    )  # fmt: skip


def followed_margins(evidence: Evidence) -> Array:
    """AUM of every row (N); NaN where no training run had it."""
    margins = np.full(len(evidence), np.nan)
    if evidence.epoch_logits is not None:
        rows, logits, given = followed(evidence)
        margins[rows] = area_under_margin(logits, given)
    return margins


def summary(evidence: Evidence, noise: LabelNoise, n_flagged: int, n: int) -> str:
    """How many labels are wrong and how many rows to look at for them, in two sentences."""
    between = f"(95 %: {noise.low:.1%} to {noise.high:.1%})"
    share = f"About {noise.rate:.1%} of the {n:,} labels of {evidence.rows.split} are wrong {between}."
    if not n_flagged:
        return f"{share} No row stands out."
    return f"{share} {n_flagged:,} rows are worth a look: each has at least one chance in five to be wrong."
