"""The ``diagnose`` workflow for several data sets: their difficulty, and a comparison of the labels that they share."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import listed, plural
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.diagnosis.checks.agreement import Agreement, OracleAnswers
from tunesmith.diagnosis.checks.criteria import Criteria
from tunesmith.diagnosis.checks.difficulty import Difficulty, difficulty_finding, hardest_first
from tunesmith.diagnosis.checks.transfer import Transfer
from tunesmith.diagnosis.criteria import criteria_part
from tunesmith.diagnosis.difficulty import MeasuredSet, measure_sets
from tunesmith.diagnosis.input_ablation import plain_cell
from tunesmith.diagnosis.label_comparison import OPPOSITE, ORACLE, DatasetComparison, compare_labels
from tunesmith.diagnosis.oracle import query_oracle
from tunesmith.diagnosis.outcome import write_record
from tunesmith.diagnosis.pool import SharedData, require_measurable, select_shared_labels, why_not_compared, write_csv
from tunesmith.diagnosis.rows import DIAGNOSIS_FILE, without_split_shares
from tunesmith.errors import InputError, Problem
from tunesmith.models.source import stay_offline_unless_needed
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.draft import stem
from tunesmith.recipe.load import LoadedRecipe, load_recipe, recipe_from_tables, resolved_yaml
from tunesmith.recipe.sections import Recipe
from tunesmith.report.data_sets import write_page
from tunesmith.results import SCHEMA, Finding, finite
from tunesmith.run_folder import claim, fill, finish

if TYPE_CHECKING:
    from tunesmith.generation.generator import TextGenerator

DIFFICULTY, REPORT = "difficulty.csv", "report.html"
MIN_SETS = 2
Source = tuple[LoadedRecipe, Mapping[str, Any] | None]
"""A recipe and the tables in memory that it names."""


@dataclass(frozen=True)
class DatasetsDiagnosis:
    """A finished diagnosis of several data sets.

    Attributes:
        folder: holds ``diagnosis.json``, ``difficulty.csv``, ``report.html``; with shared labels ``opposite.csv``, and with an
            oracle ``oracle.csv``.
        data: one dictionary a data set: ``name``, ``rows``, ``left_out`` (label -> rows), ``splits`` (source, row counts).
        difficulty: of each data set with its own labels, the hardest first.
        labels: those that all data sets have; empty if the labels are not compared.
        matrix: row by row, trained on each data set; empty without shared labels.
        agreement: with an oracle, for each data set; empty without an oracle.
        criteria: for every two data sets with enough similar texts, how their label criteria differ.
        notes: what was left out or assumed, as sentences.
    """

    folder: Path
    data: tuple[dict[str, Any], ...]
    difficulty: tuple[Difficulty, ...]
    labels: tuple[str, ...]
    findings: tuple[Finding, ...]
    matrix: tuple[Transfer, ...]
    agreement: tuple[Agreement, ...]
    criteria: tuple[Criteria, ...]
    notes: tuple[str, ...]
    method: str
    timings_seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "findings": [asdict(finding) for finding in self.findings],
            "data": list(self.data),
            "difficulty": [asdict(row) for row in self.difficulty],
            "labels": list(self.labels),
            "matrix": [asdict(cell) for cell in self.matrix],
            "agreement": [asdict(agreement) for agreement in self.agreement],
            "criteria": [asdict(result) for result in self.criteria],
            "opposite": str(self.folder / OPPOSITE) if self.labels else None,
            "oracle": str(self.folder / ORACLE) if self.agreement else None,
            "report": str(self.folder / REPORT),
            "notes": list(self.notes),
            "n_rows": sum(record["rows"] for record in self.data),
            "method": self.method,
            "timings_seconds": self.timings_seconds,
        }
        return dict(finite(fields))


def diagnose_data_sets(
    data: Mapping[str, object] | Sequence[object],
    *,
    oracle: object = None,
    explainer: str | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    model: str = "builtin:minilm",
    processes: int | str = 1,
    listener: Listener = silent,
    **sections: Any,
) -> DatasetsDiagnosis:
    """Compares two or more data sets: the same texts with other labels, models of one tested on the others, an oracle.

    Args:
        data: each a table in memory (see ``train``), a data file, or a recipe (``.yaml``); by name, or in a list.
        oracle: a ``Run`` or its folder; another classifier or a ``ModelOracle``; a table or file of labels; a function from a
            list of texts (with pairs: and a list of second texts) to as many label names, or ``module:function``.
        explainer: a language model (a run, a folder, a hub id) that chooses among the conditions on which labels depend.
        output: the folder; by default ``runs/A-B-diagnosis``.
        processes: that divide the rows to embed; ``auto``: one for each GPU.
        sections: further recipe sections as dictionaries, e.g. ``diagnose={"n_folds": 10}``; not for recipes.

    Raises InputError if they cannot be compared; nothing was written.
    """
    tables = list(data.values()) if isinstance(data, Mapping) else list(data)
    sources = [make_source(table, i, model, sections) for i, table in enumerate(tables)]
    names = list(data) if isinstance(data, Mapping) else None
    folder = None if output is None else Path(output)
    return diagnose_recipes(
        sources,
        names=names,
        oracle=oracle,
        explainer=explainer,
        folder=folder,
        overwrite=overwrite,
        processes=processes,
        listener=listener,
    )


def make_source(table: object, i: int, model: str, sections: dict[str, Any]) -> Source:
    """Returns the recipe of one data set from Python."""
    if isinstance(table, str | Path) and Path(table).suffix in {".yaml", ".yml"}:
        return load_recipe(Path(table)), None
    name = stem(str(table)) if isinstance(table, str | Path) else f"data{i + 1}"
    settings = {**sections, "task": "classification", "output": f"runs/{name}"}
    return recipe_from_tables("diagnose_across()", {"train": table}, model, settings)


def diagnose_recipes(
    sources: Sequence[Source],
    *,
    names: Sequence[str] | None = None,
    oracle: object = None,
    explainer: str | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
    processes: int | str = 1,
    listener: Listener = silent,
) -> DatasetsDiagnosis:
    """Compares the data sets of several recipes, with the model and the settings of the first.

    Args:
        names, folder: by default from the outputs or files of the recipes.
        oracle: see ``oracle.open_oracle``.
        explainer: a language model that chooses among the conditions on which labels depend.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    recipes = [without_split_shares(loaded.recipe) for loaded, _ in sources]
    names = tuple(names or short_names([loaded for loaded, _ in sources]))
    if len(names) < MIN_SETS:
        raise InputError.one("diagnose", f"{listed(names) or 'nothing'} is no two data sets.", "Give two or more.")
    place = claim(folder or default_folder(recipes[0].output, names), overwrite=overwrite, resumable=False)
    stay_offline_unless_needed(*recipes)
    read = read_sets(names, recipes, sources, clock, needs_shared_labels=oracle is not None or explainer is not None)
    generator = None if explainer is None else load_generator(explainer, clock)
    answers = None if oracle is None or read.shared is None else ask_oracle(oracle, read.shared, clock)
    measured = list(measure_sets(names, read.data, recipes[0], sources[0][0].base, clock, processes))
    comparison = None if read.shared is None else compare_labels(read.shared, measured, recipes[0], answers, clock, generator)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    outcome = make_outcome(place.final, read, measured, comparison, dict(clock.seconds))
    if explainer is not None:
        outcome = replace(outcome, notes=(*outcome.notes, *notes_on_choices(outcome.criteria)))
    given, resolved = yaml_documents(loaded.text for loaded, _ in sources), yaml_documents(map(resolved_yaml, recipes))
    with fill(place, given, resolved, resumable=False):
        if comparison is not None:
            comparison.write(place.work)
        write_outcome(outcome, place.work)
        finish(place)
    return outcome


