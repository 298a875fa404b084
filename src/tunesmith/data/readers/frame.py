"""Reads tables in memory: DataFrames, column stores, lists of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tunesmith.data.readers.json_rows import columns_from_rows
from tunesmith.data.table import Table
from tunesmith.errors import DataError


def table_from_frame(frame: object, name: str = "DataFrame") -> Table:
    """Reads a pandas or polars DataFrame, an Arrow table, a ``datasets.Dataset``, a dict of lists or a list of dicts.

    Row ids are positions, whatever index the frame has. Missing values (NaN, NA, NaT) become None.
    """
    has_header = True
    if isinstance(frame, list | tuple):
        columns, has_header = columns_from_rows(name, list(frame))
    elif isinstance(frame, Mapping):
        columns = {str(key): plain_cells(cells) for key, cells in frame.items()}
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
        columns = {str(key): plain_cells(frame[key]) for key in names}  # type: ignore[index]
    sizes = {key: len(cells) for key, cells in columns.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{key} {size}" for key, size in sizes.items())
        raise DataError.one(name, f"The columns have different lengths: {shown}.")
    if not any(sizes.values()):
        raise DataError.one(name, f"The table has {len(columns)} columns and no rows.")
    return Table.whole(name, columns, has_header=has_header)


def plain_cells(cells: Any) -> list[Any]:
    """Converts the cells to a list of plain Python values."""
    if hasattr(cells, "notna"):
        # pandas: as objects, so that a missing value can be None in a column of numbers, too.
        cells = cells.astype(object).where(cells.notna(), None)
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(cells, method):
            values = getattr(cells, method)()
            break
    else:
        values = list(cells)
    return [value.tolist() if type(value).__module__ == "numpy" else value for value in values]
