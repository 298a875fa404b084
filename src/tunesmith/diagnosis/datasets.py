"""The story of several data sets: shared labels, shared texts, models of one tested on the others, what an oracle says."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.diagnosis.checks.agreement import Agreement
from tunesmith.diagnosis.checks.transfer import Compared, Opposite, Transfer, opposite_labels, taken, transfer_matrix, twins
from tunesmith.diagnosis.cross_validation import FROZEN, embedded
from tunesmith.diagnosis.evidence import class_ids
from tunesmith.diagnosis.folds import FOLDS, fold_of, units_of
from tunesmith.diagnosis.oracle import consult
from tunesmith.diagnosis.pool import (
    Pool,
    heard,
    opposite_finding,
    oracle_finding,
    same_texts,
    transfer_finding,
    write_opposite,
    write_oracle,
)
from tunesmith.diagnosis.rows import RESULT, pooled, whole_files
from tunesmith.diagnosis.shared_labels import Shared, shared_rows
from tunesmith.errors import InputError
from tunesmith.models.source import find_model, stay_offline_unless_needed
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.draft import stem
from tunesmith.recipe.load import LoadedRecipe, load_recipe, resolved_yaml
from tunesmith.recipe.sections import Recipe
from tunesmith.results import SCHEMA, Finding, finite
from tunesmith.run_folder import begin, claim, finish, write_record
from tunesmith.workflows.from_tables import from_tables

OPPOSITE, ORACLE = "opposite.csv", "oracle.csv"
FEWEST = 2
Source = tuple[LoadedRecipe, Mapping[str, Any] | None]
"""A recipe and the tables in memory that it names."""


@dataclass(frozen=True)
class AcrossDiagnosis:
    """A finished diagnosis of several data sets.

    Attributes:
        folder: holds ``diagnosis.json``, ``opposite.csv`` and, where an oracle was asked, ``oracle.csv``.
        data: one dictionary a data set: ``name``, ``rows``, ``left_out`` (label -> rows), ``splits`` (where from, how many).
        labels: those that all data sets have.
        matrix: row by row, trained on each data set.
        agreement: with an oracle, for each data set; empty where none was asked.
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
        plain: dict[str, Any] = finite(
            {
                "schema": SCHEMA, "findings": [asdict(finding) for finding in self.findings], "data": list(self.data),
                "labels": list(self.labels), "matrix": [asdict(cell) for cell in self.matrix],
                "agreement": [one.to_json() for one in self.agreement], "opposite": str(self.folder / OPPOSITE),
                "oracle": str(self.folder / ORACLE) if self.agreement else None, "notes": list(self.notes),
                "n_rows": sum(one["rows"] for one in self.data), "method": FROZEN, "timings_seconds": self.timings_seconds,
            }
        )  # fmt: skip
        return plain


def diagnose_data_sets(
    data: Mapping[str, Any] | Sequence[Any], *, oracle: Any = None, output: str | Path | None = None, overwrite: bool = False,
    model: str = "builtin:minilm", listener: Listener = silent, **sections: Any,
) -> AcrossDiagnosis:  # fmt: skip
    """Two or more data sets compared: the same texts with other labels, models of one tested on the others, an oracle's word.

    Args:
        data: each a table in memory (see ``train``), a data file, or a recipe (``.yaml``); by name, or in a list.
        oracle: a ``Run`` or its folder; a table or file of labels; a function from a list of texts (with pairs: and a list of
            second texts) to as many label names, or ``module:function``.
        output: the folder; ``runs/A-B-diagnosis`` where none is given.
        sections: further recipe sections as dictionaries, e.g. ``diagnose={"n_folds": 10}``; not for recipes.

    Raises:
        InputError: they cannot be compared; nothing was written.
    """
    given = list(data.values()) if isinstance(data, Mapping) else list(data)
    read = [source_of(one, i, model, sections) for i, one in enumerate(given)]
    names = list(data) if isinstance(data, Mapping) else None
    folder = None if output is None else Path(output)
    return diagnose_across(read, names=names, oracle=oracle, folder=folder, overwrite=overwrite, listener=listener)


