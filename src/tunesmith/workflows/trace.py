"""Traces one row through a run: raw cells, mapped parts, label, tokens, prediction, its contribution to each metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import clip
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Examples, Table
from tunesmith.errors import InputError
from tunesmith.evaluation.metrics.table import compute
from tunesmith.machine import quiet_libraries, stay_offline
from tunesmith.models.encode import encode
from tunesmith.models.inference import pad_batch
from tunesmith.models.load import load_config, load_tokenizer, max_input_tokens, position_limit_of_config
from tunesmith.models.source import ModelSource, find_model
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.tasks.classification.predictor import load_predictor
from tunesmith.tasks.finished import Run


def trace(
    loaded: LoadedRecipe, row: int, *, split: str = "train", run: Path | None = None, frames: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Traces one row through the stages.

    Args:
        row: its ``row_id``: the 0-based position in the source file of that split; rows of ``data.also`` follow those of train.
        run: a finished run of this recipe; without one the stages end at the tokens.
        frames: split name -> table in memory, in place of the recipe's files.

    Returns:
        ``source`` (of several concatenated files: also ``source_row_id`` and ``line``), ``raw`` (column -> cell),
        ``dropped`` (the reason, or None), ``mapped`` (text, pair, id, group), ``label``,
        ``tokens`` [{text, input_ids, attention_mask, ...}] and, with a run, ``prediction`` and ``shares`` (metric -> value with
        the row minus
    Raises InputError if the split has no such row.
    """
    stay_offline()
    quiet_libraries()
    recipe = loaded.recipe
    splits = load_labelled_data(recipe, loaded.base, frames)
    examples = splits.named().get(split)
    if examples is None:
        raise InputError.one("--split", f"the recipe has no split {split!r}.", f"It has {', '.join(splits.named())}.")
    place = examples.row_of_file(row)
    in_file = {"source": examples.source} if place is None else place.columns
    stages: dict[str, Any] = {"row_id": row, "split": split, **in_file}
    table = source_table(loaded, str(stages["source"]), frames or {})
    stages["raw"] = raw_cells(table, row if place is None else place.row_id)
    if row not in examples.row_ids:
        return {**stages, "dropped": why_absent(examples, splits, row)}
    position = examples.row_ids.index(row)
    rows = examples.take([position], split)
    parts = {"text": rows.texts, "pair": rows.pairs, "id": rows.ids, "group": rows.groups}
    mapped = {name: values[0] for name, values in parts.items() if values is not None}
    stages |= {"dropped": None, "mapped": mapped, "label": label_of(rows, splits)}
    stages["tokens"] = tokens_of(rows, find_model(recipe.model, loaded.base), recipe.data.max_length)
    if run is not None:
        stages |= in_run(rows, splits, Run.load(run), split, row)
    return stages


def source_table(loaded: LoadedRecipe, source: str, frames: Mapping[str, Any]) -> Table:
    """Reads the uninterpreted rows of a source: a file, or the table in memory that has its name."""
    if source in frames:
        return table_from_frame(frames[source], source)
    data = loaded.recipe.data
    return read_table(source, header=data.header, encoding=data.encoding, base=loaded.base)


def raw_cells(table: Table, row: int) -> dict[str, Any]:
    """Returns the row's cells in its source. Raises InputError if the source has no such row."""
    if row not in table.row_ids:
        reason = next((bad.reason for bad in table.bad_rows if bad.row_id == row), None)
        if reason is None:
            shown = clip(row).strip("'")
            raise InputError.one("--row", f"{table.source} has rows 0 to {table.rows_read - 1}; {shown} is not one of them.")
        return {"not read": reason}
    position = table.row_ids.index(row)
    return {name: cells[position] for name, cells in table.columns.items()}


def why_absent(examples: Examples, splits: LabelledData, row: int) -> str:
    """Returns the reason why a row of the source is not in the split."""
    reason = next((bad.reason for bad in examples.bad_rows if bad.row_id == row and bad.dropped), None)
    if reason is not None:
        return reason
    elsewhere = [name for name, other in splits.named().items() if other.source == examples.source and row in other.row_ids]
    return f"the row is in {elsewhere[0]}" if elsewhere else "the row was left out by data.max_rows"


def label_of(rows: Examples, splits: LabelledData) -> dict[str, Any]:
    """Returns the label as given and as encoded."""
    value, names = rows.labels[0], splits.labels.names
    if splits.labels.problem_type == REGRESSION:
        return {"value": float(value)}
    if splits.labels.problem_type == MULTI:
        return {"names": [name for name, on in zip(names, value, strict=True) if on], "encoded": [int(on) for on in value]}
    return {"name": names[int(value)], "encoded": int(value)}


def tokens_of(rows: Examples, source: ModelSource, max_length: int | None) -> list[dict[str, Any]]:
    """Tokenises the row as the training does: texts of its tokens, and the inputs of the model by upstream's names."""
    tokenizer = load_tokenizer(source)
    limit = max_input_tokens(position_limit_of_config(load_config(source), source.trust_remote_code), tokenizer, max_length)
    batch = pad_batch(encode(tokenizer, rows, limit, count_cut=False), np.array([0]), pad_id=0)  # one row: without padding
    names = tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    inputs = {name: values[0].tolist() for name, values in batch.items()}
    return [{"text": text, **{name: values[i] for name, values in inputs.items()}} for i, text in enumerate(names)]


def in_run(rows: Examples, splits: LabelledData, run: Run, split: str, row: int) -> dict[str, Any]:
    """Returns the prediction of a finished run for the row, and each metric's value with the row minus the one without it."""
    from tunesmith.workflows.compare import saved_predictions
    from tunesmith.workflows.saved_splits import saved_split

    predictor = load_predictor(run.folder)
    stages: dict[str, Any] = {"prediction": predictor.rows(predictor.scores(rows.texts, rows.pairs))[0]}
    if split in ("validation", "test"):
        predictions = saved_predictions(saved_split(run, split), splits.labels.names)
        assert predictions.row_ids is not None
        here = np.flatnonzero(predictions.row_ids == row)
        if len(here):
            without = predictions.take(np.delete(np.arange(len(predictions)), int(here[0])))
            problem_type = splits.labels.problem_type
            whole, less = compute(problem_type, predictions), compute(problem_type, without)
            reported = {metric.name for metric in run.result.metrics if metric.split == split}
            pairs = {name: (whole[name], less[name]) for name in whole if name in reported}
            stages["shares"] = {name: None if a is None or b is None else a - b for name, (a, b) in pairs.items()}
    return stages
