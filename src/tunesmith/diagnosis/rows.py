"""The story of a diagnosis: rows, twins, out-of-fold probabilities, every diagnosis, a folder of findings.

Every function here is a step; what a diagnosis does stands in ``diagnoses/``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.corrections.corrections_csv import write_corrections
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.near_duplicates import NearDuplicates, near_duplicates
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.agreement import Agreement, Asked
from tunesmith.diagnosis.checks.languages import NAME as LANGUAGE
from tunesmith.diagnosis.checks.languages import language_drift
from tunesmith.diagnosis.checks.leakage import Leaks, leakage, leaks
from tunesmith.diagnosis.checks.table import diagnoses_of
from tunesmith.diagnosis.cross_validation import HeldOut, held_out
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, evidence_of
from tunesmith.diagnosis.input_ablation import changed_diagnoses, columns_asked, wanted_of, write_tables
from tunesmith.diagnosis.outcome import (
    agreeing,
    corrections_of,
    finding_of,
    leading,
    numbers,
    reason_of,
    row_columns,
    texts_to_read,
)
from tunesmith.evaluation.metrics.predictions import SINGLE
from tunesmith.models.source import stay_offline_unless_needed
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.recipe.sections import Recipe
from tunesmith.report.review import Review, ReviewRows, write_review
from tunesmith.results import SCHEMA, Finding, finite
from tunesmith.run_folder import begin, claim, finish, write_record

RESULT = "diagnosis.json"
Judged = tuple[Evidence, list[Diagnosis]]

ROWS, CORRECTIONS, REVIEW = "rows.parquet", "corrections.csv", "review.html"
REVIEW_CHARACTERS = 4_000
READING = ("dropped_rows", "repaired_rows", "unseen_labels")
"""Findings made while the rows were read: rows that no diagnosis can look at."""


@dataclass(frozen=True)
class DataDiagnosis:
    """A finished diagnosis.

    Attributes:
        folder: holds ``diagnosis.json``, ``rows.parquet``, ``corrections.csv`` and ``review.html``.
        n_rows: over all splits.
        n_corrections: rows with a proposed label.
        agreement: with an oracle, for each split; empty where none was asked.
        notes: what the user should know of how the rows were judged.
    """

    folder: Path
    findings: tuple[Finding, ...]
    n_rows: int
    n_corrections: int
    method: str
    timings_seconds: dict[str, float]
    agreement: tuple[Agreement, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = finite(
            {
                "schema": SCHEMA, "findings": [asdict(finding) for finding in self.findings],
                "rows": str(self.folder / ROWS), "corrections": str(self.folder / CORRECTIONS),
                "review": str(self.folder / REVIEW), "n_rows": self.n_rows, "n_corrections": self.n_corrections,
                "method": self.method, "timings_seconds": self.timings_seconds,
                "agreement": [one.to_json() for one in self.agreement], "notes": list(self.notes),
            }
        )  # fmt: skip
        return plain


def diagnose(
    loaded: LoadedRecipe, *, run: Path | None = None, overwrite: bool = False, frames: Mapping[str, Any] | None = None,
    listener: Listener = silent, ask: Callable[[LabelledData], Asked] | None = None,
) -> DataDiagnosis:  # fmt: skip
    """Look at every row of a recipe's data and write what was found beside its output, into ``OUTPUT-diagnosis``.

    Shares of train that the recipe takes for validation or test are judged with train: they are rows of the same file.

    Args:
        run: a finished run on these files, whose training followed its rows (see ``followed.recipe_of_run``).
        ask: what an oracle says of the rows, see ``oracle.asking``.

    Raises:
        InputError: the rows cannot be read or judged; nothing was written.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    recipe = whole_files(loaded.recipe)
    folder = claim(f"{recipe.output}-diagnosis", overwrite=overwrite)
    stay_offline_unless_needed(recipe)
    with clock.phase("data"):
        splits = load_labelled_data(recipe, loaded.base, frames, columns_asked(recipe.diagnose), keep_unlabelled=True)
        wanted = wanted_of(recipe.diagnose, splits, loaded.base)
        rows, starts = pooled(splits)
    asked = None
    if ask is not None:
        with clock.phase("oracle"):
            asked = ask(splits)
    with clock.phase("near-duplicates"):
        near = near_duplicates(rows.texts, rows.pairs)
    known = None
    if splits.labels.problem_type == SINGLE:
        known = held_out(splits, rows, near, recipe, loaded, wanted, run, clock, listener)
    with clock.phase("diagnoses"):
        found = [
            split_diagnoses(part, splits, near, starts[part.split], known, recipe.diagnose.method, listener, asked)
            for part in splits.named().values()
        ]
        findings = tuple(all_findings(splits, found, near, starts))
    begin(folder, loaded.text, resolved_yaml(recipe))
    with clock.phase("save"):
        n_corrections = write_outcome(folder.work, found)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    agreed = () if asked is None else asked.agreements(splits.named(), splits.labels)
    notes = () if known is None or not known.note else (known.note,)
    outcome = DataDiagnosis(
        folder.final, findings, len(rows), n_corrections, recipe.diagnose.method, dict(clock.seconds), agreed, notes
    )
    write_record(folder.work / RESULT, outcome.to_json())
    finish(folder)
    return outcome


