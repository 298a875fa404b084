"""From the recipe's data section to the rows of an embedding run: read, shape, divide; and the folder that is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.builtin import retrieval_names
from tunesmith.data.cells import is_missing, listed
from tunesmith.data.column_names import SPLIT, SPLIT_WORDS, plain_name
from tunesmith.data.columns import find_column
from tunesmith.data.labelled.load import divide_by_column, read_tables, sampled
from tunesmith.data.pairs.beir import beir_folder, is_beir, judged_pairs_table, read_beir
from tunesmith.data.pairs.conversions import convert
from tunesmith.data.pairs.formats import PARTS, Shape, detect_shape
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.data.pairs.rows import EmbeddingRows, divided, usable_rows
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection, Recipe

BEIR_TRAIN = "train"


@dataclass(frozen=True)
class EmbeddingData:
    """The rows of an embedding run.

    Attributes:
        validation: what steers training; it may have another shape than train.
        also: further training rows that have a loss each; those that are concatenated stand in ``train``.
        retrieval: what ``evaluate.retrieval`` names.
        notes: what was assumed or decided, as sentences for the user.
        not_sampled: training rows left out by ``data.max_rows``.
    """

    train: EmbeddingRows
    validation: EmbeddingRows | None
    test: EmbeddingRows | None
    also: tuple[EmbeddingRows, ...] = ()
    retrieval: Retrieval | None = None
    notes: tuple[str, ...] = ()
    not_sampled: int = 0

    def named(self) -> dict[str, EmbeddingRows]:
        """Split name -> rows, for the splits there are."""
        return {x.split: x for x in (self.train, self.validation, self.test) if x is not None}


def load_embedding_data(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> EmbeddingData:
    """Everything an embedding run needs of its data.

    The shape is found in train; validation and test have the same columns, or are looked at on their own. A folder in the BEIR
    layout as ``data.train`` gives each query of ``qrels/train.tsv`` with each document that answers it.

    Raises:
        DataError: a source cannot be read, its shape cannot be seen, or too few rows are left.
    """
    notes: list[str] = []
    tables = tables_of(recipe, base, frames or {}, notes)
    shape = detect_shape(tables["train"], parts_given(recipe.data.columns))
    notes.append(f"{tables['train'].source}: {shape.kind.replace('_', ' ')} rows of {' + '.join(shape.columns)}, {shape.reason}.")
    rows = {"train": rows_of(tables["train"], shape, "train", recipe, notes)}
    also = further(recipe, base, notes)
    if also and recipe.embedding.mix == "concatenate":
        rows["train"], also = concatenated([rows["train"], *also], notes), []
    for split in ("validation", "test"):
        if split in tables:
            rows[split] = rows_of(tables[split], shape_like(tables[split], shape, recipe, notes), split, recipe, notes)
    n_rows = len(rows["train"])
    for split in ("test", "validation"):
        share = getattr(recipe.data, split)
        if isinstance(share, float) and split not in rows:
            share_of_left = share * n_rows / len(rows["train"])
            rows["train"], rows[split] = divided(rows["train"], share_of_left, recipe.train.seed, split)
    train = sampled(rows["train"], recipe, notes)
    named = recipe.evaluate.retrieval
    searched = None if named is None else read_beir(beir_folder(named, base))
    n_left_out = len(rows["train"]) - len(train)
    return EmbeddingData(train, rows.get("validation"), rows.get("test"), tuple(also), searched, tuple(notes), n_left_out)


def tables_of(recipe: Recipe, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """The tables there are for train, validation and test; one with a column of splits is divided."""
    data = recipe.data
    folder = None if "train" in frames else retrieval_folder(data.train, base)
    if folder is not None:
        table = judged_pairs_table(folder, BEIR_TRAIN)
        notes.append(f"{data.train}: the queries of qrels/{BEIR_TRAIN} with the documents that answer them.")
        return read_tables(data, base, {**frames, "train": table.columns}, notes) | {"train": table}
    tables = read_tables(data, base, frames, notes)
    column = split_column(tables["train"], data.columns)
    if column is not None:
        divide_by_column(tables, column, data, notes)
    return tables


def further(recipe: Recipe, base: Path, notes: list[str]) -> list[EmbeddingRows]:
    """The rows of each file of ``data.also``, in the shape that its own columns make."""
    found = []
    for name in recipe.data.also:
        table = read_table(name, header=recipe.data.header, encoding=recipe.data.encoding, base=base, split="train")
        shape = detect_shape(table, parts_there(table, recipe.data.columns))
        notes.append(f"{table.source}: {shape.kind.replace('_', ' ')} rows of {' + '.join(shape.columns)}, {shape.reason}.")
        found.append(rows_of(table, shape, "train", recipe, notes))
    return found


def parts_there(table: Table, columns: ColumnsSection) -> dict[str, str | list[str]]:
    """What the recipe says of columns, where the table has all of those."""
    given = parts_given(columns)
    named = [name for names in given.values() for name in (names if isinstance(names, list) else [names])]
    return given if all(find_column(table, name) is not None for name in named) else {}


def concatenated(parts: Sequence[EmbeddingRows], notes: list[str]) -> EmbeddingRows:
    """All rows as one split: texts side by side in the order of their parts, classes of one name (in any case) as one class.

    Raises:
        DataError: the parts have other shapes.
    """
    first = parts[0]
    names = {name.casefold(): name for name in first.classes}
    offsets = np.cumsum([0, *(length_of(part) for part in parts[:-1])]).tolist()
    placed = list(zip(offsets, parts, strict=True))
    for offset, part in placed:
        if (part.shape.kind, len(part.sides)) != (first.shape.kind, len(first.sides)):
            shapes = f"{first.shape.kind.replace('_', ' ')} rows and these {part.shape.kind.replace('_', ' ')} rows"
            message = f"{first.source} has {shapes}; one table has one shape."
            raise DataError.one(part.source, message, "Use embedding.mix: proportional, or embedding.convert.")
        if part is not first:
            notes.append(f"{part.source}: its rows follow from row {offset:,} on.")
    targets = [renamed(part, names) for part in parts]
    reasons = dict.fromkeys(reason for part in parts for reason in part.left_out)
    return replace(
        first, source=" + ".join(part.source for part in parts),
        row_ids=tuple(offset + i for offset, part in placed for i in part.row_ids),
        sides=tuple(tuple(text for part in parts for text in part.sides[j]) for j in range(len(first.sides))),
        target=None if first.target is None else tuple(value for values in targets for value in values), groups=None,
        left_out={why: tuple(start + i for start, part in placed for i in part.left_out.get(why, ())) for why in reasons},
        rows_read=sum(part.rows_read for part in parts), sha256="",
    )  # fmt: skip


def length_of(part: EmbeddingRows) -> int:
    """How many numbers its rows take up, those that are left out included."""
    return max(part.rows_read, max(part.row_ids) + 1)


def renamed(part: EmbeddingRows, names: dict[str, str]) -> tuple[Any, ...]:
    """The targets with each class named as it was met first; ``names`` grows by those that are new."""
    values = part.target or ()
    return tuple(names.setdefault(value.casefold(), value) for value in values) if part.classes else values


def retrieval_folder(name: str, base: Path) -> Path | None:
    """The folder in the BEIR layout that ``data.train`` names; None where it names something else."""
    if name.startswith("hub:") or (name.startswith("builtin:") and name.removeprefix("builtin:") not in retrieval_names()):
        return None
    folder = beir_folder(name, base)
    return folder if is_beir(folder) else None


def split_column(table: Table, given: ColumnsSection) -> str | None:
    """The column that says train, validation or test: the recipe's, or one of such a name with nothing else in it."""
    if given.split is not None:
        return given.split
    for name, cells in table.columns.items():
        words = {str(cell).strip().casefold() for cell in cells if not is_missing(cell)}
        if plain_name(name) in SPLIT and words and words <= set(SPLIT_WORDS):
            return name
    return None


