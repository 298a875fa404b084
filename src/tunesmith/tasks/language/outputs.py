"""Writes the model, the prediction columns, and answers before and after training of a language model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.chat import load as chat
from tunesmith.data.chat.rows import first_prompt, last_answer
from tunesmith.data.split import spread_positions
from tunesmith.disk import write_text
from tunesmith.evaluation.outputs import Outputs
from tunesmith.models.chat.prompts import rendered_runs
from tunesmith.models.equivalence import equal_tokens
from tunesmith.models.language.save import save_language_model
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import ModelSource
from tunesmith.results import TEXT_CHARACTERS, Certificate
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.language.data import GENERAL
from tunesmith.tasks.language.evaluation import UNTUNED
from tunesmith.tasks.language.model import LanguageSession, Reader, render_split
from tunesmith.tasks.language.preflight import unwritten_parts
from tunesmith.tasks.language.scoring import EvalSplit
from tunesmith.tasks.language.training import sample_rows
from tunesmith.tasks.task import Evaluation, SavedModel, SeedResult

ANSWERS = "answers.json"
SAMPLE_ROWS, CERTIFIED_TEXTS = 4, 64
"""Rows of each split whose logits are compared after saving, and whose texts the saved tokenizer reads again."""
SHOWN_ANSWERS = 12
SHOWN_ROWS = 3


def save_model(session: LanguageSession, folder: Path, _thresholds: list[float] | None) -> SavedModel:
    """Saves the model, with its adapter merged if possible, and proves that the files give the same logits."""
    sample = [*sample_rows(session), *(ids for split in session.splits.values() for ids in spread_ids(split))]
    saved = save_language_model(session.model, session.tokenizer, folder, session.data.source, sample)
    return SavedModel((*saved.certificates, saved_tokens(session, folder)), saved.notes)


def spread_ids(split: EvalSplit) -> list[list[int]]:
    """Returns the token ids of a few rows of an evaluation split."""
    return [split.rows.input_ids[i].tolist() for i in spread_positions(len(split.rows), SAMPLE_ROWS)]


def saved_tokens(session: LanguageSession, folder: Path) -> Certificate:
    """Certifies that the saved tokenizer, with its template, renders rows of every split as in training."""
    tokenizer = load_tokenizer(ModelSource(str(folder), str(folder), "folder"))
    template = session.template
    if template.source != "none":
        template = replace(template, text=str(tokenizer.get_chat_template()))
    few = [rows.take(spread_positions(len(rows), CERTIFIED_TEXTS), rows.split) for rows in session.data.all_rows.values()]
    limits = (session.objective, session.max_length, session.max_target_length)
    rendered = (
        [render_split(session.data, rows, reader) for rows in few]
        for reader in (Reader(session.tokenizer, session.template, *limits), Reader(tokenizer, template, *limits))
    )
    expected, saved = (
        [ids.tolist() for rows in splits for part in (rows.input_ids, rows.labels) for ids in part] for splits in rendered
    )
    return equal_tokens(expected, saved)


def prediction_columns(session: LanguageSession, name: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet for one split. Rows without a generated answer have no prediction."""
    if name == GENERAL:
        return {}
    split, losses = session.splits[name], outputs.token_losses
    place = {position: i for i, position in enumerate(split.positions)}
    turns = [split.conversations.turns[position] for position in split.positions]
    assert losses is not None
    columns: dict[str, list[Any]] = {
        "row_id": list(split.row_ids),
        "split": [name] * len(place),
        "label": [last_answer(of_row) for of_row in turns],
        "prediction": [None] * len(place),
        "loss": (losses.sums / np.maximum(1, losses.counts)).tolist(),
        "n_tokens": losses.counts.tolist(),
        "n_bytes": split.n_bytes.tolist(),
        "text": [first_prompt(of_row)[:TEXT_CHARACTERS] for of_row in turns],
    }
    at = [place[position] for position in split.sample]
    for metric, values in outputs.row_scores.items():
        columns[metric] = scattered(values.astype(float).tolist(), at, len(place))
    if outputs.texts:
        columns["prediction"] = scattered(list(outputs.texts), at, len(place))
    if outputs.predictions is not None:
        labels, predictions = session.data.recipe.sft.labels, outputs.predictions
        columns["prediction"] = scattered([labels[int(label)] for label in predictions.decisions], at, len(place))
        columns["pred_probs"] = scattered(predictions.scores.tolist(), at, len(place))
    return columns


def scattered(values: list[Any], at: list[int], count: int) -> list[Any]:
    """Returns ``count`` cells with the values at those positions and None elsewhere."""
    cells: list[Any] = [None] * count
    for i, value in zip(at, values, strict=True):
        cells[i] = value
    return cells


def save_files(evaluation: Evaluation, folder: RunFolder) -> None:
    """Writes the supervised tokens of a few training rows, and a few answers of the main split by every system."""
    best: SeedResult = evaluation.best
    session: LanguageSession = best.session
    rows, name = session.train, list(session.data.evaluation_rows)[-1]
    split, ours = session.splits[name], best.outputs[name]
    seen = [
        {"row_id": rows.row_ids[i], "runs": rendered_runs(session.tokenizer, rows, i)}
        for i in range(min(SHOWN_ROWS, len(rows.input_ids)))
    ]
    systems = {system.name: system.outputs[name] for system in evaluation.systems.systems if name in system.outputs}
    answers = [
        {
            "row_id": split.sample_ids[i],
            "prompt": first_prompt(split.conversations.turns[split.sample[i]])[:TEXT_CHARACTERS],
            "reference": split.references[i],
            "this run": ours.texts[i],
            **{system: outputs.texts[i] for system, outputs in systems.items() if outputs.texts},
        }
        for i in range(min(SHOWN_ANSWERS, len(ours.texts)))
    ]
    content = {"seen": seen, "split": name, "answers": answers, "before": UNTUNED}
    write_text(folder.work / ANSWERS, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def data_record(session: LanguageSession) -> dict[str, Any]:
    """Returns the data record of result.json."""
    data = chat.data_record(session.data.rows) | {"problem_type": f"{session.objective.name}_language_model"}
    data["notes"] += [f"{note}." for note in unwritten_parts(session)]
    labels = session.data.recipe.sft.labels
    return data | ({"labels": list(labels)} if labels else {})


def training_record(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the template, the use of packing, and the curves by context length, for result.json."""
    best: SeedResult = evaluation.best
    session: LanguageSession = best.session
    split, tokens = list(session.data.evaluation_rows)[-1], session.tokens
    systems = [system.outputs.get(split) for system in evaluation.systems.systems]
    before = [outputs.context_curve for outputs in systems if outputs is not None]
    return {
        "objective": session.objective.name,
        "template": session.template.name,
        "template_source": session.template.source,
        "packed": tokens.is_packed,
        "padding_free": tokens.padding_free,
        "tokens": int(tokens.lengths.sum()),
        "supervised_tokens": session.train.target_tokens,
        "learnt_tokens": session.train.target_tokens,  # the earlier name of ``supervised_tokens``
        "context": {
            "before": [point for curve in before for point in curve],
            "after": list(best.outputs[split].context_curve),
        },
        "answer_tokens": session.generation.decoding.max_new_tokens,
    }