def whole_files(recipe: Recipe) -> Recipe:
    """The recipe with the shares of train put back into train."""
    shares = {split: None for split in ("validation", "test") if isinstance(getattr(recipe.data, split), float)}
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=shares)})


def pooled(splits: LabelledData) -> tuple[Examples, dict[str, int]]:
    """The rows of all splits, train first, as one set; and where each split begins in it."""
    parts = list(splits.named().values())
    starts = dict(zip((part.split for part in parts), np.cumsum([0, *(len(part) for part in parts)]).tolist(), strict=False))
    groups = None
    if any(part.groups is not None for part in parts):
        groups = [group for part in parts for group in part.groups or [f"{part.split} {i}" for i in part.row_ids]]
    pairs = None if parts[0].pairs is None else [pair for part in parts for pair in part.pairs or []]
    rows = replace(
        parts[0], split="all", others={name: [cell for part in parts for cell in part.others[name]] for name in parts[0].others},
        row_ids=[i for part in parts for i in part.row_ids],
        texts=[text for part in parts for text in part.texts], labels=[label for part in parts for label in part.labels],
        pairs=pairs, groups=groups, ids=None, annotations=None,
    )  # fmt: skip
    return rows, starts


def split_diagnoses(
    part: Examples, splits: LabelledData, near: NearDuplicates, start: int, known: HeldOut | None, method: str,
    listener: Listener, asked: Asked | None,
) -> Judged:  # fmt: skip
    """The evidence of one split and every diagnosis of it."""
    rows = slice(start, start + len(part))
    arrays = {} if known is None else known.part(rows)
    evidence = evidence_of(part, splits.labels, near=near.part(rows.start, rows.stop), method=method, **arrays)
    alone = np.zeros(len(part), dtype=bool) if known is None else known.said.alone[rows]
    if alone.any():  # no model can know a class that is in one fold only
        evidence = replace(evidence, given=np.where(alone, UNLABELLED, evidence.given))
    found = diagnoses_of(evidence)
    if asked is not None:
        found.append(asked.diagnosis(evidence))
    if alone.any():
        found.append(not_judged(alone))
    if known is not None:
        found += changed_diagnoses(known.changed, evidence, start, found)
    listener(Event("step", "diagnoses", 1, 1))
    return evidence, found


def not_judged(alone: np.ndarray) -> Diagnosis:
    """Rows of classes that have too few rows for a model of the others to know them."""
    summary = f"{int(alone.sum()):,} rows are of classes that one fold holds alone; no model could judge them."
    reasons = {int(i): "the only row of its class, or all of them in one fold" for i in np.flatnonzero(alone)}
    return Diagnosis("not_judged", summary, ("folds",), None, alone, reasons=reasons, remedy="Add rows of these classes.")


