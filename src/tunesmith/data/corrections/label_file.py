"""Labels that somebody else gave, in a table of their own, each at the row it was given to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.data.cells import is_missing, is_number, is_whole, listed
from tunesmith.data.column_names import ID, LABEL, plain_name
from tunesmith.data.columns import detect_columns
from tunesmith.data.labelled.labels import class_name, split_cell
from tunesmith.data.normalise import text_keys
from tunesmith.data.table import Columns, Examples, Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection

ROW_ID, SPLIT = "row_id", "split"
PREDICTION, PROBABILITY = "prediction", "probability"
"""Columns of files that ``tunesmith predict`` writes."""


@dataclass(frozen=True)
class FoundLabels:
    """The labels of one split's rows.

    Attributes:
        names: class name of each row (N); None where the file has none for it.
        confidence: the probability of each (N), NaN where there is none; None where the file has no such column.
    """

    names: list[str | None]
    confidence: np.ndarray | None


@dataclass(frozen=True)
class Found:
    """The labels of a data set's rows.

    Attributes:
        by: what rows and labels were matched by: ``row_id``, ``the column id``, ``text``.
        n_labels: different keys in the file.
        n_unused: those that belong to no row.
        n_contradicted: those with two different labels, which are left out.
    """

    of_split: dict[str, FoundLabels]
    by: str
    n_labels: int
    n_unused: int
    n_contradicted: int


def find_labels(table: Table, parts: Sequence[Examples], columns: Columns, *, several: bool = False) -> Found:
    """The table's labels at the rows of a data set: by ``row_id`` or ``id`` where both have it, else by normalised text.

    Args:
        parts: the splits of the data set.
        columns: the data set's own.
        several: other data sets have the same row ids, so that texts alone say which row is meant.

    Raises:
        DataError: no column holds labels, or there is nothing to match by.
    """
    label = label_column(table)
    way = key_column(table, columns, several)
    if way is None:
        keys, of_parts, by = *keys_of_texts(table, parts, columns, label, several), "text"
    else:
        keys, of_parts, by = keys_of_rows(table, parts, columns, way)
    said, contradicted = by_key(keys, [single_name(table, i, label) for i in range(len(table))])
    sure = confidences(table, keys, label)
    used = {key for part in of_parts for key in part} & set(said)
    found = {
        part.split: FoundLabels([said.get(key) for key in part_keys], at(sure, part_keys))
        for part, part_keys in zip(parts, of_parts, strict=True)
    }
    return Found(found, by, len(said) + len(contradicted), len(said) - len(used), len(contradicted))


def label_column(table: Table) -> str:
    """The column that holds the labels: a prediction, one with a usual name, or the only one that is no key."""
    named = {plain_name(name): name for name in reversed(table.columns)}
    for name in (PREDICTION, *(name for tier in LABEL for name in tier)):
        if name in named:
            return named[name]
    left = [name for plain, name in named.items() if plain not in (*ID, SPLIT)]
    if len(left) != 1:
        message = f"No column looks like a label; the columns are {listed(table.columns)}."
        raise DataError.one(table.source, message, "Call the column with the labels label.")
    return left[0]


def key_column(table: Table, columns: Columns, several: bool) -> str | None:
    """The column of row ids or names that the data set has, too; None where rows are to be matched by text."""
    named = {plain_name(name): name for name in reversed(table.columns)}
    if several:
        return None
    if columns.id is not None and columns.id in table.columns:
        return columns.id
    if ROW_ID in named:
        return named[ROW_ID]
    return named.get("id") if columns.id is not None else None


def keys_of_rows(
    table: Table, parts: Sequence[Examples], columns: Columns, way: str
) -> tuple[list[Hashable], list[list[Hashable]], str]:
    """The key of each label and of each row, by position in the source or by the user's own names; and the way in words."""
    cells = [None if is_missing(cell) else class_name(cell) for cell in table.columns[way]]
    if way == columns.id or plain_name(way) != ROW_ID:
        of_parts: list[list[Hashable]] = [[class_name(name) for name in part.ids or []] for part in parts]
        return list(cells), of_parts, f"the column {way}"
    wrong = next((i for i, cell in enumerate(cells) if cell is None or not is_whole(cell)), None)
    if wrong is not None:
        message = f"row_id is {table.columns[way][wrong]!r}; the 0-based position of a row in its file was expected."
        raise DataError.one(f"{table.source}, {table.place(wrong)}", message)
    rows = [int(str(cell)) for cell in cells]
    if len({part.source for part in parts}) == 1:
        return list(rows), [list(part.row_ids) for part in parts], ROW_ID
    return [*zip(splits_of(table, parts), rows, strict=True)], [[(part.split, i) for i in part.row_ids] for part in parts], ROW_ID


