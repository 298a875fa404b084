"""The ``diagnose`` workflow for one data set: reads rows, cross-validates, runs every check, writes the findings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.checks.labelled import with_files
from tunesmith.data.corrections.corrections_csv import write_corrections
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.near_duplicates import RELATED, near_duplicates
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.agreement import Agreement, OracleAnswers
from tunesmith.diagnosis.checks.languages import NAME as LANGUAGE
from tunesmith.diagnosis.checks.languages import language_drift
from tunesmith.diagnosis.checks.rows import leakage
from tunesmith.diagnosis.checks.table import CHECKS
from tunesmith.diagnosis.cross_validation import CrossValidation, CrossValidationSettings, cross_validate, logged_row_ids
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, EvidenceArrays, make_evidence
from tunesmith.diagnosis.input_ablation import (
    ablation_columns,
    ablation_diagnoses,
    make_ablation_request,
    write_tables,
)
from tunesmith.diagnosis.outcome import (
    flagging_names,
    leading_diagnosis,
    make_corrections,
    make_finding,
    plain_floats,
    review_texts,
    row_columns,
    row_reason,
    write_record,
)
from tunesmith.diagnosis.pool import KINDS, PooledSplits, pool_splits
from tunesmith.disk import whole_file
from tunesmith.errors import DataError
from tunesmith.models.many_processes import count_processes
from tunesmith.models.source import stay_offline_unless_needed
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.files import is_file_name
from tunesmith.recipe.load import LoadedRecipe, load_recipe, override, recipe_from_mapping, resolved_yaml
from tunesmith.recipe.sections import AUTO, Recipe
from tunesmith.report.review import write_review
from tunesmith.report.review_data import Review, ReviewRows
from tunesmith.results import SCHEMA, Finding, finite
from tunesmith.run_folder import claim, fill, finish
from tunesmith.tasks.finished import Run

DIAGNOSIS_FILE = "diagnosis.json"
ROWS, CORRECTIONS, REVIEW = "rows.parquet", "corrections.csv", "review.html"
REVIEW_CHARACTERS = 4_000

SplitDiagnoses = tuple[Evidence, list[Diagnosis]]


@dataclass(frozen=True)
class DataDiagnosis:
    """A finished diagnosis.

    Attributes:
        folder: holds ``diagnosis.json``, ``rows.parquet``, ``corrections.csv`` and ``review.html``.
        n_rows: over all splits.
        n_corrections: rows with a proposed label.
        agreement: with an oracle, for each split; empty without an oracle.
        notes: limits of the predictions, for the user.
    """

    folder: Path
    findings: tuple[Finding, ...]
    n_rows: int
    n_corrections: int
    method: str
    timings_seconds: dict[str, float]
    agreement: tuple[Agreement, ...] = ()
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Shows the findings in a notebook."""
        from tunesmith.report.notebook import findings_page

        title = (
            f"{plural(self.n_rows, 'row')}, {plural(self.n_corrections, 'correction')} proposed in {self.folder / CORRECTIONS}"
        )
        return findings_page(title, self.findings)

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "findings": [asdict(finding) for finding in self.findings],
            "rows": str(self.folder / ROWS),
            "corrections": str(self.folder / CORRECTIONS),
            "review": str(self.folder / REVIEW),
            "n_rows": self.n_rows,
            "n_corrections": self.n_corrections,
            "method": self.method,
            "timings_seconds": self.timings_seconds,
            "agreement": [asdict(agreement) for agreement in self.agreement],
            "notes": list(self.notes),
        }
        return dict(finite(fields))


