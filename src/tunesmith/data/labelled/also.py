"""Reads further training files of a classification or regression (``data.also``), and appends their rows to those of train."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith.data.cells import is_number, plural
from tunesmith.data.concatenated import SourceFile, first_rows, following_note
from tunesmith.data.labelled.class_numbers import class_order
from tunesmith.data.labelled.codings import FileClasses, shared_coding
from tunesmith.data.labelled.label_forms import plain_labels
from tunesmith.data.labelled.labels import class_name, class_names, words_in
from tunesmith.data.numbers import plain_numbers
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_table
from tunesmith.data.readers.splits import collect, find_split_column
from tunesmith.data.split import SPLITS, split_by_column
from tunesmith.data.table import Columns, Table
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.sections import DataSection, Recipe
from tunesmith.recipe.tasks import task_settings


def also_key(i: int) -> str:
    """Names the table of a further file among those of the splits."""
    return f"also[{i}]"


def names_in_recipe(data: DataSection, keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Returns what the file of each table may be called in ``data.labels``: its key, and its name in the recipe.

    Args:
        keys: splits, and further files by ``also_key``.
    """
    further = {also_key(i): source for i, source in enumerate(data.also)}
    return {key: (key, further.get(key) or (data.file(key) if key in SPLITS else None) or data.train) for key in keys}