def splits_of(table: Table, parts: Sequence[Examples]) -> list[str]:
    """The split of each label; rows of splits that were taken out of train count as train.

    Raises:
        DataError: the table does not say.
    """
    named = {plain_name(name): name for name in table.columns}
    known = [part.split for part in parts]
    if SPLIT not in named:
        sources = listed(dict.fromkeys(part.source for part in parts))
        message = f"A row_id alone does not say whether the row is of {sources}."
        raise DataError.one(table.source, message, f"Add a column split that holds {listed(known)}.")
    return [str(cell) if str(cell) in known else "train" for cell in table.columns[named[SPLIT]]]


def keys_of_texts(
    table: Table, parts: Sequence[Examples], columns: Columns, label: str, several: bool
) -> tuple[list[Hashable], list[list[Hashable]]]:
    """The normalised text of each label and of each row."""
    mine = {part: name for part in ("text", "pair") if (name := getattr(columns, part)) in table.columns}
    try:
        own = detect_columns(table, "classification", ColumnsSection(**mine, label=label), need_label=False)
    except DataError as error:
        why = "with several data sets a row id does not say which row is meant" if several else "no id that the data has"
        message = f"Its labels cannot be matched to rows: {why}, and no texts ({error.problems[0].message})"
        raise DataError.one(table.source, message, "Add a column with the texts.") from error
    if (own.pair is None) != (columns.pair is None):
        shapes = ("single texts", "pairs of texts") if own.pair is None else ("pairs of texts", "single texts")
        raise DataError.one(table.source, f"It has {shapes[0]}, {parts[0].source} has {shapes[1]}.")
    pairs = None if own.pair is None else [str(cell) for cell in table.columns[own.pair]]
    texts = [str(cell) for cell in table.columns[own.text]]
    return list(text_keys(texts, pairs)), [list(text_keys(part.texts, part.pairs)) for part in parts]


def single_name(table: Table, i: int, label: str) -> str | None:
    """The class name in one cell. Raises DataError where it holds several."""
    name = split_cell(table.columns[label][i], None)
    if isinstance(name, list):
        raise DataError.one(f"{table.source}, {table.place(i)}", "The row has a list of labels; one label was expected.")
    return name


def by_key(keys: Sequence[Hashable], names: Sequence[str | None]) -> tuple[dict[Hashable, str], set[Hashable]]:
    """Key -> label, and the keys that were given two different labels, which have none."""
    said: dict[Hashable, str] = {}
    contradicted: set[Hashable] = set()
    for key, name in zip(keys, names, strict=True):
        if name is not None and key is not None and said.setdefault(key, name) != name:
            contradicted.add(key)
    return {key: name for key, name in said.items() if key not in contradicted}, contradicted


def confidences(table: Table, keys: Sequence[Hashable], label: str) -> dict[Hashable, float] | None:
    """Key -> the probability of its label, where the file is one of predictions with their probabilities."""
    named = {plain_name(name): name for name in table.columns}
    if plain_name(label) != PREDICTION or PROBABILITY not in named:
        return None
    cells: Sequence[Any] = table.columns[named[PROBABILITY]]
    return {key: float(cell) for key, cell in zip(keys, cells, strict=True) if is_number(cell)}


def at(sure: dict[Hashable, float] | None, keys: Sequence[Hashable]) -> np.ndarray | None:
    return None if sure is None else np.array([sure.get(key, np.nan) for key in keys])