def source_of(one: Any, i: int, model: str, sections: dict[str, Any]) -> Source:
    """The recipe of one data set given in Python."""
    if isinstance(one, str | Path) and Path(one).suffix in {".yaml", ".yml"}:
        return load_recipe(Path(one)), None
    name = stem(str(one)) if isinstance(one, str | Path) else f"data{i + 1}"
    return from_tables("diagnose_across()", one, None, None, f"runs/{name}", "classification", model, sections)


def diagnose_across(
    given: Sequence[Source], *, names: Sequence[str] | None = None, oracle: Any = None, folder: Path | None = None,
    overwrite: bool = False, listener: Listener = silent,
) -> AcrossDiagnosis:  # fmt: skip
    """Compare data sets and write what was found into ``A-B-diagnosis`` beside the first one's output.

    Model, folds and seed are those of the first recipe. Shares of train that a recipe takes for validation or test are rows of
    its data set like the others.

    Raises:
        InputError: the data sets cannot be read or compared; nothing was written.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    recipes = [whole_files(loaded.recipe) for loaded, _ in given]
    named = tuple(names or names_of([loaded for loaded, _ in given]))
    if len(named) < FEWEST:
        raise InputError.one("diagnose", f"{listed(named) or 'nothing'} is no two data sets.", "Give two or more.")
    place = claim(folder or output_of(recipes[0].output, named), overwrite=overwrite)
    stay_offline_unless_needed(*recipes)
    with clock.phase("data"):
        read = [load_labelled_data(recipe, loaded.base, frames) for recipe, (loaded, frames) in zip(recipes, given, strict=True)]
        shared = shared_rows(named, read)
        pool = pool_of(named, shared)
    said = []
    if oracle is not None:
        with clock.phase("oracle"):
            said = heard(pool, consult(oracle, shared.data))
    found = look(pool, recipes[0], given[0][0].base, clock, listener)
    begin(place, documents(loaded.text for loaded, _ in given), documents(map(resolved_yaml, recipes)))
    with clock.phase("save"):
        write_opposite(pool, found.opposite, place.work / OPPOSITE)
        if said:
            write_oracle(pool, said, place.work / ORACLE)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    findings = (*found.findings, *(oracle_finding(pool, i, one) for i, one in enumerate(said)))
    notes = [*shared_notes(named, shared), *model_notes(named, recipes), *read_notes(named, read), *filter(None, [found.note])]
    outcome = AcrossDiagnosis(
        place.final, tuple(records(named, read, shared)), shared.labels.names, findings, tuple(found.matrix),
        tuple(one.agreement for one in said), tuple(notes), dict(clock.seconds),
    )  # fmt: skip
    write_record(place.work / RESULT, outcome.to_json())
    finish(place)
    return outcome


def names_of(given: Sequence[LoadedRecipe]) -> list[str]:
    """A short name for each data set: of its output, of its file, or of file and folder, whatever tells them apart."""
    sources = [loaded.recipe.data.train for loaded in given]
    ways = (
        [Path(loaded.recipe.output).name for loaded in given],
        [stem(source) for source in sources],
        [f"{Path(source).absolute().parent.name}-{stem(source)}" for source in sources],
    )
    different = next((names for names in ways if len(set(names)) == len(names)), None)
    return different or [f"{name}-{i}" for i, name in enumerate(ways[1], 1)]


def output_of(first: str, names: Sequence[str]) -> Path:
    """``A-B-diagnosis`` beside the output of the first data set."""
    joined = "-".join(re.sub(r"[^\w.]+", "-", name) for name in names)
    return Path(first).parent / f"{joined}-diagnosis"


def pool_of(names: tuple[str, ...], shared: Shared) -> Pool:
    """The rows of the shared labels of all data sets, all splits."""
    sets = tuple(pooled(data)[0] for data in shared.data)
    splits = tuple([part.split for part in data.named().values() for _ in range(len(part))] for data in shared.data)
    return Pool(names, shared.labels, sets, splits)


@dataclass(frozen=True)
class Between:
    """What was found between the data sets themselves."""

    opposite: list[Opposite]
    matrix: list[Transfer]
    findings: tuple[Finding, ...]
    note: str


def look(pool: Pool, recipe: Recipe, base: Path, clock: Clock, listener: Listener) -> Between:
    """The same texts with other labels, and the transfer matrix."""
    rows = pool.rows()
    with clock.phase("near-duplicates"):
        near = near_duplicates(rows.texts, rows.pairs)
        reached = twins(near, pool.owner, len(pool.sets))
        opposite, flagged = opposite_labels(near, pool.owner, class_ids(rows))
        units = [units_of(own, near.part(at.start, at.stop)) for own, at in zip(pool.sets, pool.slices(), strict=True)]
        n_folds, seed = recipe.diagnose.n_folds or FOLDS, recipe.train.seed
        folds = [
            fold_of(class_ids(own), held, n_folds, seed, own.source) for own, held in zip(pool.sets, units, strict=True)
        ]  # fmt: skip
    base_model = embedded(rows, find_model(recipe.model, base), recipe.data.max_length, clock)
    sets = [
        Compared(name, own, taken(base_model.vectors, np.arange(at.start, at.stop)), fold, reached[at])
        for name, own, at, fold in zip(pool.names, pool.sets, pool.slices(), folds, strict=True)
    ]
    with clock.phase("transfer"):
        n_models = len(sets) * (n_folds + len(sets) - 1)
        matrix = transfer_matrix(sets, pool.labels, lambda done: listener(Event("step", "transfer", done, n_models)))
    findings = (opposite_finding(pool, opposite, flagged, reached), same_texts(pool, reached), transfer_finding(matrix))
    return Between(opposite, matrix, findings, base_model.note)


def documents(texts: Iterable[str]) -> str:
    """Several YAML files as one, a document each."""
    return "---\n".join(text if text.endswith("\n") else f"{text}\n" for text in texts)


def records(names: Sequence[str], read: Sequence[LabelledData], shared: Shared) -> Iterator[dict[str, Any]]:
    """Where each data set is from, how many of its rows were compared and which were left out."""
    for name, whole, data, left_out in zip(names, read, shared.data, shared.left_out, strict=True):
        splits = [
            {"split": part.split, "source": part.source, "sha256": part.sha256, "rows_read": part.rows_read, "rows": len(part)}
            for part in whole.named().values()
        ]
        n_rows = sum(len(part) for part in data.named().values())
        yield {"name": name, "rows": n_rows, "left_out": dict(left_out), "splits": splits}


def shared_notes(names: Sequence[str], shared: Shared) -> list[str]:
    """Which labels were left out of each data set."""
    return [
        f"{name}: {sum(left_out.values()):,} rows were left out, since not every data set has their label: "
        f"{listed(f'{label} ({n:,})' for label, n in left_out.items())}."
        for name, left_out in zip(names, shared.left_out, strict=True) if left_out
    ]  # fmt: skip


def model_notes(names: Sequence[str], recipes: Sequence[Recipe]) -> list[str]:
    """Which recipes name another base model than the one that was used."""
    used = recipes[0].model.name
    return [
        f"{name}: its recipe names the model {recipe.model.name}; {used} of {names[0]} was used for all."
        for name, recipe in zip(names, recipes, strict=True) if recipe.model.name != used
    ]  # fmt: skip


def read_notes(names: Sequence[str], read: Sequence[LabelledData]) -> list[str]:
    """What was assumed while reading."""
    return [
        note if note.startswith(splits.train.source) else f"{name}: {note}"
        for name, splits in zip(names, read, strict=True) for note in splits.notes
    ]  # fmt: skip
