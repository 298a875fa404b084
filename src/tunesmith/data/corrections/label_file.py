"""Matches the labels of another annotator or model, in a table of their own, to the rows of a data set."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import clip, is_missing, is_number, is_whole, listed, unescape_formula
from tunesmith.data.column_names import ID, LABEL, plain_name
from tunesmith.data.columns import detect_columns
from tunesmith.data.corrections.corrections_csv import MAX_DIGITS
from tunesmith.data.labelled.labels import class_name, split_cell
from tunesmith.data.normalise import text_keys
from tunesmith.data.readers.written import is_predictions
from tunesmith.data.table import Columns, Examples, Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection

ROW_ID, SPLIT = "row_id", "split"
PREDICTION, PROBABILITY = "prediction", "probability"
"""Columns of written predictions."""


@dataclass(frozen=True)
class SplitLabels:
    """A split's matched labels: class names (N), None without one, and probabilities (N), NaN without one, if there are any."""

    names: list[str | None]
    confidence: Array | None


@dataclass(frozen=True)
class MatchedLabels:
    """The matched labels of a data set's rows.

    Attributes:
        of_split: split name -> its labels.
        by: the key of the match: ``row_id``, ``the column id``, ``text``.
        n_labels: distinct keys in the file.
        n_unused: keys that belong to no row.
        n_contradicted: keys with two different labels, which are left out.
    """

    of_split: dict[str, SplitLabels]
    by: str
    n_labels: int
    n_unused: int
    n_contradicted: int


def find_labels(table: Table, parts: Sequence[Examples], columns: Columns, *, several: bool = False) -> MatchedLabels:
    """Matches the table's labels to the rows of a data set: by ``row_id`` or ``id`` if both have it, else by normalised text.

    Args:
        parts: the splits of the data set.
        columns: the columns of the data set.
        several: other data sets have the same row ids, so that only texts identify a row.
    """
    label = find_label_column(table)
    if plain_name(label) == PREDICTION and not is_predictions([*table.columns]):  # whose reader has done so
        table = as_predicted(table)
    key = find_key_column(table, columns, several)
    if key is None:
        keys, part_keys, by = *text_match_keys(table, parts, columns, label, several), "text"
    else:
        keys, part_keys, by = row_match_keys(table, parts, columns, key)
    first: dict[Hashable, str] = {}
    contradicted: set[Hashable] = set()  # keys with two different labels
    for i, (row_key, cell) in enumerate(zip(keys, table.columns[label], strict=True)):
        name = split_cell(cell, None)
        if isinstance(name, list):
            raise DataError.one(f"{table.source}, {table.place(i)}", "The row has a list of labels; one label was expected.")
        if name is not None and row_key is not None and first.setdefault(row_key, name) != name:
            contradicted.add(row_key)
    names = {row_key: name for row_key, name in first.items() if row_key not in contradicted}
    probabilities = confidences(table, keys, label)
    n_used = len({key for own in part_keys for key in own} & set(names))
    of_split = {}
    for part, own in zip(parts, part_keys, strict=True):
        confidence = None if probabilities is None else np.array([probabilities.get(key, np.nan) for key in own])
        of_split[part.split] = SplitLabels([names.get(key) for key in own], confidence)
    return MatchedLabels(of_split, by, len(names) + len(contradicted), len(names) - n_used, len(contradicted))


def as_predicted(table: Table) -> Table:
    """Returns a table of predictions without the quotes that keep a spreadsheet from running texts as formulas."""
    columns = {
        name: [unescape_formula(cell) if isinstance(cell, str) else cell for cell in table.columns[name]]
        for name in table.columns
    }
    return replace(table, columns=columns)


def find_label_column(table: Table) -> str:
    """Finds the label column: a prediction, one with a usual name, or the only one that is no key."""
    named = {plain_name(name): name for name in reversed(table.columns)}
    for name in (PREDICTION, *(name for tier in LABEL for name in tier)):
        if name in named:
            return named[name]
    left = [name for plain, name in named.items() if plain not in (*ID, SPLIT)]
    if len(left) != 1:
        message = f"No column looks like a label; the columns are {listed(table.columns)}."
        raise DataError.one(table.source, message, "Call the column with the labels label.")
    return left[0]


