"""Predicts the rows of a file or of a text stream with a finished run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from tunesmith.data.cells import csv_line
from tunesmith.data.column_names import plain_name
from tunesmith.data.columns import replaced_columns
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.readers.delimited import any_field_size, read_delimited
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.given import noted, read_rows_or_text
from tunesmith.data.readers.json_rows import explain, parse_json
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.readers.payload import Payload, read_payload
from tunesmith.data.readers.plain_cells import whole_text
from tunesmith.data.readers.plain_texts import is_plain_text
from tunesmith.data.readers.read import find_format, parse_table
from tunesmith.data.table import Examples, Table
from tunesmith.data.template import TextTemplate
from tunesmith.disk import require_file_place, whole_file, write_text
from tunesmith.errors import DataError, OutputError
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import IN_MEMORY, recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.report.words import threshold_words
from tunesmith.results import finite
from tunesmith.tasks.classification.many_processes import open_for, predictor_in_processes
from tunesmith.tasks.classification.other_model import (
    ModelSettings,
    note_columns,
    with_named_classes,
)
from tunesmith.tasks.classification.predicted import PredictedRows, predict_rows, text_columns, with_joined_text
from tunesmith.tasks.classification.predictor import CONFIG, Predictor, PredictorConfig
from tunesmith.tasks.finished import Run, folder_of, index_of

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


def predict(
    target: str | Path | Run,
    data: object,
    *,
    output: str | Path | None = None,
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    labels: Mapping[Any, Any] | None = None,
    tokenizer: str | Path | None = None,
    processes: int | str = 1,
    listener: Listener = silent,
) -> PredictionTable:
    """Predicts every row with a finished run, or with a classifier or regression that another program trained.

    Rows without a text are left out, and counted in ``dropped``.

    Args:
        target: a run or its folder; the folder of a model of transformers or of an adapter of peft; or ``hub:NAME``.
        data: a text or texts, a table in memory, the path of a file, or a text stream. A stream and a file of plain text
            (``.txt``) hold one text a line, csv or JSON lines.
        output: a file to write: csv, tsv, json, jsonl or parquet. It also has the columns of ``data``.
        columns: the columns by their role, such as ``{"text": "message"}``, if they are not those of the training data.
        labels: of a model that is no run: names for its classes, such as ``{"LABEL_0": "negative"}``.
        tokenizer: of a model that is no run: its tokenizer, where its own folder has none.
        processes: that divide the rows, each with a GPU or with a share of the cores; ``auto``: one for each GPU.

    Raises InputError if there is no such run or file, or the text column is not detected.

    Example::

        tunesmith.predict("runs/tickets", "new.csv").predictions
    """
    model, path = target if isinstance(target, Run) else folder_of(target), None if output is None else Path(output)
    if path is not None:
        require_output(path, data)
    table = read_texts(data, listener, joined_columns(target))
    listener(Event("phase", "model"))
    settings = ModelSettings.of(labels, tokenizer)
    predictor = with_named_classes(open_for(model, processes, settings, listener), listener)
    examples, id_column = rows_to_predict(table, predictor, columns_section(columns), listener)
    listener(Event("phase", "predicting"))
    with predictor_in_processes(predictor, model, settings, processes, len(examples)) as predictor:
        rows = predict_rows(predictor, examples.texts, examples.pairs, listener)
    predictions = prediction_table(rows, examples, id_column, predictor.config.labels.values, data)
    if path is not None:
        predictions.write(path)
    return predictions


def rows_to_predict(
    table: Table, predictor: Predictor, requested: ColumnsSection, listener: Listener
) -> tuple[Examples, str | None]:
    """Builds the rows of a table with all its columns, and returns the name of the id column; notes say what is read."""
    own = list(table.columns)
    table, given = with_joined_text(table, predictor, requested)
    text = text_columns(table, predictor, given)
    notes = replaced_columns(table, {**predictor.config.columns, "label": None}, given, text)
    for note in [*notes, *threshold_words(predictor.config.thresholds, predictor.config.labels.names)]:
        listener(Event("note", note))
    note_columns(predictor, table, text, listener)
    return make_examples(table, text, None, "predict", others={name: name for name in own}), text.id


def require_output(path: Path, data: object) -> None:
    """Raises OutputError if predictions cannot be written to a file: its format is unknown, or its place cannot be used."""
    if path.suffix not in WRITERS:
        raise OutputError.one(str(path), "the format is not known from the suffix.", f"Use one of {', '.join(WRITERS)}.")
    require_file_place(path, data)


def prediction_table(
    rows: Sequence[dict[str, Any]], examples: Examples, id_column: str | None, labels: Sequence[Any], data: object
) -> PredictionTable:
    """Joins the predictions of rows with their positions and ids, and with the columns of their source."""
    ids = None if id_column is None else examples.others[id_column]
    whole = [
        {"row_id": row_id, **({} if ids is None else {"id": ids[i]}), **row}
        for i, (row_id, row) in enumerate(zip(examples.row_ids, rows, strict=True))
    ]
    is_piped = isinstance(data, io.TextIOBase)  # no file, so that there are no columns of one to keep
    others = {name: cells for name, cells in examples.others.items() if not is_piped and (name, id_column) != ("id", "id")}
    kept = kept_columns(others, labels, has_id=ids is not None)
    index = index_of(data)
    dropped: dict[str, list[int]] = {}
    for row in examples.bad_rows:
        if row.dropped:
            dropped.setdefault(row.reason, []).append(row.row_id)
    return PredictionTable(whole, labels, dropped, examples.row_ids if index is None else index[examples.row_ids], kept)


def joined_columns(target: str | Path | Run) -> tuple[str, ...]:
    """Returns the columns that a run joins to its texts (``data.template``); empty if it joins none, or is no finished run."""
    folder = folder_of(target) / "model"
    if not (folder / CONFIG).is_file():
        return ()
    template = PredictorConfig.load(folder).template
    return () if template is None else TextTemplate.parse(template).names


def read_texts(data: object, listener: Listener, names: Sequence[str] = ()) -> Table:
    """Reads a table of texts: rows, a text, a text stream, or a file of plain text, which is read as a stream is.

    Args:
        names: columns that the header of a csv has, if it is to be known by them.
    """
    if isinstance(data, io.TextIOBase):
        return noted(table_from_lines(data.read(), "standard input", names), listener)
    if isinstance(data, str | Path) and is_plain_text(data) and Path(data).is_file():
        payload = read_payload(Path(data), str(data))
        is_table = find_format(payload) is not None
        table = parse_table(payload) if is_table else table_from_lines(decode(payload, None).text, payload.name, names)
        return noted(table, listener)
    return read_rows_or_text(data, listener)


def has_header(first: str, rest: Sequence[str], names: Sequence[str] = ()) -> bool:
    """Tells whether piped lines are csv: the first names a text column, alone only if no other line has two cells.

    Args:
        names: columns that together make a header, too.
    """
    with any_field_size():
        header = next(csv.reader([first]))
        if names and {*names} <= {name.strip() for name in header}:
            return True
        is_named = any(name.strip().lower() in {"text", "message", "sentence"} for name in header)
        return is_named and (len(header) > 1 or (bool(rest) and all(len(row) < 2 for row in csv.reader(rest))))


def columns_section(columns: ColumnsSection | Mapping[str, Any] | None) -> ColumnsSection:
    """Returns the columns by their role. Raises RecipeError for an unknown role."""
    if isinstance(columns, ColumnsSection):
        return columns
    return recipe_from_mapping({"data": {"train": IN_MEMORY, "columns": dict(columns or {})}}, "columns").data.columns


def table_from_lines(text: str, source: str, names: Sequence[str] = ()) -> Table:
    """Reads a table from text: JSON lines, csv with a header that names a text column, or else one text a line.

    Args:
        source: names the text in messages and results.
        names: see ``has_header``.
    """
    text = text.removeprefix("\ufeff")
    lines = split_lines(text)
    lines = lines if lines[-1] else lines[:-1]
    if not any(line.strip() for line in lines):
        remedy = "Give one text a line, csv with a header, or JSON lines."
        raise DataError.one(source, "there is nothing on it.", remedy)
    first = lines[0].strip()
    if first.startswith("{"):
        objects = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                objects.append(parse_json(line))
            except ValueError as error:
                raise DataError.one(f"{source}:{number}", f"this line is no JSON: {explain(error)}.") from None
            if not isinstance(objects[-1], dict):
                raise DataError.one(f"{source}:{number}", "this line is no JSON object.")
        return table_from_frame(objects, source)
    if has_header(first, lines[1:], names):
        payload = Payload(source, whole_text(text).encode(), ".csv", "")
        return read_delimited(payload, ",", header=True)
    return table_from_frame({"text": lines}, source)
