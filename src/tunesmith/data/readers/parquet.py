"""Reads parquet files through pyarrow."""

from __future__ import annotations

from typing import Any

from tunesmith.data.readers.payload import Payload
from tunesmith.data.table import Table
from tunesmith.errors import DataError


def read_parquet(payload: Payload) -> Table:
    """Reads the table of a parquet file; cells are plain Python values.

    Raises:
        DataError: the file is no parquet file or damaged, or has duplicate column names or no rows.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(pyarrow.BufferReader(payload.data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].removeprefix("Could not open Parquet input source '<Buffer>': ").rstrip(".")
        message = f"The file is not readable as parquet: {reason}."
        raise DataError.one(payload.name, message, "Write or download it again.") from None
    names = [str(name) for name in content.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError.one(payload.name, f"The file names a column more than once: {', '.join(repeated)}.")
    if not content.num_rows or not names:
        raise DataError.one(payload.name, f"The file has {len(names)} columns and no rows.")
    columns: dict[str, list[Any]] = {name: content.column(i).to_pylist() for i, name in enumerate(names)}
    return Table(
        source=payload.name,
        columns=columns,
        row_ids=list(range(content.num_rows)),
        sha256=payload.sha256,
        rows_read=content.num_rows,
        notes=payload.notes,
    )
