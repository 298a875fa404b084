"""Counts from the annotators' columns how many annotators chose each class of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.data.cells import clip, is_missing, is_whole, listed
from tunesmith.data.labelled.labels import SINGLE, class_name, marker
from tunesmith.data.table import Columns, Labels, Table
from tunesmith.errors import DataError

SHOWN = 5
KEY = "data.columns.annotators"


def annotation_counts(table: Table, columns: Columns, labels: Labels, keep: Sequence[int]) -> list[tuple[int, ...]] | None:
    """Counts how many annotators chose each class in the rows at those positions (N, K); None without annotator columns.

    A row without any cell of theirs has zeros only: it is not known to be annotated.

    Raises:
        DataError: the task is not single-label, a class has no column or is unknown, or a cell holds neither class nor count.
    """
    if not columns.annotators:
        return None
    if labels.problem_type != SINGLE:
        raise DataError.one(table.source, "Annotators are compared where each row has one class.", f"Remove {KEY}.")
    return counted_rows(table, columns, labels, keep) if columns.counted else voted_rows(table, columns, labels, keep)


def counted_rows(table: Table, columns: Columns, labels: Labels, keep: Sequence[int]) -> list[tuple[int, ...]]:
    """Reads the counts of columns that hold the number of annotators of a class."""
    check_classes(table, columns, labels)
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
        message = f"{len(wrong):,} cells hold no count of annotators: {places(table, wrong)}."
        remedy = "Write a whole number from 0 on; leave all of them empty in rows that nobody annotated."
        raise DataError.one(table.source, message, remedy)
    return rows


def check_classes(table: Table, columns: Columns, labels: Labels) -> None:
    """Raises DataError unless every class has a column of counts, and every such column a class."""
    unknown = [name for name in columns.counted if name not in labels.names]
    absent = [name for name in labels.names if name not in columns.counted]
    if unknown or absent:
        parts = [f"names {listed(map(repr, unknown), SHOWN)}, which the label column does not hold"] if unknown else []
        parts += [f"has no column for {listed(map(repr, absent), SHOWN)}"] if absent else []
        remedy = f"Write {{class: column}} with every class of the label column: {listed(labels.names)}."
        raise DataError.one(table.source, f"{KEY} {' and '.join(parts)}.", remedy)


def voted_rows(table: Table, columns: Columns, labels: Labels, keep: Sequence[int]) -> list[tuple[int, ...]]:
    """Counts columns that hold one annotator's labels each; an empty cell: that annotator did not label the row."""
    class_ids = {name: k for k, name in enumerate(labels.names)}
    wrong, rows = [], []
    for i in keep:
        counts = [0] * labels.n
        for name in columns.annotators:
            cell = table.columns[name][i]
            label = None if marker(cell) is not None else class_name(cell)
            if label in class_ids:
                counts[class_ids[label]] += 1
            elif label not in (None, "-1"):
                wrong.append((i, name, cell))
        rows.append(tuple(counts))
    if wrong:
        classes = f"The classes are {listed(labels.names)}."
        message = f"{len(wrong):,} cells of annotators hold no class: {places(table, wrong)}. {classes}"
        raise DataError.one(table.source, message, f"Correct them; if the columns hold counts, write {KEY} as {{class: column}}.")
    return rows


def is_count(cell: object) -> bool:
    return is_whole(cell) and float(str(cell)) >= 0


def places(table: Table, wrong: Sequence[tuple[int, str, Any]]) -> str:
    """Lists the first wrong cells with their column and row."""
    return listed((f"{clip(cell)} in {name}, {table.place(i)}" for i, name, cell in wrong), SHOWN)
