"""The ``diagnose`` workflow for several data sets: shared labels and texts, a transfer matrix, an oracle's labels."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.near_duplicates import RELATED, THRESHOLD, near_duplicates
from tunesmith.data.row_clusters import example_clusters
from tunesmith.diagnosis.checks.agreement import Agreement
from tunesmith.diagnosis.checks.transfer import (
    Opposite,
    Transfer,
    TransferData,
    near_duplicate_sets,
    opposite_labels,
    take_embeddings,
    transfer_matrix,
)
from tunesmith.diagnosis.cross_validation import FROZEN, embed_rows
from tunesmith.diagnosis.evidence import class_ids
from tunesmith.diagnosis.oracle import query_oracle
from tunesmith.diagnosis.out_of_fold import FOLDS, assign_folds
from tunesmith.diagnosis.outcome import write_record
from tunesmith.diagnosis.pool import (
    OracleComparison,
    Pool,
    SharedData,
    compare_oracle,
    opposite_finding,
    oracle_finding,
    pool_splits,
    same_texts,
    select_shared_labels,
    transfer_finding,
    write_opposite,
    write_oracle,
)
from tunesmith.diagnosis.rows import DIAGNOSIS_FILE, without_split_shares
from tunesmith.errors import InputError
from tunesmith.models.source import find_model, stay_offline_unless_needed
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.draft import stem
from tunesmith.recipe.load import LoadedRecipe, load_recipe, recipe_from_tables, resolved_yaml
from tunesmith.recipe.sections import Recipe
from tunesmith.results import SCHEMA, Finding, finite
from tunesmith.run_folder import claim, fill, finish

OPPOSITE, ORACLE = "opposite.csv", "oracle.csv"
MIN_SETS = 2
Source = tuple[LoadedRecipe, Mapping[str, Any] | None]
"""A recipe and the tables in memory that it names."""


@dataclass(frozen=True)
class DatasetsDiagnosis:
    """A finished diagnosis of several data sets.

    Attributes:
        folder: holds ``diagnosis.json``, ``opposite.csv`` and, with an oracle, ``oracle.csv``.
        data: one dictionary a data set: ``name``, ``rows``, ``left_out`` (label -> rows), ``splits`` (source, row counts).
        labels: those that all data sets have.
        matrix: row by row, trained on each data set.
        agreement: with an oracle, for each data set; empty without an oracle.
        notes: what was left out or assumed, as sentences.
    """

    folder: Path
    data: tuple[dict[str, Any], ...]
    labels: tuple[str, ...]
    findings: tuple[Finding, ...]
    matrix: tuple[Transfer, ...]
    agreement: tuple[Agreement, ...]
    notes: tuple[str, ...]
    timings_seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "findings": [asdict(finding) for finding in self.findings],
            "data": list(self.data),
            "labels": list(self.labels),
            "matrix": [asdict(cell) for cell in self.matrix],
            "agreement": [asdict(agreement) for agreement in self.agreement],
            "opposite": str(self.folder / OPPOSITE),
            "oracle": str(self.folder / ORACLE) if self.agreement else None,
            "notes": list(self.notes),
            "n_rows": sum(record["rows"] for record in self.data),
            "method": FROZEN,
            "timings_seconds": self.timings_seconds,
        }
        return dict(finite(fields))


def diagnose_data_sets(
    data: Mapping[str, object] | Sequence[object],
    *,
    oracle: object = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    model: str = "builtin:minilm",
    listener: Listener = silent,
    **sections: Any,
) -> DatasetsDiagnosis:
    """Compares two or more data sets: the same texts with other labels, models of one tested on the others, an oracle.

    Args:
        data: each a table in memory (see ``train``), a data file, or a recipe (``.yaml``); by name, or in a list.
        oracle: a ``Run`` or its folder; another classifier or a ``ModelOracle``; a table or file of labels; a function from a
            list of texts (with pairs: and a list of second texts) to as many label names, or ``module:function``.
        output: the folder; by default ``runs/A-B-diagnosis``.
        sections: further recipe sections as dictionaries, e.g. ``diagnose={"n_folds": 10}``; not for recipes.

    Raises InputError if they cannot be compared; nothing was written.
    """
    tables = list(data.values()) if isinstance(data, Mapping) else list(data)
    sources = [make_source(table, i, model, sections) for i, table in enumerate(tables)]
    names = list(data) if isinstance(data, Mapping) else None
    folder = None if output is None else Path(output)
    return diagnose_recipes(sources, names=names, oracle=oracle, folder=folder, overwrite=overwrite, listener=listener)


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
    folder: Path | None = None,
    overwrite: bool = False,
    listener: Listener = silent,
) -> DatasetsDiagnosis:
    """Compares the data sets of several recipes, with the model and the settings of the first.

    Args:
        names, folder: by default from the outputs or files of the recipes.
        oracle: see ``oracle.open_oracle``.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    recipes = [without_split_shares(loaded.recipe) for loaded, _ in sources]
    names = tuple(names or short_names([loaded for loaded, _ in sources]))
    if len(names) < MIN_SETS:
        raise InputError.one("diagnose", f"{listed(names) or 'nothing'} is no two data sets.", "Give two or more.")
    place = claim(folder or default_folder(recipes[0].output, names), overwrite=overwrite, resumable=False)
    stay_offline_unless_needed(*recipes)
    with clock.phase("data"):
        data = [load_labelled_data(r, loaded.base, frames) for r, (loaded, frames) in zip(recipes, sources, strict=True)]
        shared = select_shared_labels(names, data)
        rows = tuple(pool_splits(x)[0] for x in shared.data)
        splits = tuple([part.split for part in x.named().values() for _ in range(len(part))] for x in shared.data)
        pool = Pool(names, shared.labels, rows, splits)
    oracle_labels = [] if oracle is None else query_in_phase(pool, shared, oracle, clock)
    comparison = compare_datasets(pool, recipes[0], sources[0][0].base, clock)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    outcome = DatasetsDiagnosis(
        folder=place.final,
        data=tuple(data_records(names, data, shared)),
        labels=shared.labels.names,
        findings=(*comparison.findings, *(oracle_finding(pool, i, item) for i, item in enumerate(oracle_labels))),
        matrix=tuple(comparison.matrix),
        agreement=tuple(item.agreement for item in oracle_labels),
        notes=tuple([*notes_on_reading(names, recipes, data, shared), *filter(None, [comparison.note])]),
        timings_seconds=dict(clock.seconds),
    )
    given, resolved = yaml_documents(loaded.text for loaded, _ in sources), yaml_documents(map(resolved_yaml, recipes))
    with fill(place, given, resolved, resumable=False):
        write_opposite(pool, comparison.opposite, place.work / OPPOSITE)
        if oracle_labels:
            write_oracle(pool, oracle_labels, place.work / ORACLE)
        write_record(place.work / DIAGNOSIS_FILE, outcome.to_json())
        finish(place)
    return outcome


