"""Gives the answers of a file their rewards by a finished reward model."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.errors import InputError
from tunesmith.progress import Listener, silent
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.tasks.finished import Run
from tunesmith.workflows.predictions import PredictionTable, require_output


def refuse_options(*, labels: object, tokenizer: object, processes: int | str, data: object) -> None:
    """Raises InputError for options that reward models do not have, and for a text stream, which has no prompts."""
    given = {"labels": labels, "tokenizer": tokenizer, "processes": None if processes == 1 else processes}
    for name, value in given.items():
        if value is not None:
            raise InputError.one("predict", f"{name} does not apply to reward models.", "Remove it.")
    if isinstance(data, io.TextIOBase):
        message = "a reward model reads prompts and answers, and a text stream has neither."
        raise InputError.one("predict", message, "Give a file: tunesmith predict RUN answers.jsonl")


def predict_rewards(
    target: str | Path | Run,
    data: object,
    *,
    output: str | Path | None = None,
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    listener: Listener = silent,
) -> PredictionTable:
    """Computes the reward of each answer as ``prediction``: a number that orders the answers to one prompt, the best highest.

    Args:
        target: a run of task: reward.
        data: pairs, prompts and answers, or conversations that end with one: the path of a file, or a table in memory.
        output: a file to write: csv, tsv, json, jsonl or parquet.
        columns: part -> column, if they are not detected.

    Raises InputError if the rows or the model cannot be used.
    """
    from tunesmith.tasks.reward.evaluate_model import answer_rewards

    path = None if output is None else Path(output)
    if path is not None:
        require_output(path, data)
    found, rewards = answer_rewards(target, data, columns=columns, listener=listener)
    names = [{"answer": name} for name in found.names] or [{} for _ in found.row_ids]
    rows = [
        {"row_id": row_id, **name, "prediction": float(reward)}
        for row_id, name, reward in zip(found.row_ids, names, rewards, strict=True)
    ]
    predictions = PredictionTable(rows, ("reward",), found.dropped, found.row_ids)
    if path is not None:
        predictions.write(path)
    return predictions
