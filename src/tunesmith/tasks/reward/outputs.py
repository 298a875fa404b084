"""Writes the model, the prediction columns, and one pair token by token, of a reward model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.chat.rows import first_prompt
from tunesmith.data.preferences import load as preferences
from tunesmith.evaluation.baselines.preferences import answer_text
from tunesmith.evaluation.outputs import Outputs
from tunesmith.evaluation.preferences import REWARD_DIFFERENCE, accuracy_by_gap
from tunesmith.models.adapters.save_classifier import TrainedHead, save_tokenizer
from tunesmith.models.equivalence import equal_tokens, spread_by_length
from tunesmith.models.load import load_tokenizer
from tunesmith.models.reward.reading import read_pairs
from tunesmith.models.reward.saved import RewardConfigFile
from tunesmith.models.source import ModelSource
from tunesmith.report.words import REWARD
from tunesmith.results import TEXT_CHARACTERS, Certificate
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.pair_file import ReadAnswer, write_pair
from tunesmith.tasks.reward.judged import answer_columns
from tunesmith.tasks.reward.model import RewardSession
from tunesmith.tasks.reward.shifted import shifted_record
from tunesmith.tasks.task import Evaluation, SavedModel

CERTIFIED_PAIRS = 32
"""Pairs of each split that the saved tokenizer reads again."""


def save_model(session: RewardSession, folder: Path, _thresholds: list[float] | None) -> SavedModel:
    """Saves the model and proves that the files give the same rewards, see ``TrainedHead.save``."""
    samples = [side for pairs in session.pairs.values() for side in (pairs.chosen, pairs.rejected)]
    _, proofs = TrainedHead(session.model, session.data.source, samples, session.pad_id).save(folder)
    save_tokenizer(session.loaded.tokenizer, session.reader.max_length, folder)
    RewardConfigFile.of(session.reader).save(folder)
    return SavedModel((*proofs, saved_tokens(session, folder)))


def saved_tokens(session: RewardSession, folder: Path) -> Certificate:
    """Certifies that the saved tokenizer reads pairs of every split as in training."""
    tokenizer = load_tokenizer(ModelSource(str(folder), str(folder), "folder"))
    reader = RewardConfigFile.load(folder).reader(tokenizer)
    expected: list[Any] = []
    saved: list[Any] = []
    for name, rows in session.data.pairs.named().items():
        positions = spread_by_length(session.pairs[name].lengths, CERTIFIED_PAIRS)
        few, again = session.pairs[name].take(positions), read_pairs(reader, rows.take(positions.tolist(), name))
        expected += [*few.chosen.input_ids, *few.rejected.input_ids]
        saved += [*again.chosen.input_ids, *again.rejected.input_ids]
    return equal_tokens(expected, saved)


def prediction_columns(session: RewardSession, split: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet for one split."""
    if split not in session.data.pairs.named():
        return answer_columns(session.data.judged[split.split()[0]], split, outputs)
    rows, losses = session.data.pairs.named()[split], outputs.losses
    assert losses is not None
    sides = [[answer_text(answer)[:TEXT_CHARACTERS] for answer in side] for side in (rows.chosen, rows.rejected)]
    right = outputs.row_scores["accuracy"] > 0.5
    columns: dict[str, list[Any]] = {
        "row_id": list(rows.row_ids),
        "split": [split] * len(rows),
        "label": sides[0],
        "prediction": [chosen if won else rejected for chosen, rejected, won in zip(*sides, right, strict=True)],
        "accuracy": outputs.row_scores["accuracy"].tolist(),
        REWARD_DIFFERENCE: outputs.row_values[REWARD_DIFFERENCE].tolist(),
        "loss": losses.tolist(),
        "text": [first_prompt(prompt)[:TEXT_CHARACTERS] if prompt else "" for prompt in rows.prompts],
        "rejected": sides[1],
    }
    if rows.gaps is not None:
        columns["gap"] = list(rows.gaps)
    return columns


def save_files(evaluation: Evaluation, folder: RunFolder) -> None:
    """Writes the first training pair token by token, as the model reads it."""
    session: RewardSession = evaluation.best.session
    pairs = session.pairs["train"]
    sides = {"chosen": pairs.chosen, "rejected": pairs.rejected}
    answers = {name: ReadAnswer(side.row_ids[0], side.input_ids[0]) for name, side in sides.items()}
    write_pair(answers, session.loaded.tokenizer, folder)


def data_record(session: RewardSession) -> dict[str, Any]:
    """Returns the data record of result.json."""
    return {**preferences.data_record(session.data.pairs), "problem_type": REWARD}


def training_record(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the spread of the rewards, and the accuracy by the gap of the annotators' scores where there are scores."""
    session: RewardSession = evaluation.best.session
    split, rows = list(session.data.evaluation_rows.items())[-1]
    outputs = evaluation.best.outputs[split]
    differences = outputs.row_values[REWARD_DIFFERENCE]
    record: dict[str, Any] = {REWARD_DIFFERENCE: {"mean": float(differences.mean()), "std": float(differences.std())}}
    if rows.gaps is not None:
        record["accuracy_by_gap"] = accuracy_by_gap(outputs.row_scores["accuracy"], np.array(rows.gaps))
    if evaluation.thresholds is not None:
        record["threshold"] = evaluation.thresholds[0]
    sessions = [evaluation.best.session, *(seed.session for seed in evaluation.seeds if seed is not evaluation.best)]
    return {"reward": record | shifted_record(sessions)}