def find_key_column(table: Table, columns: Columns, several: bool) -> str | None:
    """Finds the column of row ids or names that the data set has, too; None if rows are matched by text."""
    named = {plain_name(name): name for name in reversed(table.columns)}
    if several:
        return None
    if columns.id is not None and columns.id in table.columns:
        return columns.id
    if ROW_ID in named:
        return named[ROW_ID]
    return named.get("id") if columns.id is not None else None


def row_match_keys(
    table: Table, parts: Sequence[Examples], columns: Columns, key: str
) -> tuple[list[Hashable], list[list[Hashable]], str]:
    """Returns the keys of labels, the keys of rows by part, and the kind of key in words: position in the source, or row name."""
    cells = [None if is_missing(cell) else class_name(cell) for cell in table.columns[key]]
    if key == columns.id or plain_name(key) != ROW_ID:
        part_keys: list[list[Hashable]] = [[class_name(name) for name in part.ids or []] for part in parts]
        return list(cells), part_keys, f"the column {key}"
    wrong = next((i for i, cell in enumerate(cells) if cell is None or not is_whole(cell)), None)
    if wrong is not None:
        message = f"row_id is {clip(table.columns[key][wrong])}; the 0-based position of a row in its file was expected."
        raise DataError.one(f"{table.source}, {table.place(wrong)}", message)
    rows = [int(str(cell)) if len(str(cell)) <= MAX_DIGITS else -1 for cell in cells]  # no file has a row of such a number
    if len({part.source for part in parts}) == 1:
        return list(rows), [list(part.row_ids) for part in parts], ROW_ID
    named = {plain_name(name): name for name in table.columns}
    splits = [part.split for part in parts]
    if SPLIT not in named:
        sources = listed(dict.fromkeys(part.source for part in parts))
        message = f"A row_id alone does not tell whether the row is of {sources}."
        raise DataError.one(table.source, message, f"Add a column split that holds {listed(splits)}.")
    own = [str(cell) if str(cell) in splits else "train" for cell in table.columns[named[SPLIT]]]
    return list(zip(own, rows, strict=True)), [[(part.split, i) for i in part.row_ids] for part in parts], ROW_ID


def text_match_keys(
    table: Table, parts: Sequence[Examples], columns: Columns, label: str, several: bool
) -> tuple[list[Hashable], list[list[Hashable]]]:
    """Returns the normalised text of each label, and of each row by part."""
    shared = {part: name for part in ("text", "pair") if (name := getattr(columns, part)) in table.columns}
    try:
        own = detect_columns(table, "classification", ColumnsSection(**shared, label=label), need_label=False)
    except DataError as error:
        why = "with several data sets a row id is ambiguous" if several else "no id that the data has"
        message = f"Its labels cannot be matched to rows: {why}, and no texts ({error.problems[0].message})"
        raise DataError.one(table.source, message, "Add a column with the texts.") from error
    if (own.pair is None) != (columns.pair is None):
        shapes = ("single texts", "pairs of texts") if own.pair is None else ("pairs of texts", "single texts")
        raise DataError.one(table.source, f"It has {shapes[0]}, {parts[0].source} has {shapes[1]}.")
    pairs = None if own.pair is None else [str(cell) for cell in table.columns[own.pair]]
    texts = [str(cell) for cell in table.columns[own.text]]
    return list(text_keys(texts, pairs)), [list(text_keys(part.texts, part.pairs)) for part in parts]


def confidences(table: Table, keys: Sequence[Hashable], label: str) -> dict[Hashable, float] | None:
    """Returns key -> probability of its label, if the file holds predictions with probabilities."""
    named = {plain_name(name): name for name in table.columns}
    if plain_name(label) != PREDICTION or PROBABILITY not in named:
        return None
    cells: Sequence[Any] = table.columns[named[PROBABILITY]]
    return {key: float(cell) for key, cell in zip(keys, cells, strict=True) if is_number(cell)}