def diagnose(
    loaded: LoadedRecipe,
    *,
    run: Path | None = None,
    overwrite: bool = False,
    frames: Mapping[str, Any] | None = None,
    processes: int | str = 1,
    listener: Listener = silent,
    oracle: Callable[[LabelledData], OracleAnswers] | None = None,
) -> DataDiagnosis:
    """Checks every row of a recipe's data and writes the findings beside its output, into ``OUTPUT-diagnosis``.

    Shares of train that the recipe takes for validation or test are checked with train: they are rows of the same file.

    Args:
        run: a finished run on these files that recorded logits of its rows (see ``recipe_of_run``).
        processes: that divide the rows to embed, and the folds of ``diagnose.method: finetune``; ``auto``: one for each GPU.
        oracle: queries an oracle, see ``oracle.make_oracle_query``.

    Raises InputError if the rows cannot be read or checked; nothing was written.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    recipe = without_split_shares(loaded.recipe)
    folder = claim(f"{recipe.output}-diagnosis", overwrite=overwrite, resumable=False)
    stay_offline_unless_needed(recipe)
    with clock.phase("data"):
        others, row_ids = ablation_columns(recipe.diagnose), None if run is None else logged_row_ids(run)
        splits = load_labelled_data(recipe, loaded.base, frames, others, keep_unlabelled=True, row_ids=row_ids)
        request = make_ablation_request(recipe.diagnose, splits, loaded.base)
        rows, starts = pool_splits(splits)
        n_processes = count_processes(processes, len(rows))
    answers = None if oracle is None else ask(oracle, splits, clock)
    with clock.phase("near-duplicates"):
        pooled = PooledSplits(splits, rows, starts, near_duplicates(rows.texts, rows.pairs, RELATED))
    settings, method = CrossValidationSettings(recipe, loaded.base, request, run, n_processes), recipe.diagnose.method
    arrays = cross_validate_labels(pooled, settings, clock)
    with clock.phase("diagnoses"):
        results = [diagnose_split(part, pooled, arrays, answers, method, listener) for part in splits.named().values()]
        findings = tuple(all_findings(pooled, results))
    agreement = () if answers is None else tuple(answers.agreement(evidence) for evidence, _ in results)
    notes = (arrays.note,) if arrays is not None and arrays.note else ()
    with fill(folder, loaded.text, resolved_yaml(recipe), resumable=False):
        with clock.phase("save"):
            n_corrections = write_outcome(folder.work, results)
        clock.seconds["total"] = round(time.perf_counter() - started, 3)
        figures = len(rows), n_corrections, method, dict(clock.seconds)
        outcome = DataDiagnosis(folder.final, findings, *figures, agreement=agreement, notes=notes)
        write_record(folder.work / DIAGNOSIS_FILE, outcome.to_json())
        finish(folder)
    return outcome


def ask(oracle: Callable[[LabelledData], OracleAnswers], splits: LabelledData, clock: Clock) -> OracleAnswers:
    """Queries an oracle in a phase of its own."""
    with clock.phase("oracle"):
        return oracle(splits)


def cross_validate_labels(pooled: PooledSplits, settings: CrossValidationSettings, clock: Clock) -> CrossValidation | None:
    """Cross-validates rows with one label each (``cross_validate``); no model predicts others, which a note says of processes."""
    kind = pooled.splits.labels.problem_type
    if kind == SINGLE:
        return cross_validate(pooled, settings, clock)
    if settings.processes > 1:
        clock.listener(Event("note", f"no model predicts {KINDS[kind]} here: one process is used."))
    return None


def recipe_of_run(run: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Returns the recipe of a finished run, on the files it was trained on.

    Args:
        overrides: settings that replace it, as on the command line.

    Raises:
        ModelError: the folder holds no finished run.
        DataError: it was trained on a table in memory.
    """
    record = Run.load(run).result.data
    recipe: dict[str, Any] = load_recipe(run / "resolved.yaml").given
    data = recipe["data"]
    if is_file_name(data["train"]) and not record["splits"]["train"]["sha256"]:
        message = "the run was trained on a table in memory."
        raise DataError.one(str(run), message, "Diagnose that table with the Python function.")
    for split in ("validation", "test"):
        if data.get(split) in (None, AUTO):
            data.pop(split, None)  # the source of train adds its own splits again
    override(recipe, overrides)
    text = (run / "recipe.yaml").read_text(encoding="utf-8")
    return LoadedRecipe(recipe_from_mapping(recipe, str(run)), run / "recipe.yaml", recipe, text, Path(record.get("base", ".")))


