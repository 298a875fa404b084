"""Rows without a label: which they are, and the class a model of the others would give them."""

from __future__ import annotations

import numpy as np

from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence

NAME = "unlabelled"
SURE = 0.8
"""Probability from which a proposed label counts as likely in the summary."""


def unlabelled(evidence: Evidence) -> Diagnosis:
    """Rows without a label. The score is 1 minus the probability of the proposed class, NaN for all other rows.

    It is a proposal like any other: a class that no row of the data bears cannot be proposed.
    """
    flagged = np.array([label is None for label in evidence.rows.labels], dtype=bool)
    rows, where = np.flatnonzero(flagged).tolist(), f"{len(evidence):,} rows of {evidence.rows.split}"
    if not rows:
        return Diagnosis(NAME, f"All {where} have a label.", (), None, flagged)
    summary = f"{len(rows):,} of {where} have no label"
    if evidence.pred_probs is None:
        return Diagnosis(NAME, f"{summary}.", (), None, flagged, reasons=dict.fromkeys(rows, "no label"))
    best = evidence.pred_probs.argmax(axis=1)
    chance = evidence.pred_probs.max(axis=1)
    likely = int((chance[flagged] >= SURE).sum())
    reasons = {i: f"no label, looks like {evidence.name(int(best[i]))} ({chance[i]:.0%})" for i in rows}
    return Diagnosis(
        NAME, f"{summary}; each has a proposed one, {likely:,} of them with a probability of {SURE:.0%} or more.", (),
        np.where(flagged, np.clip(1 - chance, 0, 1), np.nan), flagged, np.where(flagged, best, UNLABELLED), reasons,
        remedy="Label them, for instance on the review page; a proposal is no label.",
    )  # fmt: skip
