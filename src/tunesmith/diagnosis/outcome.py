"""Outputs of a diagnosis: findings, the rows' table, proposed corrections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.checks.labelled import label_words, public_text
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.personal import masked
from tunesmith.data.table import Examples, file_columns
from tunesmith.diagnosis.checks.label_errors import SUSPECTS
from tunesmith.diagnosis.checks.rows import NO_LABEL, PERSONAL_DATA
from tunesmith.diagnosis.evidence import ROWS_IN_FINDING, UNLABELLED, Diagnosis, Evidence, worst_first
from tunesmith.disk import write_text
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.results import TEXT_CHARACTERS, Finding, finite


def make_finding(diagnosis: Diagnosis, evidence: Evidence) -> Finding:
    """Converts a diagnosis for result files and reports; the first fifty flagged rows are listed.

    Rows with personal data are listed without their text.
    """
    rows = tuple(
        {
            "row_id": evidence.row_ids[i],
            "split": evidence.rows.split,
            "reason": diagnosis.reasons.get(i, ""),
            **public_text(evidence.rows, i, TEXT_CHARACTERS),
        }
        for i in worst_first(diagnosis)[:ROWS_IN_FINDING]
    )
    n_flagged = 0 if diagnosis.flagged is None else int(diagnosis.flagged.sum())
    return Finding(diagnosis.name, diagnosis.summary, n_flagged, diagnosis.skipped, rows, diagnosis.remedy)


def private_rows(diagnoses: Sequence[Diagnosis]) -> frozenset[int]:
    """Returns positions of the rows with personal data, whose texts must not be repeated."""
    return frozenset(i for diagnosis in diagnoses if diagnosis.name == PERSONAL_DATA for i in diagnosis.reasons)


def review_texts(texts: Sequence[str], diagnoses: Sequence[Diagnosis], characters: int) -> list[str]:
    """Returns the beginnings of the texts (N) for a reviewer, personal data masked."""
    private = private_rows(diagnoses)
    return [(masked(text) if i in private else text)[:characters] for i, text in enumerate(texts)]


def flagging_names(diagnoses: Sequence[Diagnosis], n: int) -> list[list[str]]:
    """For each row (N) the names of the diagnoses that flag it."""
    names: list[list[str]] = [[] for _ in range(n)]
    for diagnosis in diagnoses:
        for i in [] if diagnosis.flagged is None else np.flatnonzero(diagnosis.flagged).tolist():
            names[i].append(diagnosis.name)
    return names


def leading_diagnosis(diagnoses: Sequence[Diagnosis]) -> Diagnosis:
    """Returns the first columns of the tables: suspect labels, with a proposed label for each unlabelled row."""
    by_name = {diagnosis.name: diagnosis for diagnosis in diagnoses}
    main, blank = by_name[SUSPECTS], by_name[NO_LABEL]
    if blank.scores is None or blank.flagged is None or blank.proposed is None:
        return main
    scores, proposed, flagged = blank.scores, blank.proposed, blank.flagged
    if main.scores is not None and main.flagged is not None and main.proposed is not None:
        scores, proposed = (np.where(flagged, *both) for both in ((scores, main.scores), (proposed, main.proposed)))
        flagged = flagged | main.flagged
    return replace(main, scores=scores, flagged=flagged, proposed=proposed, reasons={**main.reasons, **blank.reasons})


def row_columns(evidence: Evidence, diagnoses: Sequence[Diagnosis], main: Diagnosis) -> dict[str, list[Any]]:
    """Returns the columns of the rows' table for one split.

    Args:
        main: the diagnosis whose score, flag and proposal come first, see ``leading_diagnosis``.
    """
    n = len(evidence)
    flagged = main.flagged if main.flagged is not None else np.zeros(n, dtype=bool)
    proposed = main.proposed if main.proposed is not None else np.full(n, UNLABELLED)
    private = private_rows(diagnoses)
    columns: dict[str, list[Any]] = {
        "row_id": list(evidence.row_ids),
        "split": [evidence.rows.split] * n,
        "given": [label_words(label, evidence.labels) or None for label in evidence.rows.labels],
        "proposed": [class_name_or_none(evidence, label) for label in proposed],
        "score": [None] * n if main.scores is None else plain_floats(main.scores),
        "flagged": flagged.tolist(),
        "diagnoses": flagging_names(diagnoses, n),
        "reason": [row_reason(i, main, diagnoses) for i in range(n)],
        "text": ["" if i in private else text[:TEXT_CHARACTERS] for i, text in enumerate(evidence.rows.texts)],
        **file_columns(evidence.rows),
    }
    for diagnosis in diagnoses:
        if diagnosis.scores is not None:
            columns[f"{diagnosis.name}_score"] = plain_floats(diagnosis.scores)
        if "bits_of_row" in diagnosis.figures:
            columns[f"{diagnosis.name}_bits"] = plain_floats(diagnosis.figures["bits_of_row"])
    return columns


def class_name_or_none(evidence: Evidence, label: int) -> str | None:
    return evidence.labels.names[label] if label != UNLABELLED else None


def plain_floats(values: Array) -> list[float | None]:
    """Returns floats with None for NaN, for parquet and JSON."""
    return [None if np.isnan(value) else float(value) for value in values.tolist()]


def row_reason(position: int, main: Diagnosis, diagnoses: Sequence[Diagnosis]) -> str:
    """Joins the leading diagnosis' reason for a row and those of the others that add to it."""
    reasons: list[str] = []
    for diagnosis in [main, *(diagnosis for diagnosis in diagnoses if diagnosis.name != main.name)]:
        reason = diagnosis.reasons.get(position, "")
        if not any(earlier.endswith(reason) for earlier in reasons):
            reasons.append(reason)
    return "; ".join(filter(None, reasons))


def correction_place(rows: Examples, row_id: int) -> dict[str, Any]:
    """Returns the fields that name a row in its own file: its position, the sha256 of the file, its name."""
    place = rows.row_of_file(row_id)
    if place is None:
        return {"row_id": row_id, "source_sha256": rows.sha256}
    return {"row_id": place.row_id, "source_sha256": place.file.sha256, "source": place.file.source}


def make_corrections(evidence: Evidence, diagnoses: Sequence[Diagnosis], main: Diagnosis) -> list[Correction]:
    """Returns a proposed label for every row that the leading diagnosis flags, the worst first; unlabelled rows come last."""
    if main.proposed is None or main.scores is None:
        return []
    names, rows = flagging_names(diagnoses, len(evidence)), evidence.rows
    order = sorted(worst_first(main), key=lambda i: evidence.rows.labels[i] is None)
    return [
        Correction(
            **correction_place(rows, evidence.row_ids[i]),
            split=rows.split,
            given=class_name_or_none(evidence, int(evidence.given[i])) or "",
            proposed=evidence.class_name(int(main.proposed[i])),
            score=float(main.scores[i]),
            diagnoses=tuple(names[i]),
            reason=main.reasons.get(i, ""),
        )
        for i in order
        if main.proposed[i] != UNLABELLED
    ]


def write_record(path: Path, plain: Mapping[str, Any]) -> None:
    """Writes an outcome as JSON, with versions, machine and peak memory."""
    record = {**plain, "environment": environment(), "peak_memory_bytes": peak_memory_bytes()}
    write_text(path, json.dumps(finite(record), indent=2, ensure_ascii=False) + "\n")