def without_split_shares(recipe: Recipe) -> Recipe:
    """Returns the recipe whose validation and test shares stay in train."""
    shares = {split: None for split in ("validation", "test") if recipe.data.file(split) is None}
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=shares)})


def diagnose_split(
    part: Examples,
    pooled: PooledSplits,
    arrays: CrossValidation | None,
    answers: OracleAnswers | None,
    method: str,
    listener: Listener,
) -> SplitDiagnoses:
    """Builds the evidence of one split and runs every check on it."""
    start = pooled.starts[part.split]
    rows = slice(start, start + len(part))
    fields = EvidenceArrays() if arrays is None else arrays.part(rows)
    fields |= {"near": pooled.near.part(rows.start, rows.stop), "method": method}
    evidence = make_evidence(part, pooled.splits.labels, **fields)
    unseen = np.zeros(len(part), dtype=bool) if arrays is None else arrays.out_of_fold.unseen_class[rows]
    if unseen.any():  # no model was trained on a class that is in one fold only
        evidence = replace(evidence, given=np.where(unseen, UNLABELLED, evidence.given))
    diagnoses = [check(evidence) for _, check in CHECKS]
    if answers is not None:
        diagnoses.append(answers.diagnosis(evidence))
    if unseen.any():
        diagnoses.append(not_judged(unseen))
    if arrays is not None:
        diagnoses += ablation_diagnoses(arrays.ablation, evidence, start, diagnoses)
    listener(Event("step", "diagnoses", 1, 1))
    return evidence, diagnoses


def not_judged(unseen: np.ndarray) -> Diagnosis:
    """Flags rows of classes that no other fold has, so that their model was not trained on them."""
    return Diagnosis(
        "not_judged",
        f"{plural(int(unseen.sum()), 'row', 'is', 'are')} of classes that one fold holds alone; no model could predict them.",
        ("folds",),
        flagged=unseen,
        reasons={int(i): "the only row of its class, or all of them in one fold" for i in np.flatnonzero(unseen)},
        remedy="Add rows of these classes.",
    )


def all_findings(pooled: PooledSplits, results: Sequence[SplitDiagnoses]) -> list[Finding]:
    """Returns the findings of every split, train first, then leakage and language drift, then the data checks of ``check``.

    Of a data check that has a diagnosis of the same name only the diagnosis is returned: it also finds near copies.
    """
    splits, findings = pooled.splits, []
    for evidence, diagnoses in results:
        suffix = "" if evidence.rows.split == "train" else f"_{evidence.rows.split}"
        made = [make_finding(diagnosis, evidence) for diagnosis in diagnoses]
        findings += [replace(finding, name=f"{finding.name}{suffix}") for finding in made]
    overlap, partner = pooled.near.nearly_same().nearest_earlier(n_first=len(splits.train))
    languages = [next(diagnosis for diagnosis in diagnoses if diagnosis.name == LANGUAGE) for _, diagnoses in results]
    for (evidence, _), language in zip(results[1:], languages[1:], strict=True):
        part, start = evidence.rows, pooled.starts[evidence.rows.split]
        rows = slice(start, start + len(part))
        findings.append(make_finding(leakage(splits.train, part, overlap[rows], partner[rows]), evidence))
        findings.append(make_finding(language_drift(languages[0], language, part.split), evidence))
    names = {finding.name for finding in findings if not finding.skipped}
    others = [f for f in splits.findings if (f.flagged or f.remedy) and f.name not in names]
    return with_files([*findings, *others], splits.named().values())


