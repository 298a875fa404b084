"""Reads the tables of train, validation and test: from files, a folder, a hub data set, a split column or memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.column_names import SPLIT, SPLIT_WORDS, plain_name
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_sources, read_table
from tunesmith.data.split import SPLITS, split_by_column
from tunesmith.data.table import Table
from tunesmith.errors import DataError, InputError, Problem
from tunesmith.recipe.sections import AUTO, ColumnsSection, DataSection

T = TypeVar("T")


def read_splits(data: DataSection, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """Reads a table for each split of the recipe, its training source or ``frames``. Raises DataError with all problems.

    Args:
        base: the folder that the recipe's paths start from.
        frames: tables in memory (see ``table_from_frame``) that replace ``train``, ``validation`` or ``test``.
    """
    wrong = sorted(set(frames) - set(SPLITS))
    if wrong:
        raise DataError.one("", f"Tables were given for {listed(wrong)}; train, validation and test were expected.")
    problems: list[Problem] = []
    tables = collect(problems, partial(read_train, data, base, frames)) or {}
    for split in SPLITS[1:]:
        source = data.file(split)
        if split in frames:
            table = collect(problems, partial(table_from_frame, frames[split], split))
        elif source is not None:
            read = partial(read_table, source, header=data.header, encoding=data.encoding, base=base, split=split)
            table = collect(problems, read)
        else:  # a split that came with the training source stays, unless the recipe sets it to something else
            table = tables.get(split)
            if table is not None and is_set(data, split):
                notes.append(f"{tables.pop(split).source} is not used: the recipe sets data.{split}.")
            elif table is not None:
                notes.append(f"{table.source} is used for {split}.")
            continue
        if table is not None:
            tables[split] = table
    if problems:
        raise DataError(problems)
    return tables


def is_set(data: DataSection, split: str) -> bool:
    """Returns whether the recipe names a split, so that one that comes with the training source is not used."""
    return split in data.model_fields_set and getattr(data, split) != AUTO


def collect(problems: list[Problem], work: Callable[[], T]) -> T | None:
    """Runs the work; where it fails, returns None and adds its problems to the list."""
    try:
        return work()
    except InputError as error:
        problems.extend(error.problems)
        return None


def read_train(data: DataSection, base: Path, frames: Mapping[str, Any]) -> dict[str, Table]:
    """Reads the splits of the training source: one of a file, several of a folder or hub data set."""
    if "train" in frames:
        return {"train": table_from_frame(frames["train"], "train")}
    tables = read_sources(data.train, header=data.header, encoding=data.encoding, base=base)
    if "train" not in tables:
        raise DataError.one(data.train, f"The source has no train rows, only {listed(tables)}.", "Give a file for data.train.")
    return {split: table for split, table in tables.items() if split in SPLITS}


def find_split_column(table: Table, columns: ColumnsSection) -> str | None:
    """Finds the column with the split of each row: the recipe's, or one with a usual name and only such words."""
    if columns.split is not None:
        return columns.split
    for name, cells in table.columns.items():
        words = {str(cell).strip().casefold() for cell in cells if not is_missing(cell)}
        if plain_name(name) in SPLIT and words and words <= set(SPLIT_WORDS):
            return name
    return None


def apply_split_column(tables: dict[str, Table], column: str, data: DataSection, notes: list[str]) -> None:
    """Divides train by its split column, in place; a split that is given otherwise stays as it is."""
    parts = split_by_column(tables["train"], column)
    tables["train"] = parts.pop("train")
    for split, part in parts.items():
        if split in tables or is_set(data, split):
            notes.append(
                f"{plural(len(part), 'row', 'is', 'are')} not used: the column {column!r} marks them as {split}, "
                "which is given otherwise."
            )
        else:
            tables[split] = part
            notes.append(f"The column {column!r} divides the rows; {plural(len(part), 'row', 'is', 'are')} {split}.")
