"""Builds the usable rows of a table with their annotators' counts, and gives a reason for every row that is not usable."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import clip, is_missing, is_number, is_whole, listed, plural
from tunesmith.data.labelled.label_notes import unknown_words
from tunesmith.data.labelled.labels import (
    SINGLE,
    UNKNOWN,
    WRONG,
    class_name,
    encode,
    label_cells,
    marker,
)
from tunesmith.data.table import BadRow, Columns, Examples, Labels, Table, not_text
from tunesmith.errors import DataError

SHOWN_CELLS = 5
ANNOTATORS = "data.columns.annotators"
NUMBERS_SHARE = 0.5
"""A column with a larger share of numbers is no text column."""
REPAIRS = frozenset({"text was a number", "second text was a number"})


def make_examples(
    table: Table,
    columns: Columns,
    labels: Labels | None = None,
    split: str = "train",
    separator: str | None = None,
    others: Mapping[str, str] | None = None,
    *,
    keep_unlabelled: bool = False,
) -> Examples:
    """Builds the usable rows of a table, in its order; every other row is in ``bad_rows`` with its reason.

    Not usable are rows whose text (or second text) is missing or empty, and, where ``labels`` is given, rows without a label
    or with a label that is not in ``labels``. A text that is a number is kept as its digits and reported. Long texts are kept.

    Args:
        labels: None for rows that only get predictions; their labels are then None.
        others: further columns to keep: the name they get -> the column.
        keep_unlabelled: also uses rows without a label, with None for it.
    """
    texts, reasons = read_texts(table, columns.text, "text")
    pairs, pair_reasons = (None, {}) if columns.pair is None else read_texts(table, columns.pair, "second text")
    reasons = merged(reasons, pair_reasons)
    encoded: list[Any] = [None] * len(table)
    unknown: dict[int, str] = {}
    if labels is not None:
        own = label_cells(table, columns)
        encoded, label_reasons = encode(own, labels, separator)
        unknown = {i: written_label(own[i]) for i, reason in label_reasons.items() if reason == UNKNOWN}
        if keep_unlabelled:
            label_reasons = {i: reason for i, reason in label_reasons.items() if reason in WRONG}
        reasons = merged(reasons, label_reasons)
    keep = [i for i in range(len(table)) if i not in reasons or reasons[i] in REPAIRS]
    bad_rows = list_bad_rows(table, reasons, unknown, () if labels is None else labels.names)
    whole = Examples(split, table.source, table.row_ids, texts, encoded, pairs, sha256=table.sha256, files=table.files)
    cells = {name: table.columns[column] for name, column in (others or {}).items()}
    ids = None if columns.id is None else ["" if is_missing(cell) else str(cell) for cell in table.columns[columns.id]]
    groups = None if columns.group is None else list(table.groups(columns.group, range(len(table))))
    whole = replace(whole, groups=groups, ids=ids, others=cells)
    annotations = None if labels is None else annotation_counts(table, columns, labels, keep)
    return replace(whole.take(keep, split), annotations=annotations, bad_rows=bad_rows, rows_read=table.rows_read)


def merged(reasons: Mapping[int, str], others: Mapping[int, str]) -> dict[int, str]:
    """Joins the reasons of rows; of two for one row the one that drops it stays, else the first."""
    kept = {i: reason for i, reason in reasons.items() if i not in others or reason not in REPAIRS or others[i] in REPAIRS}
    return {**others, **kept}


def read_texts(table: Table, name: str, what: str) -> tuple[list[str], dict[int, str]]:
    """Reads a column as strings (N), with position -> reason for each cell that is missing, empty or a number.

    Args:
        what: the name of the column's role in the reasons: ``text`` or ``second text``.
    """
    cells = table.columns[name]
    present = [cell for cell in cells if not is_missing(cell)]
    numbers = list(filter(is_number, present))
    if len(numbers) > NUMBERS_SHARE * len(present):
        message = (
            f"The text column {name!r} holds numbers ({len(numbers)} of {plural(len(present), 'cell')}, for instance "
            f"{clip(numbers[0])})."
        )
        raise DataError.one(table.source, message, "Name the column that holds the text: columns: {text: NAME}.")
    reasons: dict[int, str] = {}
    texts: list[str] = []
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            texts.append(cell)
            if not cell or cell.isspace():
                reasons[i] = f"{what} is empty"
        elif is_missing(cell):
            texts.append("")
            reasons[i] = f"{what} is missing"
        elif isinstance(cell, bool | int | float):
            texts.append(str(cell))
            reasons[i] = f"{what} was a number"
        else:
            raise not_text(table, name, i)
    return texts, reasons


def written_label(cell: object) -> str:
    """Formats a label cell as its file writes it; several labels with commas."""
    return ", ".join(map(str, cell)) if isinstance(cell, list | tuple) else str(cell)


def list_bad_rows(
    table: Table, reasons: Mapping[int, str], unknown: Mapping[int, str], names: Sequence[str]
) -> tuple[BadRow, ...]:
    """Lists the bad rows in the order of their ids. Raises DataError, which counts the reasons, if no row can be used.

    Args:
        unknown: position -> label, of the rows whose label is not among the ``names`` of the classes.
    """
    lines: Sequence[int | None] = [None] * len(table) if table.lines is None else table.lines
    new = [BadRow(table.row_ids[i], lines[i], reason, reason not in REPAIRS, unknown.get(i, "")) for i, reason in reasons.items()]
    bad = [*table.bad_rows, *new]
    if sum(row.dropped for row in new) == len(table):
        counts = Counter(row.reason for row in bad if row.dropped)
        shown = ", ".join(f"{reason}: {count}" for reason, count in counts.most_common())
        rows = plural(table.rows_read, "row")
        message, remedy = f"None of the {rows} can be used ({shown}).", "Check the columns."
        if unknown:
            message += f" The labels are {unknown_words(list(unknown.values()), names)}; those of train are {listed(names)}."
            remedy = "Name the column that holds the labels of train, or write them as train has them."
        raise DataError.one(table.source, message, remedy)
    return tuple(sorted(bad, key=lambda row: row.row_id))


def annotation_counts(table: Table, columns: Columns, labels: Labels, keep: Sequence[int]) -> list[tuple[int, ...]] | None:
    """Counts how many annotators chose each class in the rows at those positions (N, K); None without annotator columns.

    A row without any cell of theirs has zeros only: it is not known to be annotated.
    """
    if not columns.annotators:
        return None
    if labels.problem_type != SINGLE:
        raise DataError.one(table.source, "Annotators are compared where each row has one class.", f"Remove {ANNOTATORS}.")
    return counted_rows(table, columns, labels, keep) if columns.counted else voted_rows(table, columns, labels, keep)


def counted_rows(table: Table, columns: Columns, labels: Labels, keep: Sequence[int]) -> list[tuple[int, ...]]:
    """Reads the counts of columns that hold the number of annotators of a class."""
    unknown = [name for name in columns.counted if name not in labels.names]
    absent = [name for name in labels.names if name not in columns.counted]
    if unknown or absent:
        parts = [f"names {listed(map(repr, unknown), SHOWN_CELLS)}, which the label column does not hold"] if unknown else []
        parts += [f"has no column for {listed(map(repr, absent), SHOWN_CELLS)}"] if absent else []
        remedy = f"Write {{class: column}} with every class of the label column: {listed(labels.names)}."
        raise DataError.one(table.source, f"{ANNOTATORS} {' and '.join(parts)}.", remedy)
    columns_by_class = dict(zip(columns.counted, columns.annotators, strict=True))
    names = [columns_by_class[name] for name in labels.names]
    wrong, rows = [], []
    for i in keep:
        cells = [table.columns[name][i] for name in names]
        if all(map(is_missing, cells)):
            cells = [0] * len(cells)
        wrong += [(i, name, cell) for name, cell in zip(names, cells, strict=True) if not is_count(cell)]
        rows.append(tuple(int(float(cell)) if is_count(cell) else 0 for cell in cells))
    if wrong:
        message = f"{plural(len(wrong), 'cell', 'holds', 'hold')} no count of annotators: {places(table, wrong)}."
        remedy = "Write a whole number from 0 on; leave all of them empty in rows that nobody annotated."
        raise DataError.one(table.source, message, remedy)
    return rows


def voted_rows(table: Table, columns: Columns, labels: Labels, keep: Sequence[int]) -> list[tuple[int, ...]]:
    """Counts columns that hold one annotator's labels each; an empty cell: that annotator did not label the row."""
    class_ids = {name: k for k, name in enumerate(labels.names)}
    wrong, rows = [], []
    for i in keep:
        counts = [0] * labels.n
        for name in columns.annotators:
            cell = table.columns[name][i]
            label = None if marker(cell, class_ids) is not None else class_name(cell)
            if label in class_ids:
                counts[class_ids[label]] += 1
            elif label not in (None, "-1"):
                wrong.append((i, name, cell))
        rows.append(tuple(counts))
    if wrong:
        classes = f"The classes are {listed(labels.names)}."
        message = f"{plural(len(wrong), 'cell')} of annotators hold no class: {places(table, wrong)}. {classes}"
        raise DataError.one(
            table.source, message, f"Correct them; if the columns hold counts, write {ANNOTATORS} as {{class: column}}."
        )
    return rows


def is_count(cell: object) -> bool:
    return is_whole(cell) and 0 <= float(str(cell)) < math.inf


def places(table: Table, wrong: Sequence[tuple[int, str, Any]]) -> str:
    """Lists the first wrong cells with their column and row."""
    return listed((f"{clip(cell)} in {name}, {table.place(i)}" for i, name, cell in wrong), SHOWN_CELLS)