def all_findings(splits: LabelledData, found: Sequence[Judged], near: NearDuplicates, starts: Mapping[str, int]) -> list[Finding]:
    """The findings of every split, those of train first, and what other splits share with train or do not."""
    findings = []
    for evidence, diagnoses in found:
        for diagnosis in diagnoses:
            finding = finding_of(diagnosis, evidence)
            findings.append(
                finding if evidence.rows.split == "train" else replace(finding, name=f"{finding.name}_{evidence.rows.split}")
            )
    n_train = len(splits.train)
    leaked = leaks(near, n_train)
    spoken = [next(diagnosis for diagnosis in diagnoses if diagnosis.name == LANGUAGE) for _, diagnoses in found]
    for (evidence, _), language in zip(found[1:], spoken[1:], strict=True):
        part, start = evidence.rows, starts[evidence.rows.split] - n_train
        rows = slice(start, start + len(part))
        own = Leaks(leaked.overlap[rows], leaked.partner[rows])
        findings.append(finding_of(leakage(splits.train, part, own), evidence))
        findings.append(finding_of(language_drift(spoken[0], language, part.split), evidence))
    return [*findings, *(finding for finding in splits.findings if finding.name.startswith(READING))]


def write_outcome(folder: Path, found: Sequence[Judged]) -> int:
    """Write rows and corrections of all splits, and a review page for each; the number of corrections."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, corrections = [], []
    for evidence, diagnoses in found:
        main = leading(diagnoses)
        tables.append(pa.table(row_columns(evidence, diagnoses, main)))
        corrections += corrections_of(evidence, diagnoses, main)
        write_review(review_of(evidence, diagnoses, main), folder / review_name(evidence.rows.split))
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), folder / ROWS)
    write_corrections(corrections, folder / CORRECTIONS)
    write_tables(folder, found)
    return len(corrections)


def review_name(split: str) -> str:
    """The review page of a split: each is of one file, and so are the corrections it makes."""
    return REVIEW if split == "train" else f"review-{split}.html"


def review_of(evidence: Evidence, diagnoses: Sequence[Diagnosis], main: Diagnosis) -> Review:
    """What the review page shows of one split."""
    n, nothing = len(evidence), np.full(len(evidence), UNLABELLED)
    named = [diagnosis.name for diagnosis in diagnoses if diagnosis.flagged is not None and diagnosis.flagged.any()]
    place = {name: i for i, name in enumerate(named)}
    flagged = np.zeros(n, dtype=bool) if main.flagged is None else main.flagged
    rows = ReviewRows(
        row_ids=list(evidence.row_ids), splits=[evidence.rows.split] * n,
        texts=texts_to_read(evidence.rows.texts, diagnoses, REVIEW_CHARACTERS),
        pairs=None if evidence.rows.pairs is None else texts_to_read(evidence.rows.pairs, diagnoses, REVIEW_CHARACTERS),
        given=evidence.given.tolist(), proposed=(nothing if main.proposed is None else main.proposed).tolist(),
        scores=[None] * n if main.scores is None else numbers(main.scores), flagged=flagged.tolist(),
        diagnoses=[[place[name] for name in names] for names in agreeing(diagnoses, n)],
        reasons=[reason_of(i, main, diagnoses) for i in range(n)], **data_map_of(diagnoses),
    )  # fmt: skip
    findings = tuple(finding_of(diagnosis, evidence) for diagnosis in diagnoses)
    title = f"{Path(evidence.rows.source).name or evidence.rows.split}: rows to review"
    return Review(
        title, evidence.rows.source, evidence.rows.sha256, evidence.labels.names, tuple(named), findings, rows
    )  # fmt: skip


def data_map_of(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """The columns of the data map; none where there was no training run to draw it from."""
    (drawn,) = [diagnosis for diagnosis in diagnoses if diagnosis.name == "cartography"]
    if drawn.skipped:
        return {}
    correctness = np.nan_to_num(drawn.figures["correctness"]).astype(int)
    return {
        "confidence": drawn.figures["confidence"].tolist(), "variability": drawn.figures["variability"].tolist(),
        "correctness": correctness.tolist(),
    }  # fmt: skip