def query_in_phase(pool: Pool, shared: SharedData, oracle: object, clock: Clock) -> list[OracleComparison]:
    with clock.phase("oracle"):
        return compare_oracle(pool, query_oracle(oracle, shared.data))


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


@dataclass(frozen=True)
class DatasetComparison:
    """The comparison of the data sets with each other. ``note``: limits of the embeddings, for the user; may be empty."""

    opposite: list[Opposite]
    matrix: list[Transfer]
    findings: tuple[Finding, ...]
    note: str


def compare_datasets(pool: Pool, recipe: Recipe, base: Path, clock: Clock) -> DatasetComparison:
    """Finds the same texts with other labels and computes the transfer matrix."""
    rows, slices = pool.rows(), pool.slices()
    n_folds, seed = recipe.diagnose.n_folds or FOLDS, recipe.train.seed
    with clock.phase("near-duplicates"):
        near = near_duplicates(rows.texts, rows.pairs, RELATED)
        same = near.at_least(THRESHOLD)
        in_sets = near_duplicate_sets(same, pool.owner, len(pool.sets))
        opposite, flagged = opposite_labels(same, pool.owner, class_ids(rows))
        units = [example_clusters(own, near.part(at.start, at.stop)) for own, at in zip(pool.sets, slices, strict=True)]
        folds = [
            assign_folds(class_ids(own), unit, n_folds, seed, own.source) for own, unit in zip(pool.sets, units, strict=True)
        ]
    embeddings = embed_rows(rows, find_model(recipe.model, base), recipe.data.max_length, clock)
    sets = [
        TransferData(name, own, take_embeddings(embeddings.vectors, np.arange(at.start, at.stop)), fold, unit, in_sets[at])
        for name, own, at, fold, unit in zip(pool.names, pool.sets, slices, folds, units, strict=True)
    ]
    with clock.phase("transfer"):
        n_models = len(sets) * (n_folds + len(sets) - 1)
        matrix = transfer_matrix(sets, pool.labels, lambda done: clock.listener(Event("step", "transfer", done, n_models)))
    findings = (opposite_finding(pool, opposite, flagged, in_sets), same_texts(pool, in_sets), transfer_finding(matrix))
    return DatasetComparison(opposite, matrix, findings, embeddings.note)


def yaml_documents(texts: Iterable[str]) -> str:
    """Several YAML files as one, a document each."""
    return "---\n".join(text if text.endswith("\n") else f"{text}\n" for text in texts)


def data_records(names: Sequence[str], data: Sequence[LabelledData], shared: SharedData) -> Iterator[dict[str, Any]]:
    """For each data set its sources, the number of compared rows, and the rows left out."""
    for name, whole, compared, left_out in zip(names, data, shared.data, shared.left_out, strict=True):
        splits = [
            {"split": part.split, "source": part.source, "sha256": part.sha256, "rows_read": part.rows_read, "rows": len(part)}
            for part in whole.named().values()
        ]
        n_rows = sum(len(part) for part in compared.named().values())
        yield {"name": name, "rows": n_rows, "left_out": dict(left_out), "splits": splits}


def notes_on_reading(
    names: Sequence[str], recipes: Sequence[Recipe], data: Sequence[LabelledData], shared: SharedData
) -> Iterator[str]:
    """Notes the labels left out, the recipes that name another model, and the assumptions made while reading."""
    for name, left_out in zip(names, shared.left_out, strict=True):
        if left_out:
            labels = listed(f"{label} ({n:,})" for label, n in left_out.items())
            n_rows = f"{plural(sum(left_out.values()), 'row', 'was', 'were')} left out"
            yield f"{name}: {n_rows}, since not every data set has their label: {labels}."
    used = recipes[0].model.name
    for name, recipe in zip(names, recipes, strict=True):
        if recipe.model.name != used:
            yield f"{name}: its recipe names the model {recipe.model.name}; {used} of {names[0]} was used for all."
    for name, splits in zip(names, data, strict=True):
        for note in splits.notes:
            yield note if note.startswith(splits.train.source) else f"{name}: {note}"
