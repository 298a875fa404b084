"""Predicts the rows of a file or of a text stream with a finished run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tunesmith.data.columns import detect_columns
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Columns, Examples, Table
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
        """Writes the rows in the format of the suffix, completely or not at all.

        Raises:
            OutputError: an unknown suffix.
        """
        if path.suffix not in WRITERS:
            raise OutputError.one(
                str(path),
                f"predictions cannot be written as {path.suffix or 'a file without a suffix'}.",
                f"Use one of {', '.join(WRITERS)}.",
            )
        if not path.parent.is_dir():
            raise OutputError.one(str(path), f"the folder {path.parent} does not exist.")
        part = path.with_name(f".{path.name}.part")
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(self.rows), part)
        else:
            part.write_text(self.text(path.suffix), encoding="utf-8")
        part.replace(path)

    def text(self, suffix: str = ".csv") -> str:
        """Formats the rows as csv, tsv, json or jsonl text."""
        if suffix == ".json":
            return json.dumps(self.rows, ensure_ascii=False, indent=1) + "\n"
        if suffix == ".jsonl":
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        out = io.StringIO()
        names = [name for name in (self.rows[0] if self.rows else {"row_id": 0, "prediction": 0}) if name != "pred_probs"]
        writer = csv.DictWriter(
            out, names, delimiter="\t" if suffix == ".tsv" else ",", extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows({**row, "prediction": flat(row["prediction"])} for row in self.rows)
        return out.getvalue()


def flat(value: object) -> object:
    """Joins a list of labels for one cell."""
    return "|".join(value) if isinstance(value, list) else value


def predict(
    target: str | Path,
    data: str | TextIO,
    *,
    output: Path | None = None,
    columns: ColumnsSection | None = None,
    listener: Listener = silent,
) -> PredictionTable:
    """Predicts every row of a file, or of a text stream (one text a line, csv or jsonl), with a finished run.

    Raises:
        InputError: no such run or file, or an undetected text column.
    """
    if output is not None and output.suffix not in WRITERS:
        raise OutputError.one(str(output), "the format is not known from the suffix.", f"Use one of {', '.join(WRITERS)}.")
    table = read_table(data) if isinstance(data, str) else table_from_stream(data)
    listener(Event("phase", "model"))
    predictor = load_predictor(Path(target))
    examples, dropped = unlabelled(table, text_columns(table, predictor, columns or ColumnsSection()))
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
        raise DataError.one(
            "standard input", "there is nothing on it.", "Pipe one text a line, csv with a header, or JSON lines."
        )
    first = lines[0].lstrip("\ufeff").strip()
    if first.startswith("{"):
        return table_from_frame(
            [json_object(line, number) for number, line in enumerate(lines, 1) if line.strip()], "standard input"
        )
    header = next(csv.reader([first]))
    if "," in first and any(name.strip().lower() in {"text", "message", "sentence"} for name in header):
        return table_from_frame(list(csv.DictReader(lines)), "standard input")
    return table_from_frame({"text": lines}, "standard input")


def json_object(line: str, number: int) -> dict[str, Any]:
    """Parses one JSON line as a dictionary. Raises DataError that names the line."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError.one(f"standard input:{number}", f"this line is no JSON: {error.msg}.") from None
    if not isinstance(value, dict):
        raise DataError.one(f"standard input:{number}", "this line is no JSON object.")
    return value


def text_columns(table: Table, predictor: Predictor, requested: ColumnsSection) -> Columns:
    """Returns the text columns of a file: the requested ones, those of the training data, or the detected ones."""
    trained = predictor.config.columns
    text = requested.text or (trained["text"] if trained["text"] in table.columns else None)
    pair = requested.pair or (trained["pair"] if trained["pair"] in table.columns else None)
    if text is None and len(table.columns) == 1:
        text = next(iter(table.columns))
    if trained["pair"] and pair is None and requested.text is None and text is not None:
        raise DataError.one(
            table.source,
            f"the run was trained on pairs ({trained['text']}, {trained['pair']}); the second column is not here.",
            f"Columns: {', '.join(table.columns)}. Name it with --pair.",
        )
    return detect_columns(table, "classification", requested.model_copy(update={"text": text, "pair": pair}), need_label=False)


def unlabelled(table: Table, columns: Columns) -> tuple[Examples, dict[str, int]]:
    """Returns the rows with a text, and the numbers of dropped rows by reason."""
    examples = make_examples(table, columns, None, "predict")
    dropped: dict[str, int] = {}
    for bad in examples.bad_rows:
        if bad.dropped:
            dropped[bad.reason] = dropped.get(bad.reason, 0) + 1
    return examples, dropped