@dataclass(frozen=True)
class ReadSets:
    """The rows of every data set, and those with the labels that all of them have.

    Attributes:
        shared: None if the labels are not compared; ``reason`` then says why.
    """

    names: tuple[str, ...]
    recipes: Sequence[Recipe]
    data: Sequence[LabelledData]
    shared: SharedData | None
    reason: Problem | None

    @property
    def left_out(self) -> Sequence[Mapping[str, int]]:
        """For each data set label -> rows that are not compared."""
        return [{} for _ in self.data] if self.shared is None else self.shared.left_out


def read_sets(
    names: tuple[str, ...], recipes: Sequence[Recipe], sources: Sequence[Source], clock: Clock, *, needs_shared_labels: bool
) -> ReadSets:
    """Reads the rows. Raises DataError for rows that cannot be measured, or without shared labels if these are needed."""
    with clock.phase("data"):
        others: dict[str, tuple[str, ...]] = {column: () for column in recipes[0].diagnose.slices}
        data = [load_labelled_data(r, loaded.base, frames, others) for r, (loaded, frames) in zip(recipes, sources, strict=True)]
        require_measurable(names, data)
        reason = why_not_compared(names, data)
        shared = select_shared_labels(names, data) if reason is None or needs_shared_labels else None
    return ReadSets(names, recipes, data, shared, reason)