def parts_given(columns: ColumnsSection) -> dict[str, str | list[str]]:
    """Part -> column, as the recipe says."""
    return {part: getattr(columns, part) for part in PARTS if getattr(columns, part, None) is not None}


def shape_like(table: Table, shape: Shape, recipe: Recipe, notes: list[str]) -> Shape:
    """The shape of train where the table has its columns and can be judged by it, else its own: texts alone judge nothing."""
    if shape.kind != "single_text" and all(name in table.columns for name in shape.columns):
        return shape
    found = detect_shape(table)
    notes.append(f"{table.source}: {found.kind.replace('_', ' ')} rows of {' + '.join(found.columns)}, {found.reason}.")
    return found


def rows_of(table: Table, shape: Shape, split: str, recipe: Recipe, notes: list[str]) -> EmbeddingRows:
    """The usable rows, converted where the recipe says so and they have the shape to convert."""
    group = recipe.data.columns.group
    if group is not None and group not in table.columns:
        if split == "train":
            message = f"There is no column {group!r} for the groups."
            raise DataError.one(table.source, message, f"Columns: {listed(table.columns)}.")
        group = None
    to = recipe.embedding.convert
    if to is None or shape.kind == to:
        return usable_rows(table, shape, split, score_range=recipe.embedding.score_range, group=group)
    if split != "train":
        return usable_rows(table, shape, split, group=group)
    return converted(table, shape, recipe, notes)


def converted(table: Table, shape: Shape, recipe: Recipe, notes: list[str]) -> EmbeddingRows:
    """Training rows in the shape that ``embedding.convert`` names."""
    to = recipe.embedding.convert
    assert to is not None
    made = convert(table, shape, to, recipe.train.seed)
    notes.append(f"{table.source}: {made.summary()}.")
    sides: tuple[tuple[str, ...], ...] = tuple(zip(*made.rows, strict=True))
    columns = Shape(to, made.columns, (), f"converted from {shape.kind.replace('_', ' ')}")
    return EmbeddingRows("train", table.source, columns, tuple(range(len(made.rows))), sides, rows_read=made.n_source,
                         sha256=table.sha256)  # fmt: skip


def data_record(data: EmbeddingData) -> dict[str, Any]:
    """The data part of ``result.json``: plain JSON types. In each split rows + dropped + not_sampled = rows_read."""
    shape = data.train.shape
    record: dict[str, Any] = {
        "problem_type": "embedding", "shape": shape.kind,
        "columns": {"texts": list(shape.texts), "target": list(shape.target)}, "columns_reasons": {"texts": shape.reason},
        "notes": list(data.notes),
        "splits": {name: split_record(rows, data) for name, rows in data.named().items()},
        "also": [split_record(rows, data) | {"not_sampled": 0} for rows in data.also],
    }  # fmt: skip
    if data.retrieval is not None:
        found = data.retrieval
        record["retrieval"] = {
            "source": found.source, "split": found.split, "documents": len(found.documents), "queries": len(found.queries),
            "notes": list(found.notes),
        }  # fmt: skip
    return record


def split_record(rows: EmbeddingRows, data: EmbeddingData) -> dict[str, Any]:
    return {
        "source": rows.source, "sha256": rows.sha256, "shape": rows.shape.kind, "columns": list(rows.shape.columns),
        "rows_read": rows.rows_read, "rows": len(rows), "dropped": {reason: len(ids) for reason, ids in rows.left_out.items()},
        "not_sampled": data.not_sampled if rows.split == "train" else 0,
    }  # fmt: skip
