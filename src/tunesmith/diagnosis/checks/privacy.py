"""Personal data in texts: found and counted by row, never copied."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.personal import personal_data_kinds
from tunesmith.diagnosis.evidence import Diagnosis, Evidence

NAME = "personal_data"


def personal_data(evidence: Evidence) -> Diagnosis:
    """Rows that hold an address, telephone or account number. Neither the summary nor a reason repeats what was found."""
    counts: Counter[str] = Counter()
    reasons: dict[int, str] = {}
    pairs = evidence.rows.pairs or [""] * len(evidence)
    for i, (text, pair) in enumerate(zip(evidence.rows.texts, pairs, strict=True)):
        kinds = list(dict.fromkeys([*personal_data_kinds(text), *personal_data_kinds(pair)]))
        if kinds:
            counts.update(kinds)
            reasons[i] = f"holds what looks like {listed(kinds)}"
    flagged = np.zeros(len(evidence), dtype=bool)
    flagged[list(reasons)] = True
    shown = listed(f"{kind}: {count:,}" for kind, count in counts.most_common())
    summary = (
        f"{len(reasons):,} rows hold what looks like personal data ({shown})."
        if reasons
        else "No row holds an address, telephone or account number."
    )
    remedy = "Replace it by a placeholder before training: a model can repeat what it has seen." if reasons else ""
    return Diagnosis(NAME, summary, (), None, flagged, reasons=reasons, remedy=remedy, figures={"rows_of_kind": dict(counts)})