def make_outcome(
    folder: Path,
    read: ReadSets,
    measured: Sequence[MeasuredSet],
    comparison: DatasetComparison | None,
    seconds: dict[str, float],
) -> DatasetsDiagnosis:
    table = hardest_first([part.difficulty for part in measured])
    reading = notes_on_reading(read.names, read.recipes, read.data, read.left_out)
    return DatasetsDiagnosis(
        folder=folder,
        data=tuple(data_records(read.names, read.data, read.left_out)),
        difficulty=tuple(table),
        labels=() if read.shared is None else read.shared.labels.names,
        findings=(difficulty_finding(table), *(() if comparison is None else comparison.findings)),
        matrix=() if comparison is None else tuple(comparison.matrix),
        agreement=() if comparison is None else tuple(item.agreement for item in comparison.oracle),
        criteria=() if comparison is None else tuple(comparison.criteria),
        notes=tuple([*unlike(read.reason), *reading, *(note for part in measured for note in part.notes)]),
        method=read.recipes[0].diagnose.method,
        timings_seconds=seconds,
    )


def load_generator(explainer: str, clock: Clock) -> TextGenerator:
    with clock.phase("language model"):
        from tunesmith.generation.generator import load_text_generator

        return load_text_generator(explainer)


def notes_on_choices(criteria: Sequence[Criteria]) -> Iterator[str]:
    """Notes for which data sets the language model had nothing to choose from."""
    for result in criteria:
        if result.chosen is None:
            why = "since fewer than two conditions passed the test"
            yield f"{result.first} and {result.second}: the language model was not asked, {why}."


def ask_oracle(oracle: object, shared: SharedData, clock: Clock) -> list[OracleAnswers]:
    with clock.phase("oracle"):
        return list(query_oracle(oracle, shared.data))


def unlike(reason: Problem | None) -> list[str]:
    """Notes that the labels are not compared, and why."""
    return [] if reason is None else [f"Each data set was measured by itself: {reason.message} {reason.remedy}".strip()]


def write_outcome(outcome: DatasetsDiagnosis, folder: Path) -> None:
    """Writes the record, the table of difficulty and the page."""
    record = outcome.to_json()
    write_csv(
        folder / DIFFICULTY, list(record["difficulty"][0]), (list(map(plain_cell, row.values())) for row in record["difficulty"])
    )
    write_page(record, [criteria_part(result) for result in outcome.criteria], folder / REPORT)
    write_record(folder / DIAGNOSIS_FILE, record)


def short_names(recipes: Sequence[LoadedRecipe]) -> list[str]:
    """Short distinct names of the data sets: of the output, the file, or file and folder, whichever first differ."""
    sources = [loaded.recipe.data.train for loaded in recipes]
    candidates = (
        [Path(loaded.recipe.output).name for loaded in recipes],
        [stem(source) for source in sources],
        [f"{Path(source).absolute().parent.name}-{stem(source)}" for source in sources],
    )
    different = next((names for names in candidates if len(set(names)) == len(names)), None)
    return different or [f"{name}-{i}" for i, name in enumerate(candidates[1], 1)]


def default_folder(first: str, names: Sequence[str]) -> Path:
    """``A-B-diagnosis`` beside the output of the first data set."""
    joined = "-".join(re.sub(r"[^\w.]+", "-", name) for name in names)
    return Path(first).parent / f"{joined}-diagnosis"


def yaml_documents(texts: Iterable[str]) -> str:
    """Several YAML files as one, a document each."""
    return "---\n".join(text if text.endswith("\n") else f"{text}\n" for text in texts)


def data_records(
    names: Sequence[str], data: Sequence[LabelledData], left_out_of: Sequence[Mapping[str, int]]
) -> Iterator[dict[str, Any]]:
    """For each data set its sources, the number of compared rows, and the rows left out of the comparison by label."""
    for name, whole, left_out in zip(names, data, left_out_of, strict=True):
        splits = [
            {"split": part.split, "source": part.source, "sha256": part.sha256, "rows_read": part.rows_read, "rows": len(part)}
            for part in whole.named().values()
        ]
        n_rows = sum(len(part) for part in whole.named().values()) - sum(left_out.values())
        yield {"name": name, "rows": n_rows, "left_out": dict(left_out), "splits": splits}


def notes_on_reading(
    names: Sequence[str], recipes: Sequence[Recipe], data: Sequence[LabelledData], left_out_of: Sequence[Mapping[str, int]]
) -> Iterator[str]:
    """Notes the labels left out, the recipes that name another model, and the assumptions made while reading."""
    for name, left_out in zip(names, left_out_of, strict=True):
        if left_out:
            labels = listed(f"{label} ({n:,})" for label, n in left_out.items())
            n_rows = f"{plural(sum(left_out.values()), 'row', 'was', 'were')} left out"
            yield f"{name}: {n_rows} of the comparison, since not every data set has their label: {labels}."
    used = recipes[0].model.name
    for name, recipe in zip(names, recipes, strict=True):
        if recipe.model.name != used:
            yield f"{name}: its recipe names the model {recipe.model.name}; {used} of {names[0]} was used for all."
    for name, splits in zip(names, data, strict=True):
        for note in splits.notes:
            yield note if note.startswith(splits.train.source) else f"{name}: {note}"
