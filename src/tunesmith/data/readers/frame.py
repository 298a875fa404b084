"""Reads tables in memory: DataFrames, column stores, lists of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tunesmith.data.cells import clip, plural
from tunesmith.data.readers.declared_classes import classes_note, classes_of_feature, classes_of_metadata, named_classes
from tunesmith.data.readers.json_rows import columns_from_rows
from tunesmith.data.readers.plain_cells import plain_table, plain_value, shortest_floats
from tunesmith.data.table import Table
from tunesmith.errors import DataError

TEXTS = "text"
"""The column of a list of texts."""
NEEDED = "Give a DataFrame, a dict of lists, a list of dicts, or a list of texts."


def table_from_frame(frame: object, name: str = "DataFrame") -> Table:
    """Reads a pandas or polars DataFrame, an Arrow table, a ``datasets.Dataset``, a dict of lists or a list of dicts.

    Row ids are positions, whatever index the frame has. Missing values (NaN, NA, NaT) become None. Class numbers with declared
    names (``ClassLabel``) become the names. A list or series of texts becomes the column ``text``.
    """
    has_header, classes = True, declared(frame)
    frame = with_columns(frame, name)
    if isinstance(frame, list | tuple):
        cells, has_header = columns_from_rows(name, list(frame))
    elif isinstance(frame, Mapping):
        cells = {str(key): plain_cells(column) for key, column in frame.items()}
    else:
        # An Arrow table's ``columns`` are its cells, so ``column_names`` comes first.
        names = getattr(frame, "column_names", None)
        names = getattr(frame, "columns", None) if names is None else names
        if names is None:
            found = type(frame).__name__
            raise DataError.one(name, f"A DataFrame, a dict of lists or a list of dicts was expected, not {found}.")
        repeated = sorted(str(key) for key, count in Counter(names).items() if count > 1)
        if repeated:
            raise DataError.one(name, f"The table names a column more than once: {', '.join(repeated)}.")
        kinds = feature_types(frame)
        cells = {str(key): plain_cells(frame[key], kinds.get(str(key))) for key in names}  # type: ignore[index]
    columns = {key: named_classes(column, classes.get(key, ())) for key, column in cells.items()}
    sizes = {key: len(column) for key, column in columns.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{key} {size}" for key, size in sizes.items())
        raise DataError.one(name, f"The columns have different lengths: {shown}.")
    if not any(sizes.values()):
        raise DataError.one(name, f"The table has {plural(len(columns), 'column')} and no rows.")
    return plain_table(
        Table.whole(name, columns, notes=classes_note(classes, cells, columns), has_header=has_header, classes=classes)
    )


def declared(frame: object) -> dict[str, list[str]]:
    """Returns column -> declared class names of a ``datasets.Dataset`` or an Arrow table; empty for other tables."""
    features = getattr(frame, "features", None)
    if isinstance(features, Mapping):
        return {str(name): names for name, feature in features.items() if (names := classes_of_feature(feature))}
    return classes_of_metadata(getattr(getattr(frame, "schema", None), "metadata", None))


def feature_types(frame: object) -> dict[str, object]:
    """Returns column -> type of a ``datasets.Dataset``; empty for other tables, whose columns know their types."""
    features = getattr(frame, "features", None)
    known = features if isinstance(features, Mapping) else {}
    return {str(name): getattr(feature, "dtype", None) for name, feature in known.items()}


def plain_cells(cells: Any, kind: object = None) -> list[Any]:
    """Converts the cells to a list of plain Python values.

    Args:
        kind: the type of the column, if its cells do not tell.
    """
    kind = kind or getattr(cells, "dtype", None) or getattr(cells, "type", None)
    if hasattr(cells, "notna"):
        # pandas: as objects, so that a missing value can be None in a column of numbers, too.
        cells = cells.astype(object).where(cells.notna(), None)
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(cells, method):
            values = getattr(cells, method)()
            break
    else:
        values = list(cells)
    return shortest_floats([plain_value(value) if type(value).__module__ == "numpy" else value for value in values], kind)


def with_columns(frame: object, name: str) -> object:
    """Returns the frame itself; a list or series of texts as a dict, and other rows as a list of dicts or of lists.

    Raises DataError for rows that are neither, and for a dict that is no dict of lists.
    """
    if isinstance(frame, Mapping):
        require_lists(frame, name)
        return frame
    if isinstance(frame, str | bytes) or not hasattr(frame, "__len__") or column_names(frame) is not None:
        return frame
    rows = [list(row) if isinstance(row, tuple) else row for row in plain_cells(frame)]
    if any(isinstance(row, str) for row in rows):
        return {TEXTS: rows}
    if rows and not isinstance(rows[0], dict | list):
        raise DataError.one(name, f"The rows are no table; the first is {type(rows[0]).__name__}: {clip(rows[0])}.", NEEDED)
    return rows


def column_names(frame: object) -> list[Any] | None:
    """Returns the names of a frame's columns; None if it has none, as a list or a series."""
    names = getattr(frame, "column_names", None)  # an Arrow table's ``columns`` are its cells
    names = getattr(frame, "columns", None) if names is None else names
    return None if names is None else list(names)


def require_lists(columns: Mapping[Any, Any], name: str) -> None:
    """Raises DataError if a column is a single cell, or a table: a data set of several splits."""
    for key, cells in columns.items():
        if column_names(cells) is not None:
            message = f"The data set has several splits, {key!r} among them; one table was expected."
            raise DataError.one(name, message, "Give each split by its own argument.")
        if isinstance(cells, str | bytes | Mapping) or not hasattr(cells, "__len__"):
            raise DataError.one(name, f"The column {key!r} is no list of cells: {clip(cells)}.", NEEDED)
