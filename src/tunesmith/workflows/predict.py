"""Predicts the rows of a file or of a text stream with a finished run."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tunesmith.data.columns import detect_columns
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Columns, Table
from tunesmith.disk import require_file_place, whole_file, write_text
from tunesmith.errors import DataError, OutputError
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.tasks.classification.predictor import Predictor, load_predictor

WRITERS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True)
class PredictionTable:
    """Predictions for the rows of a file.

    Attributes:
        rows: in the order of the source: ``row_id``, ``prediction``, and ``probability`` and ``pred_probs`` or ``score``.
        labels: the order of ``pred_probs``.
        dropped: rows that could not be predicted, by reason.
    """

    rows: list[dict[str, Any]]
    labels: tuple[str, ...]
    dropped: dict[str, int]

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
        names = [name for name in (self.rows[0] if self.rows else {"row_id": 0, "prediction": 0}) if name != "pred_probs"]
        delimiter = "\t" if suffix == ".tsv" else ","
        writer = csv.DictWriter(out, names, delimiter=delimiter, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            labels = row["prediction"]
            writer.writerow({**row, "prediction": "|".join(labels) if isinstance(labels, list) else labels})
        return out.getvalue()


def predict(
    target: str | Path,
    data: str | TextIO,
    *,
    output: Path | None = None,
    columns: ColumnsSection | None = None,
    listener: Listener = silent,
) -> PredictionTable:
    """Predicts every row of a file, or of a text stream (one text a line, csv or jsonl), with a finished run.

    Raises InputError if there is no such run or file, or the text column is not detected.
    """
    if output is not None and output.suffix not in WRITERS:
        raise OutputError.one(str(output), "the format is not known from the suffix.", f"Use one of {', '.join(WRITERS)}.")
    if output is not None:
        require_file_place(output)
    table = read_table(data) if isinstance(data, str) else table_from_stream(data)
    listener(Event("phase", "model"))
    predictor = load_predictor(Path(target))
    text = text_columns(table, predictor, columns or ColumnsSection())
    examples = make_examples(table, text, None, "predict")
    dropped = dict(Counter(row.reason for row in examples.bad_rows if row.dropped))
    listener(Event("phase", "predicting"))
    rows = predictor.rows(predictor.scores(examples.texts, examples.pairs))
    names: list[str] | list[None] = examples.ids or [None] * len(rows)
    whole = [
        {"row_id": row_id, **({"id": name} if name is not None else {}), **row}
        for row_id, name, row in zip(examples.row_ids, names, rows, strict=True)
    ]
    predictions = PredictionTable(whole, predictor.config.labels.names, dropped)
    if output is not None:
        predictions.write(output)
    return predictions


def table_from_stream(stream: TextIO) -> Table:
    """Reads a table from piped text: JSON lines, csv with a header that names a text column, or else one text a line."""
    lines = stream.read().splitlines()
    if not any(line.strip() for line in lines):
        remedy = "Pipe one text a line, csv with a header, or JSON lines."
        raise DataError.one("standard input", "there is nothing on it.", remedy)
    first = lines[0].lstrip("\ufeff").strip()
    if first.startswith("{"):
        objects = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                objects.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError.one(f"standard input:{number}", f"this line is no JSON: {error.msg}.") from None
            if not isinstance(objects[-1], dict):
                raise DataError.one(f"standard input:{number}", "this line is no JSON object.")
        return table_from_frame(objects, "standard input")
    header = next(csv.reader([first]))
    if "," in first and any(name.strip().lower() in {"text", "message", "sentence"} for name in header):
        return table_from_frame(list(csv.DictReader(lines)), "standard input")
    return table_from_frame({"text": lines}, "standard input")


def text_columns(table: Table, predictor: Predictor, requested: ColumnsSection) -> Columns:
    """Returns the text columns of a file: the requested ones, those of the training data, or the detected ones."""
    trained = predictor.config.columns
    text = requested.text or (trained["text"] if trained["text"] in table.columns else None)
    pair = requested.pair or (trained["pair"] if trained["pair"] in table.columns else None)
    if text is None and len(table.columns) == 1:
        text = next(iter(table.columns))
    if trained["pair"] and pair is None and requested.text is None and text is not None:
        message = f"the run was trained on pairs ({trained['text']}, {trained['pair']}); the second column is not here."
        raise DataError.one(table.source, message, f"Columns: {', '.join(table.columns)}. Name it with --pair.")
    return detect_columns(table, "classification", requested.model_copy(update={"text": text, "pair": pair}), need_label=False)
