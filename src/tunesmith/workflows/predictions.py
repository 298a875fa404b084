"""Holds the predictions for the rows of a file, and writes them in any format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from tunesmith.data.cells import csv_line
from tunesmith.data.column_names import plain_name
from tunesmith.disk import require_file_place, whole_file, write_text
from tunesmith.errors import OutputError
from tunesmith.results import finite
from tunesmith.tasks.classification.predicted import PredictedRows

WRITERS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
RESERVED = ("row_id", "prediction", "probability", "pred_probs", "score")
"""Names of the predictions' columns, of every kind of run."""


class PredictionTable(PredictedRows):
    """Predictions for the rows of a file or a table, in its order, each with its ``row_id``.

    Attributes:
        dropped: number of rows that could not be predicted, by reason.
        dropped_rows: the positions of those rows, by reason.
        kept: column of the source -> its cells (N), by the name that it gets in a written file.
    """

    def __init__(
        self,
        rows: Sequence[dict[str, Any]],
        labels: Sequence[Any],
        dropped_rows: Mapping[str, Sequence[int]],
        row_names: Sequence[Any] | None = None,
        kept: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        super().__init__(rows, labels, row_names)
        self.dropped_rows, self.kept = dropped_rows, dict(kept or {})

    @property
    def dropped(self) -> dict[str, int]:
        """Returns how many rows could not be predicted, by reason."""
        return {reason: len(rows) for reason, rows in self.dropped_rows.items()}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows as a plain list."""
        return list(self)

    @property
    def whole_rows(self) -> Iterator[dict[str, Any]]:
        """Yields every row with the columns of the source after those of the prediction."""
        cells = zip(*self.kept.values(), strict=True) if self.kept else repeat(())
        for row, own in zip(self, cells, strict=False):
            yield {**row, **dict(zip(self.kept, own, strict=True))}

    def write(self, path: Path) -> None:
        """Writes the rows in the format of the suffix, completely or not at all."""
        if path.suffix not in WRITERS:
            message = f"predictions cannot be written as {path.suffix or 'a file without a suffix'}."
            raise OutputError.one(str(path), message, f"Use one of {', '.join(WRITERS)}.")
        if path.suffix != ".parquet":
            write_text(path, self.text(path.suffix))
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(self.rows)
        for name, cells in self.kept.items():
            table = table.append_column(name, arrow_column(cells))
        with whole_file(path) as part:
            pq.write_table(table, part)

    def text(self, suffix: str = ".csv") -> str:
        """Formats the rows as csv, tsv, json or jsonl text; csv and tsv have a column ``p_LABEL`` for each class."""
        if suffix == ".json":
            return json.dumps(finite(list(self.whole_rows)), ensure_ascii=False, indent=1) + "\n"
        if suffix == ".jsonl":
            return "".join(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in self.whole_rows)
        classes, delimiter = class_columns(self.labels), "\t" if suffix == ".tsv" else ","
        own = [name for name in (self[0] if self else {"row_id": 0, "prediction": 0}) if name != "pred_probs"]
        has_classes = bool(self) and "pred_probs" in self[0]
        lines = [csv_line([*own, *(classes if has_classes else ()), *self.kept], delimiter)]
        for row in self.whole_rows:
            labels = row["prediction"]
            row["prediction"] = "|".join(map(str, labels)) if isinstance(labels, list) else labels
            cells = [*map(row.get, own), *(row["pred_probs"] if has_classes else ()), *map(row.get, self.kept)]
            lines.append(csv_line(map(in_one_cell, cells), delimiter))
        return "".join(lines)


def class_columns(labels: Sequence[Any]) -> list[str]:
    """Names the columns of the classes' probabilities in csv."""
    return [f"p_{label}" for label in labels]


def in_one_cell(cell: object) -> object:
    """Returns a cell as csv holds it: lists and objects are JSON."""
    return json.dumps(finite(cell), ensure_ascii=False) if isinstance(cell, list | tuple | dict) else cell


def arrow_column(cells: Sequence[Any]) -> Any:
    """Makes a column of parquet; cells of types that no column can hold together, or at all, become text."""
    import pyarrow as pa

    try:
        column = pa.array(cells)
    except (pa.ArrowException, OverflowError):
        column = None
    if column is None or "struct<>" in str(column.type):  # parquet has no object without keys
        return pa.array(
            [cell if cell is None or isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in cells]
        )
    return column


def kept_columns(cells: Mapping[str, Sequence[Any]], labels: Sequence[Any], *, has_id: bool) -> dict[str, Sequence[Any]]:
    """Returns the source's columns by the name that they get beside ours: ``input_NAME`` for a name of ours, in any case."""
    taken = {plain_name(name) for name in (*RESERVED, *class_columns(labels), *(("id",) if has_id else ()))}
    used = taken | {plain_name(name) for name in cells}
    kept: dict[str, Sequence[Any]] = {}
    for name, column in cells.items():
        written = name
        if plain_name(name) in taken:
            while plain_name(written) in used:
                written = f"input_{written}"
            used.add(plain_name(written))
        kept[written] = column
    return kept


def require_output(path: Path, data: object) -> None:
    """Raises OutputError if predictions cannot be written to a file: its format is unknown, or its place cannot be used."""
    if path.suffix not in WRITERS:
        raise OutputError.one(str(path), "the format is not known from the suffix.", f"Use one of {', '.join(WRITERS)}.")
    require_file_place(path, data)
