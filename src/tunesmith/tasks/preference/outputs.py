"""Writes the model, the prediction columns, and answers before and after training of a preference run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.chat.rows import first_prompt
from tunesmith.data.preferences import load as preferences
from tunesmith.data.preferences.load import first_texts
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.data.split import spread_positions
from tunesmith.disk import write_text
from tunesmith.evaluation.outputs import Outputs
from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.chat.answers import Answers, RenderedAnswers, render_answers
from tunesmith.models.chat.prompts import supervised_runs
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.equivalence import equal_tokens
from tunesmith.models.language.save import save_language_model
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import ModelSource
from tunesmith.results import TEXT_CHARACTERS, Certificate
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.language.evaluation import UNTUNED
from tunesmith.tasks.language.outputs import ANSWERS, scattered
from tunesmith.tasks.pair_file import ReadAnswer, write_pair
from tunesmith.tasks.preference.model import PreferenceSession
from tunesmith.tasks.preference.scoring import PreferenceSplit
from tunesmith.tasks.preference.training import sample_items
from tunesmith.tasks.task import Evaluation, SavedModel, SeedResult

SAMPLE_ROWS, CERTIFIED_ROWS = 4, 64
"""Rows of each split whose logits are compared after saving, and whose texts the saved tokenizer reads again."""
SHOWN_ANSWERS, SHOWN_ROWS = 12, 2
PROBLEM_TYPE = "causal_language_model"
BASE = "base_model"
"""The key of ``training`` in result.json with the model before training, by which an evaluation finds it again."""


def save_model(session: PreferenceSession, folder: Path, _thresholds: list[float] | None) -> SavedModel:
    """Saves the model, with its adapter merged if possible, and proves that the files give the same logits."""
    chosen = session.tokens.chosen.take(sample_items(session)).input_ids
    others = [
        split.rows.chosen.input_ids[i]
        for split in session.splits.values()
        for i in spread_positions(len(split.rows), SAMPLE_ROWS)
    ]
    sample = [ids.tolist() for ids in (*chosen, *others)]
    saved = save_language_model(session.model, session.tokenizer, folder, session.data.source, sample)
    return SavedModel((*saved.certificates, saved_tokens(session, folder)), saved.notes)


def saved_tokens(session: PreferenceSession, folder: Path) -> Certificate:
    """Certifies that the saved tokenizer, with its template, renders rows of every split as in training."""
    tokenizer = load_tokenizer(ModelSource(str(folder), str(folder), "folder"))
    section = session.data.recipe.preference
    expected: list[list[int]] = []
    saved: list[list[int]] = []
    for rows in session.data.all_rows.values():
        few = rows.take(spread_positions(len(rows), CERTIFIED_ROWS), rows.split)
        for reader, into in ((session.tokenizer, expected), (tokenizer, saved)):
            rendered = render_answers(reader, few, session.template, session.train.max_length, section.long_rows)
            into += [ids.tolist() for side in rendered.sides for ids in side.input_ids]
    return equal_tokens(expected, saved)


def prediction_columns(session: PreferenceSession, name: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet for one split. Rows whose prompt was not answered have no prediction."""
    split = session.splits[name]
    n, rows, source = len(split.rows), split.rows, split.source
    texts = first_texts(source)
    columns: dict[str, list[Any]] = {
        "row_id": list(rows.row_ids),
        "split": [name] * n,
        "prediction": scattered(list(outputs.texts), list(split.sample), n) if outputs.texts else [None] * n,
        "text": [texts[position][:TEXT_CHARACTERS] for position in rows.positions],
        "n_chosen_tokens": list(rows.chosen.counts),
    }
    if rows.desirable is not None:
        columns["desirable"] = list(rows.desirable)
    if rows.rejected is not None:
        columns["n_rejected_tokens"] = list(rows.rejected.counts)
    columns |= {metric: values.tolist() for metric, values in outputs.row_scores.items()}
    return columns | {key: values.tolist() for key, values in outputs.row_values.items()}


def save_files(evaluation: Evaluation, folder: RunFolder) -> None:
    """Writes the first pair token by token, the first training rows, and answers of the main split before and after training."""
    best: SeedResult = evaluation.best
    session: PreferenceSession = best.session
    name = list(session.splits)[-1]
    split, ours = session.splits[name], best.outputs[name]
    seen = [
        {"row_id": session.train.row_ids[i], "runs": supervised_runs(session.tokenizer, side.input_ids[i], side.labels[i])}
        for i in range(min(SHOWN_ROWS, len(session.train)))
        for side in session.train.sides
    ]
    answers = [
        {
            "row_id": split.rows.row_ids[row],
            "prompt": first_prompt(split.source.prompts[split.rows.positions[row]])[:TEXT_CHARACTERS],
            "reference": better_answer(split, row),
            "this run": ours.texts[i],
            UNTUNED: split.reference.generated[i].text,
        }
        for i, row in list(enumerate(split.sample))[:SHOWN_ANSWERS]
    ]
    content = {"seen": seen, "split": name, "answers": answers, "before": UNTUNED}
    write_text(folder.work / ANSWERS, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    write_pair(first_pair(session.train), session.tokenizer, folder)


def first_pair(rows: RenderedAnswers) -> dict[str, ReadAnswer]:
    """Returns both answers of the first pair; of judged answers the first good and the first bad one."""

    def read_answer(side: Answers, i: int) -> ReadAnswer:
        return ReadAnswer(rows.row_ids[i], side.input_ids[i].tolist(), (side.labels[i] != IGNORE_INDEX).tolist())

    if rows.desirable is None:
        return {name: read_answer(side, 0) for name, side in zip(("chosen", "rejected"), rows.sides, strict=True)}
    firsts = {name: rows.desirable.index(good) for name, good in (("good", True), ("bad", False)) if good in rows.desirable}
    return {name: read_answer(rows.chosen, i) for name, i in firsts.items()}


def better_answer(split: PreferenceSplit, row: int) -> str | None:
    """Returns the chosen answer of a row; of judged answers the answer if it is a good one."""
    position, source = split.rows.positions[row], split.source
    if isinstance(source, PreferencePairs):
        return source.chosen[position][-1].text
    return source.answers[position][-1].text if source.desirable[position] else None


def data_record(session: PreferenceSession) -> dict[str, Any]:
    """Returns the data record of result.json."""
    return preferences.data_record(session.data.rows) | {"problem_type": PROBLEM_TYPE}


def training_record(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the losses, the reference, the template and the tokens, for result.json."""
    session: PreferenceSession = evaluation.best.session
    losses = session.losses
    sides = session.train.sides
    return {
        "losses": [
            {"name": name, "weight": weight, "experimental": loss.experimental}
            for name, weight, loss in zip(losses.names, losses.weights, losses.losses, strict=True)
        ],
        "beta": losses.beta,
        "reference": session.reference_words,
        BASE: asdict(AdapterBase.of(session.data.source, session.objective.name)),
        "template": session.template.name,
        "template_source": session.template.source,
        "tokens": int(np.sum([len(ids) for side in sides for ids in side.input_ids])),
        "learnt_tokens": int(np.sum([side.counts for side in sides])),
        "answer_tokens": session.generation.decoding.max_new_tokens,
    }
