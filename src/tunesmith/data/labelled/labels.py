"""Infers the label set of a column (classes, sets of classes or scores), and encodes cells as class ids."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.data.cells import clip, is_number, is_whole, listed
from tunesmith.data.table import Columns, Labels, Table
from tunesmith.errors import DataError
from tunesmith.recipe.tasks import TASKS

SINGLE = "single_label_classification"
MULTI = "multi_label_classification"
REGRESSION = "regression"

UNLABELLED = frozenset({"", "-", "nan", "null", "n/a", "#n/a", "<na>"})
"""Lower-case words of unlabelled cells; NA is one only as R writes it, since ``na`` can be a class name."""
POLARITY = (frozenset({-1, 1}), frozenset({-1, 0, 1}))
"""Class numbers of opinions (negative, neutral, positive), among which -1 is a class."""
NAME_COLUMN = "Name the label column: columns: {label: NAME}."
NOT_NUMBERS_SHARE = 0.1
"""A column with a larger share of cells that are not numbers holds no scores."""

EMPTY = "label is empty"
UNKNOWN = "label is not among those of train"
NO_NUMBER = "label is not a number"
SEVERAL = "not exactly one label"
WRONG = frozenset({UNKNOWN, NO_NUMBER, SEVERAL})
"""Reasons of rows whose label exists and cannot be used; rows with any other reason have no label."""


def label_cells(table: Table, columns: Columns) -> list[Any]:
    """Reads a label cell a row (N), or, of several 0/1 columns, the list of those with 1. Raises DataError for other values."""
    if not columns.label:
        return [None] * len(table)
    if len(columns.label) == 1:
        return table.columns[columns.label[0]]
    flags = [flag_cells(table, name) for name in columns.label]
    return [
        None if all(flag is None for flag in row) else [name for name, flag in zip(columns.label, row, strict=True) if flag]
        for row in zip(*flags, strict=True)
    ]


def flag_cells(table: Table, name: str) -> list[bool | None]:
    meanings = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
    flags: list[bool | None] = []
    for i, cell in enumerate(table.columns[name]):
        word = marker(cell)
        flag = None if word is not None else meanings.get(str(cell).strip().lower())
        if word is None and flag is None:
            message = f"The label column {name!r} holds {clip(cell)}; with several label columns each has to hold 0 or 1."
            raise DataError.one(f"{table.source}, {table.place(i)}", message, "Name one label column, or correct the cell.")
        flags.append(flag)
    return flags


def infer_labels(
    cells: Sequence[Any], task: str, separator: str | None = None, names: Sequence[str] = (), source: str = ""
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
    """
    if TASKS[task].numeric_labels:
        return infer_score(cells, source)
    if names:
        return Labels(MULTI, tuple(names))
    parsed = [split_cell(cell, separator) for cell in cells]
    several = any(isinstance(cell, list) for cell in parsed)
    keys = classes(parsed)
    rows = sum(cell is not None for cell in parsed)
    if not keys:
        raise DataError.one(source, f"None of the {len(cells)} rows has a label.", NAME_COLUMN)
    decimals = [key for key in keys if not is_whole(key)]
    if not several and decimals and all(map(is_number, keys)):
        shown = f"{len(keys)} different ones, for instance {decimals[0]}"
        message = f"The labels are numbers with decimals ({shown}); classes were expected."
        raise DataError.one(source, message, "Set task: regression to learn the number itself.")
    if len(keys) == 1 and not several:
        message = f"All {rows} labelled rows have the same label, {keys[0]!r}; at least two are needed."
        raise DataError.one(source, message, "Check whether rows are missing, or name another label column.")
    if len(keys) > (rows if several else rows / 2):
        message = f"There are {len(keys)} different labels on {rows} rows ({listed(keys, 5)}): too many to learn."
        raise DataError.one(source, message, "Name the right label column: columns: {label: NAME}.")
    return Labels(MULTI if several else SINGLE, tuple(keys))


