"""Writes the columns of a table as csv, tsv, json, jsonl or parquet, completely or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.data.cells import csv_line
from tunesmith.disk import whole_file, write_text
from tunesmith.results import finite
from tunesmith.workflows.predictions import arrow_column, in_one_cell

ROW_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def write_rows(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Writes columns of equal length in the format of the suffix, one of ``ROW_SUFFIXES``."""
    if path.suffix != ".parquet":
        write_text(path, "".join(lines_of(path.suffix, columns)))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    with whole_file(path) as part:
        pq.write_table(pa.table({name: arrow_column(cells) for name, cells in columns.items()}), part)


def lines_of(suffix: str, columns: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yields the text of a file; lists and objects in a cell of csv and tsv are JSON."""
    rows = zip(*columns.values(), strict=True)
    if suffix == ".json":
        yield json.dumps([finite(dict(zip(columns, row, strict=True))) for row in rows], ensure_ascii=False, indent=1) + "\n"
    elif suffix == ".jsonl":
        yield from (json.dumps(finite(dict(zip(columns, row, strict=True))), ensure_ascii=False) + "\n" for row in rows)
    else:
        delimiter = "\t" if suffix == ".tsv" else ","
        yield csv_line(list(columns), delimiter)
        yield from (csv_line(map(in_one_cell, row), delimiter) for row in rows)