def read_also(data: DataSection, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """Reads each file of ``data.also``; of a file with a split column only its rows of train. Raises DataError with all problems.

    Args:
        frames: tables in memory, by ``also_key`` for those among the files.
    """
    problems: list[Problem] = []
    tables: dict[str, Table] = {}
    for i, source in enumerate(data.also):
        key = also_key(i)
        if key in frames:
            table = collect(problems, partial(table_from_frame, frames[key], key))
        else:
            read = partial(read_table, source, header=data.header, encoding=data.encoding, base=base, split="train")
            table = collect(problems, read)
        if table is not None:
            tables[key] = table
    if problems:
        raise DataError(problems)
    return {key: training_rows(table, data, notes) for key, table in tables.items()}


def training_rows(table: Table, data: DataSection, notes: list[str]) -> Table:
    """Returns the rows that the table's split column marks as train, if it has such a column, and notes the others."""
    column = find_split_column(table, data.columns)
    if column is None or column not in table.columns:
        return table
    train = split_by_column(table, column)["train"]
    n_left = len(table) - len(train)
    if n_left:
        notes.append(
            f"{table.source}: {plural(n_left, 'row', 'is', 'are')} not used: the column {column!r} marks them otherwise."
        )
    return train


def append_files(
    tables: dict[str, Table], columns: Mapping[str, Columns], mapped: Collection[str], recipe: Recipe, notes: list[str]
) -> None:
    """Appends the rows of the further files to train, in place, with the labels in the coding of train.

    Args:
        mapped: the tables whose labels a map of the recipe gave.
    """
    keys = [key for key in tables if key.startswith("also[")]
    if not keys:
        return
    ours = columns["train"]
    parts = [in_columns_of(tables[key], columns[key], tables["train"], ours) for key in ("train", *keys)]
    if task_settings(recipe).numeric_labels:
        parts = [with_plain_numbers(part, ours.label[0], notes) for part in parts]
    elif len(ours.label) == 1:
        is_mapped = [key in mapped for key in ("train", *keys)]
        parts = in_one_coding(parts, ours.label[0], is_mapped, recipe.data, notes)
    tables["train"] = concatenated(parts, notes)
    for key in keys:
        del tables[key]


def in_columns_of(table: Table, own: Columns, train: Table, ours: Columns) -> Table:
    """Gives the columns of a file the names that train has for the same role; other columns are found by their name.

    A column that the file does not have is empty; one that train does not have is left out.
    """
    if table is train:
        return table
    pairs = [(getattr(ours, part), getattr(own, part)) for part in ("text", "pair", "id", "group")]
    roles = {name: column for name, column in (*pairs, *zip(ours.label, own.label, strict=True)) if name is not None}
    empty = [None] * len(table)

    def cells(name: str) -> list[Any]:
        source = roles.get(name, name)
        return empty if source is None or source not in table.columns else table.columns[source]

    classes = {name: table.classes[column] for name, column in roles.items() if column in table.classes}
    return replace(table, columns={name: list(cells(name)) for name in train.columns}, classes=classes)


def with_plain_numbers(table: Table, label: str, notes: list[str]) -> Table:
    """Writes the scores of a file as plain numbers, since each file may have a notation of its own, and notes their range."""
    cells, note = plain_numbers(table.columns[label])
    notes.extend([f"{table.source}: {note}"] if note else [])
    numbers = [float(cell) for cell in cells if is_number(cell)]
    if numbers:
        notes.append(f"{table.source}: {plural(len(numbers), 'score')} from {min(numbers):g} to {max(numbers):g}.")
    return replace(table, columns={**table.columns, label: list(cells)})


def in_one_coding(parts: Sequence[Table], label: str, mapped: Sequence[bool], data: DataSection, notes: list[str]) -> list[Table]:
    """Writes the classes of all files as the first does, see ``shared_coding``; lists written as text become lists."""
    plain = [with_plain_labels(part, label, notes) for part in parts]
    files = []
    for part, is_mapped in zip(plain, mapped, strict=True):
        kept = words_in(part.columns[label]) if data.keep_null_labels else ()
        cells = (class_names(cell, data.label_separator, kept) for cell in part.columns[label])
        names = frozenset(name for own in cells for name in own or ()) - {"-1"}
        files.append(FileClasses(part.source, names, class_order(part, label, len(names)), is_mapped))
    coding = shared_coding(files)
    notes.extend(coding.notes)
    every = frozenset(own.get(name, name) for file, own in zip(files, coding.renamed, strict=True) for name in file.names)
    known = {label: files[0].order} if every <= set(files[0].order) else {}
    return [
        replace(with_renamed(part, label, own, data.label_separator), classes=known)
        for part, own in zip(plain, coding.renamed, strict=True)
    ]


def with_plain_labels(table: Table, label: str, notes: list[str]) -> Table:
    """Reads the labels of a file that are lists in another form, since each file may have a form of its own."""
    plain = plain_labels(table, label)
    if not any(isinstance(cell, list | tuple) for cell in plain.cells):
        return table
    notes.extend(f"{table.source}: {note}" for note in plain.notes)
    return replace(table, columns={**table.columns, label: plain.cells})


def with_renamed(table: Table, label: str, renamed: Mapping[str, str], separator: str | None) -> Table:
    """Renames the classes of a column, also in lists."""
    if not renamed:
        return table

    def new(cell: Any) -> Any:
        if isinstance(cell, list | tuple) or (separator and isinstance(cell, str) and separator in cell):
            return [renamed.get(name, name) for name in class_names(cell, separator) or ()]
        return renamed.get(class_name(cell), cell)

    return replace(table, columns={**table.columns, label: list(map(new, table.columns[label]))})


def concatenated(parts: Sequence[Table], notes: list[str]) -> Table:
    """Concatenates tables with the same columns; row ids continue, and each row is found in its file again (``files``)."""
    first, starts = parts[0], first_rows((part.rows_read, ids_of(part)) for part in parts)
    placed = list(zip(starts, parts, strict=True))
    notes.extend(following_note(part.source, start) for start, part in placed[1:])
    has_lines = all(part.lines is not None for part in parts)
    hashes = [part.sha256 for part in parts]
    return replace(
        first,
        source=" + ".join(part.source for part in parts),
        columns={name: [cell for part in parts for cell in part.columns[name]] for name in first.columns},
        row_ids=[start + i for start, part in placed for i in part.row_ids],
        lines=[line for part in parts for line in part.lines or ()] if has_lines else None,
        rows_read=sum(part.rows_read for part in parts),
        bad_rows=tuple(replace(row, row_id=start + row.row_id) for start, part in placed for row in part.bad_rows),
        sha256=hashlib.sha256(" ".join(hashes).encode()).hexdigest() if all(hashes) else "",
        files=tuple(
            SourceFile(part.source, part.sha256, start, part.rows_read, part.row_ids, part.lines) for start, part in placed
        ),
    )


def ids_of(table: Table) -> list[int]:
    """Returns the row ids of a table, those of its bad rows included."""
    return [*table.row_ids, *(row.row_id for row in table.bad_rows)]
