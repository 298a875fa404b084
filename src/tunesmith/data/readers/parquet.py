"""parquet, through pyarrow."""

from __future__ import annotations

from typing import Any

from tunesmith.data.readers.payload import Payload
from tunesmith.data.table import Table
from tunesmith.errors import DataError


def read_parquet(payload: Payload) -> Table:
    """The table of a parquet file; cells are plain Python values.

    Raises:
        DataError: no parquet file, a damaged one, duplicate column names, or no rows.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_table(pyarrow.BufferReader(payload.data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].removeprefix("Could not open Parquet input source '<Buffer>': ").rstrip(".")
        raise DataError.one(
            payload.name, f"The file is not readable as parquet: {reason}.", "Write or download it again."
        ) from None
    names = [str(name) for name in found.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError.one(payload.name, f"The file names a column more than once: {', '.join(repeated)}.")
    if not found.num_rows or not names:
        raise DataError.one(payload.name, f"The file has {len(names)} columns and no rows.")
    columns: dict[str, list[Any]] = {name: found.column(i).to_pylist() for i, name in enumerate(names)}
    return Table(
        source=payload.name, columns=columns, row_ids=list(range(found.num_rows)), sha256=payload.sha256,
        rows_read=found.num_rows, notes=payload.notes,
    )  # fmt: skip
