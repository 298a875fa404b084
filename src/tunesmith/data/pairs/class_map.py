"""Maps the classes of labelled pairs and texts of an embedding run by ``data.labels``, as those of a classifier are mapped."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.data.labelled.also import names_in_recipe
from tunesmith.data.labelled.label_map import KEY, LabelReading, map_of, map_tables
from tunesmith.data.pairs.formats import MEANING, PairFormat
from tunesmith.data.pairs.rows import CLASS_KINDS
from tunesmith.data.table import Columns, Table
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.sections import DataSection


def class_columns(row_format: PairFormat) -> Columns:
    """Returns the columns of rows with a class, by their role."""
    return Columns(text=row_format.texts[0], label=row_format.target)


def map_classes(
    tables: dict[str, Table], formats: Mapping[str, PairFormat], data: DataSection, notes: list[str]
) -> frozenset[str]:
    """Maps the classes of the tables that have some, in place; returns the tables that have a map.

    Args:
        tables, formats: by split, and by ``also_key`` for further files.

    Raises DataError for labels that a map does not have, and for a map of rows without classes.
    """
    if not data.labels:
        return frozenset()
    names = names_in_recipe(data, tables)
    with_classes = {key: table for key, table in tables.items() if formats[key].kind in CLASS_KINDS}
    by_file = [key for key in tables if key not in with_classes and map_of(data.labels, names[key]) is not data.labels]
    without = [key for key in by_file if map_of(data.labels, names[key])] if with_classes else list(tables)
    if without:
        raise DataError([no_classes(tables[key], formats[key]) for key in without[:1]])
    columns = {key: class_columns(formats[key]) for key in with_classes}
    mapped = map_tables(with_classes, columns, names, LabelReading(data.labels), notes)
    tables.update(with_classes)
    return mapped


def no_classes(table: Table, row_format: PairFormat) -> Problem:
    """Returns the problem of a map for rows that have no classes."""
    message = f"The rows are {MEANING[row_format.kind]} ({' + '.join(row_format.columns)}): they have no classes to map."
    remedy = f"Remove {KEY}, or name the columns of a class: data.columns: {{text: NAME, pair: NAME, label: NAME}}."
    return Problem("labels", table.source, message, remedy)