def infer_score(cells: Sequence[Any], source: str) -> Labels:
    """Infers the mean and scale of a score. Raises DataError if cells are mostly no numbers, or all the same."""
    present = [cell for cell in cells if marker(cell) is None]
    numbers = [float(cell) for cell in present if is_number(cell)]
    wrong = [cell for cell in present if not is_number(cell)]
    if not present:
        raise DataError.one(source, f"None of the {len(cells)} rows has a label.", NAME_COLUMN)
    if len(wrong) > NOT_NUMBERS_SHARE * len(present):
        shown = listed(map(clip, dict.fromkeys(map(str, wrong))), 3)
        message = f"{len(wrong)} of {len(present)} labels are no numbers, for instance {shown}."
        raise DataError.one(source, message, "Set task: classification, or name the column that holds the score.")
    if len(set(numbers)) < 2:
        message = f"All {len(numbers)} labelled rows have the same score, {numbers[0]:g}; there is nothing to learn."
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
        that is not in ``labels`` is never dropped silently: its reason is ``UNKNOWN``.
    """
    if labels.problem_type == REGRESSION:
        return encode_scores(cells)
    ids = {name: i for i, name in enumerate(labels.names)}
    encoded: list[Any] = []
    reasons: dict[int, str] = {}
    for i, cell in enumerate(cells):
        names = class_names(cell, separator)
        reason = missing_reason(cell) if names is None else unusable_reason(names, ids, labels.problem_type)
        if reason:
            reasons[i] = reason
            encoded.append(None)
        elif names is not None and labels.problem_type == MULTI:
            encoded.append(tuple(int(name in names) for name in labels.names))
        elif names is not None:
            encoded.append(ids[names[0]])
    return encoded, reasons


def unusable_reason(names: list[str], ids: dict[str, int], problem_type: str) -> str:
    """Returns the reason why these class names cannot be encoded; empty if they can."""
    unknown = [name for name in names if name not in ids]
    if unknown:
        return "label is -1" if unknown == ["-1"] else UNKNOWN
    return SEVERAL if problem_type == SINGLE and len(names) != 1 else ""


def encode_scores(cells: Sequence[Any]) -> tuple[list[Any], dict[int, str]]:
    """Encodes scores as floats. A split whose scores are all -1 is unlabelled, as published test sets are."""
    encoded: list[Any] = [float(cell) if marker(cell) is None and is_number(cell) else None for cell in cells]
    missing = [(i, cell) for i, cell in enumerate(cells) if encoded[i] is None]
    reasons = {i: NO_NUMBER if marker(cell) is None else missing_reason(cell) for i, cell in missing}
    if set(encoded) - {None} == {-1.0}:
        return [None] * len(encoded), {i: reasons.get(i, "label is -1") for i in range(len(encoded))}
    return encoded, reasons


def split_cell(cell: object, separator: str | None) -> str | list[str] | None:
    """Returns the class name of a cell, the list of them where it holds several, None where it holds none."""
    if isinstance(cell, list | tuple):
        return list(dict.fromkeys(class_name(item) for item in cell if marker(item) is None))
    if marker(cell) is not None:
        return None
    if separator and isinstance(cell, str):
        return list(dict.fromkeys(class_name(part) for part in cell.split(separator) if part.strip()))
    return class_name(cell)


def class_names(cell: object, separator: str | None) -> list[str] | None:
    """Returns the class names of a cell as a list; None where it is unlabelled."""
    parsed = split_cell(cell, separator)
    return [parsed] if isinstance(parsed, str) else parsed


def class_name(cell: object) -> str:
    """Writes the cell as a class name: without outer white space, whole numbers without decimals."""
    text = str(cell).strip()
    return str(int(float(text))) if "." in text and is_whole(text) else text


def marker(cell: object) -> str | None:
    """Returns the lower-case word of a cell that means "not labelled"; None for every other cell."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if not isinstance(cell, str):
        return None
    text = cell.strip()
    return text.lower() if text.lower() in UNLABELLED or text == "NA" else None


def missing_reason(cell: object) -> str:
    word = marker(cell)
    return f"label is {word}" if word else EMPTY


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


def label_notes(cells: Sequence[Any], labels: Labels, separator: str | None = None) -> tuple[str, ...]:
    """Describes to the user how unusual labels were read, as sentences."""
    if labels.problem_type == REGRESSION:
        return ()
    notes = []
    if any("." in str(cell) and is_whole(cell) for cell in cells if not isinstance(cell, list | tuple)):
        notes.append("The labels are whole numbers written with decimals (1.0); they are read as classes (1).")
    counts = Counter(name for cell in cells for name in class_names(cell, separator) or ())
    if "-1" in counts:
        meaning = "a class like the others" if "-1" in labels.names else "rows without a label"
        notes.append(f"-1 occurs {counts['-1']} times as a label and is read as {meaning}.")
    alike = defaultdict(list)
    for name in labels.names:
        alike[" ".join(name.casefold().split())].append(name)
    for group in alike.values():
        if len(group) > 1:
            shown = " and ".join(f"{name!r} ({counts[name]} rows)" for name in group)
            notes.append(f"The labels {shown} differ only in case or spaces; they are kept as different classes.")
    return tuple(notes)
