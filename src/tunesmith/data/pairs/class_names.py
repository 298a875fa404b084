"""Writes the classes of labelled pairs and texts in one way in all files: by the names that a file pairs with its numbers."""

from __future__ import annotations

from dataclasses import replace

from tunesmith.data.cells import is_missing, is_number, listed
from tunesmith.data.labelled.class_numbers import aligned, class_order
from tunesmith.data.labelled.labels import SINGLE, class_name
from tunesmith.data.pairs.class_map import class_columns
from tunesmith.data.pairs.formats import PairFormat
from tunesmith.data.pairs.rows import CLASS_KINDS, is_unlabelled
from tunesmith.data.table import Labels, Table


def occurring_classes(table: Table, row_format: PairFormat) -> tuple[str, ...]:
    """Returns the class names in the target column, sorted; empty for formats without classes."""
    if row_format.kind not in CLASS_KINDS:
        return ()
    cells = table.columns[row_format.target[0]]
    return tuple(sorted({class_name(cell) for cell in cells if not is_missing(cell) and not is_unlabelled(cell)}))


def with_class_names(table: Table, row_format: PairFormat) -> tuple[Table, str | None]:
    """Replaces numbers of classes by the names in another column, if it has one name for each number; a note says so."""
    classes = occurring_classes(table, row_format)
    if not classes or not all(map(is_number, classes)):
        return table, None
    own = row_format.target[0]
    order = class_order(table, own, len(classes))
    if not order:
        return table, None
    names = {str(number): name for number, name in enumerate(order)}
    cells = [names.get(class_name(cell), cell) for cell in table.columns[own]]
    pairs = listed((f"{number} is {name}" for number, name in names.items()), 5)
    named = replace(table, columns={**table.columns, own: cells}, classes={**table.classes, own: list(order)})
    return named, f"another column names the numbers of {own}: {pairs}."


def align_classes(table: Table, row_format: PairFormat, train: Table, train_format: PairFormat, notes: list[str]) -> Table:
    """Returns the table with its classes in the notation of the training table, where this explains all of them."""
    if row_format.kind not in CLASS_KINDS or row_format.kind != train_format.kind:
        return table
    names = occurring_classes(train, train_format)
    labels = Labels(SINGLE, names, order=class_order(train, train_format.target[0], len(names)))
    return aligned(table, class_columns(row_format), labels, notes)
