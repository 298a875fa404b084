"""Texts that a wrong encoding has damaged."""

from __future__ import annotations

import numpy as np

from tunesmith.data.checks.labelled import damage
from tunesmith.diagnosis.evidence import Diagnosis, Evidence

NAME = "encoding_damage"


def encoding_damage(evidence: Evidence) -> Diagnosis:
    """Rows that hold characters which reading with a wrong encoding leaves behind. The score is 0 for them, else 1."""
    pairs = evidence.rows.pairs or [""] * len(evidence)
    reasons = {}
    for i, (text, pair) in enumerate(zip(evidence.rows.texts, pairs, strict=True)):
        if found := damage(text) or damage(pair):
            reasons[i] = f"holds {found.group()!r}"
    flagged = np.zeros(len(evidence), dtype=bool)
    flagged[list(reasons)] = True
    summary = f"{len(reasons):,} of {len(evidence):,} rows hold characters that a wrong encoding leaves behind."
    remedy = "Read the source again with the right encoding, or repair these texts." if reasons else ""
    return Diagnosis(NAME, summary, (), np.where(flagged, 0.0, 1.0), flagged, reasons=reasons, remedy=remedy)
