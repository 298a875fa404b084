"""The story of a diagnosis: rows, twins, out-of-fold probabilities, every diagnosis, a folder of findings.

Every function here is a step; what a diagnosis does stands in ``diagnose/``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.corrections import write_corrections
from tunesmith.data.load import Splits, load_splits
from tunesmith.data.near_duplicates import Near, near_duplicates
from tunesmith.data.table import Examples
from tunesmith.diagnose.agreement import Agreement, Asked
from tunesmith.diagnose.evidence import UNLABELLED, Diagnosis, Evidence, evidence_of
from tunesmith.diagnose.leakage import Leaks, leakage, leaks
from tunesmith.diagnose.out_of_fold import out_of_fold
from tunesmith.diagnose.outcome import agreeing, corrections_of, finding_of, numbers, reason_of, row_columns
from tunesmith.diagnose.table import MAIN, diagnoses_of
from tunesmith.events import Event, Listener, silent
from tunesmith.inputs import Clock, stay_offline_unless_asked
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.metrics.predictions import SINGLE
from tunesmith.models.source import find_model
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.recipe.sections import Recipe
from tunesmith.report.review import Review, ReviewRows, write_review
from tunesmith.results import SCHEMA, Finding, finite
from tunesmith.run_folder import begin, claim, finish

RESULT = "diagnosis.json"
Judged = tuple[Evidence, list[Diagnosis]]

ROWS, CORRECTIONS, REVIEW = "rows.parquet", "corrections.csv", "review.html"
REVIEW_CHARACTERS = 4_000
METHOD = "frozen"


@dataclass(frozen=True)
class DataDiagnosis:
    """A finished diagnosis.

    Attributes:
        folder: holds ``diagnosis.json``, ``rows.parquet``, ``corrections.csv`` and ``review.html``.
        n_rows: over all splits.
        n_corrections: rows with a proposed label.
        agreement: with an oracle, for each split; empty where none was asked.
    """

    folder: Path
    findings: tuple[Finding, ...]
    n_rows: int
    n_corrections: int
    method: str
    timings_seconds: dict[str, float]
    agreement: tuple[Agreement, ...] = ()

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = finite(
            {
                "schema": SCHEMA, "findings": [asdict(finding) for finding in self.findings],
                "rows": str(self.folder / ROWS), "corrections": str(self.folder / CORRECTIONS),
                "review": str(self.folder / REVIEW), "n_rows": self.n_rows, "n_corrections": self.n_corrections,
                "method": self.method, "timings_seconds": self.timings_seconds,
                "agreement": [one.to_json() for one in self.agreement],
            }
        )  # fmt: skip
        return plain


def diagnose(
    loaded: LoadedRecipe, *, overwrite: bool = False, frames: Mapping[str, Any] | None = None, listener: Listener = silent,
    ask: Callable[[Splits], Asked] | None = None,
) -> DataDiagnosis:  # fmt: skip
    """Look at every row of a recipe's data and write what was found beside its output, into ``OUTPUT-diagnosis``.

    Shares of train that the recipe takes for validation or test are judged with train: they are rows of the same file.

    Args:
        ask: what an oracle says of the rows, see ``oracle.asking``.

    Raises:
        InputError: the rows cannot be read or judged; nothing was written.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    recipe = whole_files(loaded.recipe)
    folder = claim(f"{recipe.output}-diagnosis", overwrite=overwrite)
    stay_offline_unless_asked(recipe)
    with clock.phase("data"):
        splits = load_splits(recipe, loaded.base, frames)
        rows, starts = pooled(splits)
    asked = None
    if ask is not None:
        with clock.phase("oracle"):
            asked = ask(splits)
    with clock.phase("near-duplicates"):
        near = near_duplicates(rows.texts, rows.pairs)
    known = judged_by_model(splits, rows, near, recipe, loaded, clock, listener) if splits.labels.problem_type == SINGLE else {}
    with clock.phase("diagnoses"):
        found = [
            split_diagnoses(part, splits, near, starts[part.split], known, listener, asked) for part in splits.named().values()
        ]  # fmt: skip
        findings = tuple(all_findings(splits, found, near, starts))
    begin(folder, loaded.text, resolved_yaml(recipe))
    with clock.phase("save"):
        n_corrections = write_outcome(folder.work, found)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    agreed = () if asked is None else asked.agreements(splits.named(), splits.labels)
    outcome = DataDiagnosis(folder.final, findings, len(rows), n_corrections, METHOD, dict(clock.seconds), agreed)
    record = {**outcome.to_json(), "environment": environment(), "peak_memory_bytes": peak_memory_bytes()}
    (folder.work / RESULT).write_text(json.dumps(finite(record), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    finish(folder)
    return outcome


def whole_files(recipe: Recipe) -> Recipe:
    """The recipe with the shares of train put back into train."""
    shares = {split: None for split in ("validation", "test") if isinstance(getattr(recipe.data, split), float)}
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=shares)})


