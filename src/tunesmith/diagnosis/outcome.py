"""From diagnoses to what a user gets: findings, one row a data row, proposed corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.checks.labelled import label_words, public_text
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.personal import masked
from tunesmith.diagnosis.checks.privacy import NAME as PERSONAL
from tunesmith.diagnosis.checks.suspects import NAME as SUSPECTS
from tunesmith.diagnosis.checks.unlabelled import NAME as BLANK
from tunesmith.diagnosis.evidence import LISTED, UNLABELLED, Diagnosis, Evidence, worst_first
from tunesmith.results import TEXT_CHARACTERS, Finding


def finding_of(diagnosis: Diagnosis, evidence: Evidence) -> Finding:
    """A diagnosis as result files and reports hold it; the first fifty flagged rows are named.

    Rows with personal data are named without their text.
    """
    rows = tuple(
        {"row_id": evidence.row_ids[i], "split": evidence.rows.split, "reason": diagnosis.reasons.get(i, ""),
         **public_text(evidence.rows, i, TEXT_CHARACTERS)}
        for i in worst_first(diagnosis)[:LISTED]
    )  # fmt: skip
    n_flagged = 0 if diagnosis.flagged is None else int(diagnosis.flagged.sum())
    return Finding(diagnosis.name, diagnosis.summary, n_flagged, diagnosis.skipped, rows, diagnosis.remedy)


def private_rows(diagnoses: Sequence[Diagnosis]) -> frozenset[int]:
    """Positions of the rows that hold personal data: their texts must not be repeated."""
    return frozenset(i for diagnosis in diagnoses if diagnosis.name == PERSONAL for i in diagnosis.reasons)


def texts_to_read(texts: Sequence[str], diagnoses: Sequence[Diagnosis], characters: int) -> list[str]:
    """The beginnings of the texts (N) for somebody who decides on them, personal data masked."""
    private = private_rows(diagnoses)
    return [(masked(text) if i in private else text)[:characters] for i, text in enumerate(texts)]


def agreeing(diagnoses: Sequence[Diagnosis], n: int) -> list[list[str]]:
    """For each row (N) the names of the diagnoses that flag it."""
    names: list[list[str]] = [[] for _ in range(n)]
    for diagnosis in diagnoses:
        for i in [] if diagnosis.flagged is None else np.flatnonzero(diagnosis.flagged).tolist():
            names[i].append(diagnosis.name)
    return names


def leading(diagnoses: Sequence[Diagnosis]) -> Diagnosis:
    """What the tables lead with: the suspect labels, and with them a proposed label for each row that has none."""
    by_name = {diagnosis.name: diagnosis for diagnosis in diagnoses}
    main, blank = by_name[SUSPECTS], by_name[BLANK]
    if blank.scores is None or blank.flagged is None or blank.proposed is None:
        return main
    scores, proposed, flagged = blank.scores, blank.proposed, blank.flagged
    if main.scores is not None and main.flagged is not None and main.proposed is not None:
        scores, proposed = (np.where(flagged, *both) for both in ((scores, main.scores), (proposed, main.proposed)))
        flagged = flagged | main.flagged
    return replace(main, scores=scores, flagged=flagged, proposed=proposed, reasons={**main.reasons, **blank.reasons})


def row_columns(evidence: Evidence, diagnoses: Sequence[Diagnosis], main: Diagnosis) -> dict[str, list[Any]]:
    """The columns of the rows' table for one split.

    Args:
        main: the diagnosis whose score, flag and proposal the table leads with.
    """
    n = len(evidence)
    scores = main.scores if main.scores is not None else np.full(n, np.nan)
    flagged = main.flagged if main.flagged is not None else np.zeros(n, dtype=bool)
    proposed = main.proposed if main.proposed is not None else np.full(n, UNLABELLED)
    private = private_rows(diagnoses)
    columns: dict[str, list[Any]] = {
        "row_id": list(evidence.row_ids), "split": [evidence.rows.split] * n,
        "given": [label_words(label, evidence.labels) or None for label in evidence.rows.labels],
        "proposed": [named(evidence, label) for label in proposed],
        "score": numbers(scores), "flagged": flagged.tolist(),
        "diagnoses": agreeing(diagnoses, n),
        "reason": [reason_of(i, main, diagnoses) for i in range(n)],
        "text": ["" if i in private else text[:TEXT_CHARACTERS] for i, text in enumerate(evidence.rows.texts)],
    }  # fmt: skip
    for diagnosis in diagnoses:
        if diagnosis.scores is not None:
            columns[f"{diagnosis.name}_score"] = numbers(diagnosis.scores)
    return columns


def named(evidence: Evidence, label: int) -> str | None:
    """The name of a class; None for no label."""
    return evidence.labels.names[label] if label != UNLABELLED else None


def numbers(values: Array) -> list[float | None]:
    """Floats with None for NaN, as parquet and JSON hold them."""
    return [None if np.isnan(value) else float(value) for value in values.tolist()]


def reason_of(position: int, main: Diagnosis, diagnoses: Sequence[Diagnosis]) -> str:
    """Why a row is to be looked at: the leading diagnosis' words, then what those of the others add to them."""
    said: list[str] = []
    for diagnosis in [main, *(diagnosis for diagnosis in diagnoses if diagnosis.name != main.name)]:
        words = diagnosis.reasons.get(position, "")
        if not any(earlier.endswith(words) for earlier in said):
            said.append(words)
    return "; ".join(filter(None, said))


def corrections_of(evidence: Evidence, diagnoses: Sequence[Diagnosis], main: Diagnosis) -> list[Correction]:
    """A proposed label for every row that the leading diagnosis flags, the worst first; rows without a label come last."""
    if main.proposed is None or main.scores is None:
        return []
    agree = agreeing(diagnoses, len(evidence))
    return [
        Correction(
            evidence.row_ids[i], evidence.rows.split, named(evidence, int(evidence.given[i])) or "",
            evidence.name(int(main.proposed[i])), float(main.scores[i]), tuple(agree[i]), main.reasons.get(i, ""),
            source_sha256=evidence.rows.sha256,
        )
        for i in sorted(worst_first(main), key=lambda i: evidence.rows.labels[i] is None) if main.proposed[i] != UNLABELLED
    ]  # fmt: skip
