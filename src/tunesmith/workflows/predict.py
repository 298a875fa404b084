"""Predicts the rows of a file or of a text stream with a finished run."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from tunesmith.data.cells import escape_formula
from tunesmith.data.columns import replaced_columns
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.readers.delimited import any_field_size, read_delimited
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.given import noted, read_rows_or_text
from tunesmith.data.readers.json_rows import explain, parse_json
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.readers.payload import Payload
from tunesmith.data.readers.plain_cells import whole_text
from tunesmith.data.table import Table
from tunesmith.disk import require_file_place, whole_file, write_text
from tunesmith.errors import DataError, OutputError
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import IN_MEMORY, recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.tasks.classification.predicted import PredictedRows, predict_rows, text_columns
from tunesmith.tasks.classification.predictor import load_predictor
from tunesmith.tasks.finished import Run, folder_of, index_of

WRITERS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


class PredictionTable(PredictedRows):
    """Predictions for the rows of a file or a table, in its order, each with its ``row_id``.

    Attributes:
        dropped: rows that could not be predicted, by reason.
    """

    def __init__(
        self,
        rows: Sequence[dict[str, Any]],
        labels: Sequence[Any],
        dropped: dict[str, int],
        row_names: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(rows, labels, row_names)
        self.dropped = dropped

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows as a plain list."""
        return list(self)

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

        with whole_file(path) as part:
            pq.write_table(pa.Table.from_pylist(self.rows), part)

    def text(self, suffix: str = ".csv") -> str:
        """Formats the rows as csv, tsv, json or jsonl text."""
        if suffix == ".json":
            return json.dumps(self.rows, ensure_ascii=False, indent=1) + "\n"
        if suffix == ".jsonl":
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        out = io.StringIO()
        names = [name for name in (self[0] if self else {"row_id": 0, "prediction": 0}) if name != "pred_probs"]
        delimiter = "\t" if suffix == ".tsv" else ","
        writer = csv.DictWriter(out, names, delimiter=delimiter, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            labels = row["prediction"]
            row = {**row, "prediction": "|".join(map(str, labels)) if isinstance(labels, list) else labels}
            writer.writerow({name: escape_formula(cell) for name, cell in row.items()})
        return out.getvalue()


def predict(
    target: str | Path | Run,
    data: object,
    *,
    output: str | Path | None = None,
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    listener: Listener = silent,
) -> PredictionTable:
    """Predicts every row with a finished run. Rows without a text are left out, and counted in ``dropped``.

    Args:
        data: a text or texts, a table in memory, the path of a file, or a text stream (one text a line, csv or jsonl).
        output: a file to write: csv, tsv, json, jsonl or parquet.
        columns: the columns by their role, such as ``{"text": "message"}``, if they are not those of the training data.

    Raises InputError if there is no such run or file, or the text column is not detected.

    Example::

        tunesmith.predict("runs/tickets", "new.csv").predictions
    """
    folder, path = folder_of(target), None if output is None else Path(output)
    if path is not None and path.suffix not in WRITERS:
        raise OutputError.one(str(path), "the format is not known from the suffix.", f"Use one of {', '.join(WRITERS)}.")
    if path is not None:
        require_file_place(path, data)
    table = noted(table_from_stream(data), listener) if isinstance(data, io.TextIOBase) else read_rows_or_text(data, listener)
    listener(Event("phase", "model"))
    predictor = target.predictor if isinstance(target, Run) else load_predictor(folder)
    given = columns_section(columns)
    text = text_columns(table, predictor, given)
    for note in replaced_columns(table, {**predictor.config.columns, "label": None}, given, text):
        listener(Event("note", note))
    examples = make_examples(table, text, None, "predict")
    dropped = dict(Counter(row.reason for row in examples.bad_rows if row.dropped))
    listener(Event("phase", "predicting"))
    rows = predict_rows(predictor, examples.texts, examples.pairs)
    names: list[str] | list[None] = examples.ids or [None] * len(rows)
    whole = [
        {"row_id": row_id, **({"id": name} if name is not None else {}), **row}
        for row_id, name, row in zip(examples.row_ids, names, rows, strict=True)
    ]
    index = index_of(data)
    index = examples.row_ids if index is None else index[examples.row_ids]
    predictions = PredictionTable(whole, predictor.config.labels.values, dropped, index)
    if path is not None:
        predictions.write(path)
    return predictions


def has_header(first: str, rest: Sequence[str]) -> bool:
    """Tells whether piped lines are csv: the first names a text column, alone only if no other line has two cells."""
    with any_field_size():
        header = next(csv.reader([first]))
        is_named = any(name.strip().lower() in {"text", "message", "sentence"} for name in header)
        return is_named and (len(header) > 1 or (bool(rest) and all(len(row) < 2 for row in csv.reader(rest))))


def columns_section(columns: ColumnsSection | Mapping[str, Any] | None) -> ColumnsSection:
    """Returns the columns by their role. Raises RecipeError for an unknown role."""
    if isinstance(columns, ColumnsSection):
        return columns
    return recipe_from_mapping({"data": {"train": IN_MEMORY, "columns": dict(columns or {})}}, "columns").data.columns


def table_from_stream(stream: TextIO | io.TextIOBase) -> Table:
    """Reads a table from piped text: JSON lines, csv with a header that names a text column, or else one text a line."""
    text = stream.read().removeprefix("\ufeff")
    lines = split_lines(text)
    lines = lines if lines[-1] else lines[:-1]
    if not any(line.strip() for line in lines):
        remedy = "Pipe one text a line, csv with a header, or JSON lines."
        raise DataError.one("standard input", "there is nothing on it.", remedy)
    first = lines[0].strip()
    if first.startswith("{"):
        objects = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                objects.append(parse_json(line))
            except ValueError as error:
                raise DataError.one(f"standard input:{number}", f"this line is no JSON: {explain(error)}.") from None
            if not isinstance(objects[-1], dict):
                raise DataError.one(f"standard input:{number}", "this line is no JSON object.")
        return table_from_frame(objects, "standard input")
    if has_header(first, lines[1:]):
        payload = Payload("standard input", whole_text(text).encode(), ".csv", "")
        return read_delimited(payload, ",", header=True)
    return table_from_frame({"text": lines}, "standard input")
