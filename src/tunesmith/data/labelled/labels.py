"""Infers the label set of a column (classes, sets of classes or scores), and encodes cells as class ids."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import numpy as np

from tunesmith.data.cells import UNLABELLED, clip, is_number, is_whole, listed, plural
from tunesmith.data.labelled.label_forms import flag_of, plain_labels
from tunesmith.data.numbers import plain_numbers
from tunesmith.data.table import Columns, Labels, Table
from tunesmith.errors import DataError
from tunesmith.recipe.tasks import TASKS

SINGLE = "single_label_classification"
MULTI = "multi_label_classification"
REGRESSION = "regression"

POLARITY = (frozenset({-1, 1}), frozenset({-1, 0, 1}))
"""Class numbers of opinions (negative, neutral, positive), among which -1 is a class."""
NAME_COLUMN = "Name the label column: columns: {label: NAME}."
MAX_DECIMAL_CLASSES, ROWS_PER_DECIMAL_CLASS = 20, 4
"""Numbers with decimals are classes if they are at most so many, with so many rows each on average."""
NOT_NUMBERS_SHARE = 0.1
"""A column with a larger share of cells that are not numbers holds no scores."""

MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[ T]00:00(?::00(?:\.0+)?)?")
"""A date with a time that tells nothing, as a column of times is written."""

MISSING = "label is "
EMPTY = "label is empty"
UNKNOWN = "label is not among those of train"
NO_NUMBER = "label is not a number"
SEVERAL = "not exactly one label"
WRONG = frozenset({UNKNOWN, NO_NUMBER, SEVERAL})
"""Reasons of rows whose label exists and cannot be used; rows with any other reason have no label."""


def label_cells(table: Table, columns: Columns) -> list[Any]:
    """Reads a label cell a row (N), or, of several 0/1 columns, the list of those with 1. Raises DataError for other values.

    Lists written as text, 0/1 vectors and objects of 0 and 1 become lists of names; see ``plain_labels``.
    """
    if not columns.label:
        return [None] * len(table)
    if len(columns.label) == 1:
        return plain_labels(table, columns.label[0]).cells
    flags = [flag_cells(table, name) for name in columns.label]
    return [
        None if all(flag is None for flag in row) else [name for name, flag in zip(columns.label, row, strict=True) if flag]
        for row in zip(*flags, strict=True)
    ]


def flag_cells(table: Table, name: str) -> list[bool | None]:
    flags: list[bool | None] = []
    for i, cell in enumerate(table.columns[name]):
        word = marker(cell)
        flag = None if word is not None else flag_of(cell)
        if word is None and flag is None:
            message = f"The label column {name!r} holds {clip(cell)}; with several label columns each has to hold 0 or 1."
            raise DataError.one(f"{table.source}, {table.place(i)}", message, "Name one label column, or correct the cell.")
        flags.append(flag)
    return flags


def infer_labels(
    cells: Sequence[Any],
    task: str,
    separator: str | None = None,
    names: Sequence[str] = (),
    source: str = "",
    *,
    keep_null: bool = False,
) -> Labels:
    """Infers the label set of a column.

    Names are in sorted order, numbers in numeric order; whole numbers written as floats (``1.0``) are the class ``1``.
    Unlabelled cells (empty, null, NaN, ``-``, ``n/a``, and -1 beside names or numbers from 0) are no class. -1 beside 1, or
    beside 0 and 1, is a class. An empty list is labelled: none of the labels applies.

    Args:
        cells: (N) label cells as ``label_cells`` gives them.
        task: ``classification`` or ``regression``.
        separator: splits string cells into several labels.
        names: the label names of a multi-label task with several columns, in id order.
        source: for messages.
        keep_null: words such as ``null`` and ``n/a`` are names of classes.
    """
    if TASKS[task].numeric_labels:
        return infer_score(cells, source)
    if names:
        return Labels(MULTI, tuple(names))
    parsed = [split_cell(cell, separator, words_in(cells) if keep_null else ()) for cell in cells]
    several = any(isinstance(cell, list) for cell in parsed)
    keys = classes(parsed)
    if any(isinstance(cell, bool) for cell in cells):  # true as a text is the same class
        keys = [key for key in keys if key in ("True", "False") or key.lower() not in ("true", "false")]
    rows = sum(cell is not None for cell in parsed)
    if not keys:
        remedy = ("" if keep_null else null_remedy(cells)) or NAME_COLUMN
        raise DataError.one(source, f"None of the {plural(len(cells), 'row')} has a label.", remedy)
    if len(keys) == 1 and not several:
        message = f"All {plural(rows, 'labelled row', 'has', 'have')} the same label, {clip(keys[0])}; at least two are needed."
        remedy = ("" if keep_null else null_remedy(cells)) or "Check whether rows are missing, or name another label column."
        raise DataError.one(source, message, remedy)
    require_few(keys, rows, several, source)
    return Labels(MULTI if several else SINGLE, tuple(keys), keep_null=keep_null)


def require_few(names: Sequence[str], rows: int, several: bool, source: str) -> None:
    """Raises DataError for class names that are scores, or as many as the rows."""
    decimals = [name for name in names if not is_whole(name)]
    many = len(names) > MAX_DECIMAL_CLASSES or len(names) * ROWS_PER_DECIMAL_CLASS > rows
    if not several and decimals and many and all(map(is_number, names)):
        shown = f"{len(names)} different ones, for instance {decimals[0]}"
        message = f"The labels are numbers with decimals ({shown}); classes were expected."
        raise DataError.one(source, message, "Set task: regression to learn the number itself.")
    if len(names) > (rows if several else rows / 2):
        message = (
            f"There are {plural(len(names), 'different label')} on {plural(rows, 'row')} ({listed(names, 5)}): too many to learn."
        )
        raise DataError.one(source, message, "Name the right label column: columns: {label: NAME}.")


def null_remedy(cells: Sequence[Any]) -> str:
    """Says how the words that mean "not labelled" become classes; empty if no cell is such a word."""
    words = Counter(cell.strip() for cell in cells if isinstance(cell, str) and marker(cell))
    if not words:
        return ""
    shown = " and ".join(f"{plural(n, 'row', 'has', 'have')} {word!r}" for word, n in words.most_common(3))
    return f'{shown}, read as "no label": if that is a class of yours, set data.keep_null_labels: true.'


def infer_score(cells: Sequence[Any], source: str) -> Labels:
    """Infers the mean and scale of a score. Raises DataError if cells are mostly no numbers, or all the same."""
    cells, notation = plain_numbers(cells)
    present = [cell for cell in cells if marker(cell) is None]
    numbers = [float(cell) for cell in present if is_number(cell)]
    wrong = [cell for cell in present if not is_number(cell)]
    if not present:
        raise DataError.one(source, f"None of the {plural(len(cells), 'row')} has a label.", NAME_COLUMN)
    if len(wrong) > NOT_NUMBERS_SHARE * len(present):
        shown = listed(map(clip, dict.fromkeys(map(str, wrong))), 3)
        message = f"{len(wrong)} of {plural(len(present), 'label')} are no numbers, for instance {shown}."
        remedy = "Set task: classification, or name the column that holds the score."
        raise DataError.one(source, message, notation or remedy)
    if len(set(numbers)) < 2:
        message = (
            f"All {plural(len(numbers), 'labelled row', 'has', 'have')} the same score, {numbers[0]:g}; there is "
            "nothing to learn."
        )
        raise DataError.one(source, message)
    mean, deviation = float(np.mean(numbers)), float(np.std(numbers))
    if not 1e-30 < deviation < 1e30:
        message = f"The scores have a standard deviation of {deviation:.3g}; fp32 cannot train on that."
        raise DataError.one(source, message, "Rescale them.")
    return Labels(REGRESSION, ("score",), mean, 2.0 ** round(math.log2(deviation)))


def encode(cells: Sequence[Any], labels: Labels, separator: str | None = None) -> tuple[list[Any], dict[int, str]]:
    """Encodes label cells as class ids, 0/1 tuples over the classes, or floats.

    Returns:
        (N) encoded labels, None where there is a reason; and position -> reason for each row without a usable label. A label
        that is not in ``labels`` is never dropped silently: its reason is ``UNKNOWN``. A name of ``labels`` is a class even if
        its word usually means that there is no label; a number or truth value matches its class in any notation.
    """
    if labels.problem_type == REGRESSION:
        return encode_scores(cells)
    ids, kept = {name: i for i, name in enumerate(labels.names)}, kept_texts(labels)
    notations = other_notations(labels.names)
    encoded: list[Any] = []
    reasons: dict[int, str] = {}
    known: dict[tuple[type, Any], tuple[Any, str]] = {}  # cells repeat, so each is encoded once
    for i, cell in enumerate(cells):
        if isinstance(cell, list | tuple):
            label, reason = encode_cell(cell, labels, ids, notations, separator, kept)
        else:
            key = (type(cell), cell)
            if key not in known:
                known[key] = encode_cell(cell, labels, ids, notations, separator, kept)
            label, reason = known[key]
        encoded.append(label)
        if reason:
            reasons[i] = reason
    return encoded, reasons


def unknown_labels(cells: Sequence[Any], labels: Labels, separator: str | None = None) -> Counter[str]:
    """Counts the rows with each label that is not in ``labels``, the most frequent first; a regression has none."""
    if labels.problem_type == REGRESSION:
        return Counter()
    counts: Counter[str] = Counter()
    known, reasons = {*labels.names, "-1"}, encode(cells, labels, separator)[1]
    notations, kept = other_notations(labels.names), kept_texts(labels)
    for i, reason in reasons.items():
        names = class_names(cells[i], separator, kept) or [] if reason == UNKNOWN else []
        counts.update(name for name in names if name not in known and notation_key(name) not in notations)
    return Counter(dict(counts.most_common()))


def encode_cell(
    cell: Any,
    labels: Labels,
    ids: dict[str, int],
    notations: Mapping[str, str],
    separator: str | None,
    kept: Container[str],
) -> tuple[Any, str]:
    """Encodes one label cell; returns also the reason where it has no usable label."""
    names = class_names(cell, separator, kept)
    if names is None:
        return None, missing_reason(cell)
    names = [name if name in ids else notations.get(notation_key(name), name) for name in names]
    reason = unusable_reason(names, ids, labels.problem_type)
    if reason:
        return None, reason
    return (tuple(int(name in names) for name in labels.names) if labels.problem_type == MULTI else ids[names[0]]), ""


@dataclass(frozen=True)
class KeptTexts:
    """The texts that are names of classes even if they usually mean that there is no label.

    Attributes:
        words: such texts in lower case: ``NaN`` beside a class ``nan`` is a label that train does not have.
        every: every text that is not empty is a name.
    """

    words: frozenset[str]
    every: bool = False

    def __contains__(self, text: object) -> bool:
        return bool(text) and (self.every or str(text).lower() in self.words)


def kept_texts(labels: Labels) -> KeptTexts:
    return KeptTexts(frozenset(name.lower() for name in labels.names), labels.keep_null)


def other_notations(names: Sequence[str]) -> dict[str, str]:
    """Returns key of a notation -> the only class name with that key."""
    keys = Counter(map(notation_key, names))
    return {key: name for name in names if keys[key := notation_key(name)] == 1}


def notation_key(name: str) -> str:
    """Returns a key that is equal for the notations of a number (``1.5``, ``1.50``), truth value (``true``) or date."""
    if midnight := MIDNIGHT.fullmatch(name):
        return midnight.group(1)
    is_code = len(name) > 1 and name[0] == "0" and name[1] != "."
    if is_number(name) and not is_code:
        return repr(float(name))
    return name.lower() if name.lower() in ("true", "false") else name


def unusable_reason(names: list[str], ids: dict[str, int], problem_type: str) -> str:
    """Returns the reason why these class names cannot be encoded; empty if they can."""
    unknown = [name for name in names if name not in ids]
    if unknown:
        return "label is -1" if unknown == ["-1"] else UNKNOWN
    return SEVERAL if problem_type == SINGLE and len(names) != 1 else ""


def encode_scores(cells: Sequence[Any]) -> tuple[list[Any], dict[int, str]]:
    """Encodes scores as floats. A split whose scores are all -1 is unlabelled, as published test sets are."""
    cells, _ = plain_numbers(cells)
    encoded: list[Any] = [float(cell) if marker(cell) is None and is_number(cell) else None for cell in cells]
    missing = [(i, cell) for i, cell in enumerate(cells) if encoded[i] is None]
    reasons = {i: NO_NUMBER if marker(cell) is None else missing_reason(cell) for i, cell in missing}
    if set(encoded) - {None} == {-1.0}:
        return [None] * len(encoded), {i: reasons.get(i, "label is -1") for i in range(len(encoded))}
    return encoded, reasons


def split_cell(cell: object, separator: str | None, kept: Container[str] = ()) -> str | list[str] | None:
    """Returns the class name of a cell, the list of them where it holds several, None where it holds none.

    Args:
        kept: texts that are names of classes even if they usually mean that there is no label.
    """
    if isinstance(cell, list | tuple):
        return list(dict.fromkeys(class_name(item) for item in cell if marker(item, kept) is None))
    if marker(cell, kept) is not None:
        return None
    if separator and isinstance(cell, str):
        return list(dict.fromkeys(class_name(part) for part in cell.split(separator) if marker(part, kept) is None)) or None
    return class_name(cell)


def class_names(cell: object, separator: str | None, kept: Container[str] = ()) -> list[str] | None:
    """Returns the class names of a cell as a list; None where it is unlabelled. ``kept`` is as in ``split_cell``."""
    parsed = split_cell(cell, separator, kept)
    return [parsed] if isinstance(parsed, str) else parsed


def class_name(cell: object) -> str:
    """Writes the cell as a class name: without outer white space, whole numbers without decimals, midnight as the date alone."""
    if isinstance(cell, datetime) and cell.tzinfo is None and cell.time() == time():
        cell = cell.date()
    text = str(cell).strip()
    if "." not in text or not is_whole(text):
        return text
    digits = text.partition(".")[0].lstrip("+-").lstrip("0") or "0"
    return f"-{digits}" if text[0] == "-" and digits != "0" else digits


def words_in(cells: Sequence[Any]) -> frozenset[str]:
    """Returns the texts of the cells, and of the lists in them, that are not empty."""
    items = [item for cell in cells for item in (cell if isinstance(cell, list | tuple) else [cell])]
    return frozenset(item.strip() for item in items if isinstance(item, str)) - {""}


def marker(cell: object, kept: Container[str] = ()) -> str | None:
    """Returns the lower-case word of a cell that means "not labelled"; None for every other cell, and for the texts kept."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if not isinstance(cell, str):
        return None
    text = cell.strip()
    if text in kept:
        return None
    return text.lower() if text.lower() in UNLABELLED or text == "NA" else None


def missing_reason(cell: object) -> str:
    word = marker(cell)
    return f"{MISSING}{word}" if word else EMPTY


def classes(parsed: Sequence[str | list[str] | None]) -> list[str]:
    """Sorts the class names into id order, without a -1 that means "not labelled"."""
    names = {name for cell in parsed if cell is not None for name in (cell if isinstance(cell, list) else [cell])}
    has_leading_zeros = any(len(name) > 1 and name[0] == "0" and name.isdecimal() for name in names)
    if all(is_number(name) for name in names) and not has_leading_zeros:  # codes such as 01 are names
        values = {float(name) for name in names}
        if values not in POLARITY and -1 in values and min(values) == -1 and len(values) > 1:
            names.discard("-1")
        return sorted(names, key=float)
    names.discard("-1")
    return sorted(names)


def value_type(cells: Sequence[Any]) -> str:
    """Returns the type that all labels have: ``int``, ``float`` or ``bool``; else ``str``, which can write every label."""
    values = [value for cell in cells for value in (cell if isinstance(cell, list | tuple) else [cell])]
    types = {type(value) for value in values if marker(value) is None}
    if types == {bool}:
        return "bool"
    return "str" if not types or not types <= {int, float} else "float" if float in types else "int"