def write_outcome(folder: Path, results: Sequence[SplitDiagnoses]) -> int:
    """Writes rows and corrections of all splits and a review page for each; returns the number of corrections."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, corrections = [], []
    for evidence, diagnoses in results:
        main = leading_diagnosis(diagnoses)
        tables.append(pa.table(row_columns(evidence, diagnoses, main)))
        corrections += make_corrections(evidence, diagnoses, main)
        review, split = make_review(evidence, diagnoses, main), evidence.rows.split
        for i, page in enumerate(pages_of_files(review, evidence)):  # corrections belong to one file, and so does a page
            write_review(page, folder / review_name(split, i))
    with whole_file(folder / ROWS) as part:
        pq.write_table(pa.concat_tables(tables, promote_options="permissive"), part)
    write_corrections(corrections, folder / CORRECTIONS)
    write_tables(folder, results)
    return len(corrections)


def make_review(evidence: Evidence, diagnoses: Sequence[Diagnosis], main: Diagnosis) -> Review:
    """Returns the contents of the review page of one split."""
    n, examples = len(evidence), evidence.rows
    names = [diagnosis.name for diagnosis in diagnoses if diagnosis.flagged is not None and diagnosis.flagged.any()]
    place = {name: i for i, name in enumerate(names)}
    rows = ReviewRows(
        row_ids=list(evidence.row_ids),
        splits=[examples.split] * n,
        texts=review_texts(examples.texts, diagnoses, REVIEW_CHARACTERS),
        pairs=None if examples.pairs is None else review_texts(examples.pairs, diagnoses, REVIEW_CHARACTERS),
        given=evidence.given.tolist(),
        proposed=[UNLABELLED] * n if main.proposed is None else main.proposed.tolist(),
        scores=[None] * n if main.scores is None else plain_floats(main.scores),
        flagged=[False] * n if main.flagged is None else main.flagged.tolist(),
        diagnoses=[[place[name] for name in flagging] for flagging in flagging_names(diagnoses, n)],
        reasons=[row_reason(i, main, diagnoses) for i in range(n)],
        **data_map_columns(diagnoses),
    )
    return Review(
        title=f"{Path(examples.source).name or examples.split}: rows to review",
        source=examples.source,
        source_sha256=examples.sha256,
        labels=evidence.labels.names,
        diagnosis_names=tuple(names),
        findings=tuple(make_finding(diagnosis, evidence) for diagnosis in diagnoses),
        rows=rows,
    )


def review_name(split: str, i: int = 0) -> str:
    """Names the review page of a split; of several files the i-th after the first."""
    of_split, of_file = "" if split == "train" else f"-{split}", f"-also-{i}" if i else ""
    return f"{REVIEW.removesuffix('.html')}{of_split}{of_file}.html"


def pages_of_files(review: Review, evidence: Evidence) -> list[Review]:
    """Divides a review page by the files of its rows, whose row ids are then those of the file; the page itself for one file."""
    places = [evidence.rows.row_of_file(row_id) for row_id in evidence.row_ids]
    pages = []
    for file in evidence.rows.files:
        own = [i for i, place in enumerate(places) if place is not None and place.file is file]
        columns = {name: cells and [cells[i] for i in own] for name, cells in review.rows.columns().items()}
        columns["row_ids"] = [review.rows.row_ids[i] - file.first_row for i in own]
        rows = ReviewRows(**columns)  # type: ignore[arg-type]
        title = f"{Path(file.source).name}: rows to review"
        pages.append(replace(review, title=title, source=file.source, source_sha256=file.sha256, rows=rows))
    return pages or [review]


def data_map_columns(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """Returns the columns of the data map; none without logits of a training run."""
    (drawn,) = [diagnosis for diagnosis in diagnoses if diagnosis.name == "cartography"]
    if drawn.skipped:
        return {}
    correctness = np.nan_to_num(drawn.figures["correctness"]).astype(int).tolist()
    return {name: drawn.figures[name].tolist() for name in ("confidence", "variability")} | {"correctness": correctness}
