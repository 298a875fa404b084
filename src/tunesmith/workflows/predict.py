"""Predicts the rows of a file or of a text stream with a finished run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
from tunesmith.errors import DataError
from tunesmith.models.kind import is_reward_model
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import IN_MEMORY, recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.report.words import threshold_words
from tunesmith.tasks.classification.many_processes import open_for, predictor_in_processes
from tunesmith.tasks.classification.other_model import (
    ModelSettings,
    note_columns,
    with_named_classes,
)
from tunesmith.tasks.classification.predicted import predict_rows, text_columns, with_joined_text
from tunesmith.tasks.classification.predictor import CONFIG, Predictor, PredictorConfig
from tunesmith.tasks.finished import Run, folder_of, index_of
from tunesmith.workflows.predictions import PredictionTable, kept_columns, require_output
from tunesmith.workflows.rewards import predict_rewards, refuse_options


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

    Rows without a text are left out, and counted in ``dropped``. Reward models: see ``workflows.rewards``.

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
    if is_reward_model(folder_of(target)):
        refuse_options(labels=labels, tokenizer=tokenizer, processes=processes, data=data)
        return predict_rewards(target, data, output=output, columns=columns, listener=listener)
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