def pooled(splits: Splits) -> tuple[Examples, dict[str, int]]:
    """The rows of all splits, train first, as one set; and where each split begins in it."""
    parts = list(splits.named().values())
    starts = dict(zip((part.split for part in parts), np.cumsum([0, *(len(part) for part in parts)]).tolist(), strict=False))
    groups = None
    if any(part.groups is not None for part in parts):
        groups = [group for part in parts for group in part.groups or [f"{part.split} {i}" for i in part.row_ids]]
    pairs = None if parts[0].pairs is None else [pair for part in parts for pair in part.pairs or []]
    rows = replace(
        parts[0], split="all", row_ids=[i for part in parts for i in part.row_ids],
        texts=[text for part in parts for text in part.texts], labels=[label for part in parts for label in part.labels],
        pairs=pairs, groups=groups, ids=None,
    )  # fmt: skip
    return rows, starts


def judged_by_model(
    splits: Splits, rows: Examples, near: Near, recipe: Recipe, loaded: LoadedRecipe, clock: Clock, listener: Listener
) -> dict[str, Any]:
    """Out-of-fold probabilities, folds and embeddings of all rows, as fields of ``Evidence``."""
    with clock.phase("libraries"):
        from tunesmith.embeddings import embed
    source = find_model(recipe.model, loaded.base)
    with clock.phase("embeddings"):
        vectors = embed(rows, source, recipe.data.max_length)
    with clock.phase("cross-validation"):
        n_folds = recipe.diagnose.n_folds
        said = out_of_fold(
            rows, splits.labels, vectors, near, n_folds, recipe.train.seed,
            lambda done: listener(Event("step", "cross-validation", done, n_folds)),
        )  # fmt: skip
    flat = vectors if not isinstance(vectors, tuple) else np.concatenate(vectors, axis=1)
    return {"pred_probs": said.pred_probs, "folds": said.folds, "embeddings": flat, "alone": said.alone}


def split_diagnoses(
    part: Examples, splits: Splits, near: Near, start: int, known: dict[str, Any], listener: Listener, asked: Asked | None = None
) -> Judged:
    """The evidence of one split and every diagnosis of it."""
    rows = slice(start, start + len(part))
    arrays = {name: array[rows] for name, array in known.items() if name != "alone" and array is not None}
    evidence = evidence_of(part, splits.labels, near=near.part(rows.start, rows.stop), method=METHOD, **arrays)
    if known:  # no model can know a class that is in one fold only
        evidence = replace(evidence, given=np.where(known["alone"][rows], UNLABELLED, evidence.given))
    found = diagnoses_of(evidence)
    if asked is not None:
        found.append(asked.diagnosis(evidence))
    if known and known["alone"][rows].any():
        found.append(not_judged(known["alone"][rows]))
    listener(Event("step", "diagnoses", 1, 1))
    return evidence, found


def not_judged(alone: np.ndarray) -> Diagnosis:
    """Rows of classes that have too few rows for a model of the others to know them."""
    summary = f"{int(alone.sum()):,} rows are of classes that one fold holds alone; no model could judge them."
    reasons = {int(i): "the only row of its class, or all of them in one fold" for i in np.flatnonzero(alone)}
    return Diagnosis("not_judged", summary, ("folds",), None, alone, reasons=reasons, remedy="Add rows of these classes.")


def all_findings(splits: Splits, found: Sequence[Judged], near: Near, starts: Mapping[str, int]) -> list[Finding]:
    """The findings of every split, those of train first, and the rows of other splits that train has."""
    findings = []
    for evidence, diagnoses in found:
        for diagnosis in diagnoses:
            finding = finding_of(diagnosis, evidence)
            findings.append(
                finding if evidence.rows.split == "train" else replace(finding, name=f"{finding.name}_{evidence.rows.split}")
            )
    n_train = len(splits.train)
    leaked = leaks(near, n_train)
    for evidence, _ in found[1:]:
        part, start = evidence.rows, starts[evidence.rows.split] - n_train
        rows = slice(start, start + len(part))
        own = Leaks(leaked.overlap[rows], leaked.partner[rows])
        findings.append(finding_of(leakage(splits.train, part, own), evidence))
    return findings


def write_outcome(folder: Path, found: Sequence[Judged]) -> int:
    """Write rows and corrections of all splits, and a review page for each; the number of corrections."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, corrections = [], []
    for evidence, diagnoses in found:
        main = next(diagnosis for diagnosis in diagnoses if diagnosis.name == MAIN)
        tables.append(pa.table(row_columns(evidence, diagnoses, main)))
        corrections += corrections_of(evidence, diagnoses, main)
        write_review(review_of(evidence, diagnoses, main), folder / review_name(evidence.rows.split))
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), folder / ROWS)
    write_corrections(corrections, folder / CORRECTIONS)
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
        texts=[text[:REVIEW_CHARACTERS] for text in evidence.rows.texts],
        pairs=None if evidence.rows.pairs is None else [text[:REVIEW_CHARACTERS] for text in evidence.rows.pairs],
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
