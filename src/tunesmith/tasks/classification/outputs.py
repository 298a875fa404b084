"""Writes the model, the prediction columns and the training logits of a classifier or regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled import load as labelled
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.table import Labels, file_columns
from tunesmith.evaluation.outputs import Outputs
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.adapters.save_classifier import TrainedHead, save_tokenizer
from tunesmith.models.encode import encode
from tunesmith.models.equivalence import equal_tokens, fp32_logits, spread_by_length
from tunesmith.results import TEXT_CHARACTERS, Certificate
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.classification.model import LabelledSession
from tunesmith.tasks.classification.predictor import PredictorConfig
from tunesmith.tasks.task import Evaluation, SavedModel
from tunesmith.training.epoch_logits import save_epoch_logits

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAX_ROWS = 32
"""Rows of a batch where two models are compared."""
CERTIFIED_TEXTS = 64
"""Texts of each split that the saved tokenizer reads again."""


def save_model(session: LabelledSession, folder: Path, thresholds: list[float] | None) -> SavedModel:
    """Saves the model and proves that the files give the same logits, see ``TrainedHead.save``."""
    tokens, columns = session.tokens, session.data.splits.columns
    model, proofs = trained_head(session).save(folder)
    save_tokenizer(session.loaded.tokenizer, tokens.max_length, folder)
    parts = {"text": columns.text, "pair": columns.pair, "label": list(columns.label)}
    data = session.data.recipe.data
    reading = data.label_separator, data.template, data.labels
    PredictorConfig(tokens.labels, tokens.max_length, thresholds, parts, *reading).save(folder)
    return SavedModel((*proofs, saved_tokens(session, folder)), merged_difference(session, model))


def trained_head(session: LabelledSession) -> TrainedHead:
    """Returns the session's model with the rows by which its files are proven."""
    return TrainedHead(session.model, session.data.source, list(session.tokens.encoded.values()), session.tokens.pad_id)


def as_saved(session: LabelledSession) -> LabelledSession:
    """Returns the session with the model that is saved and measured."""
    model = trained_head(session).unquantised()
    return session if model is session.model else replace(session, model=model)


def merged_difference(session: LabelledSession, saved: PreTrainedModel) -> tuple[str, ...]:
    """Compares a model that was trained in few bits with the saved one, which is not, on the evaluated rows; else nothing."""
    kind, labels = detect_quantisation(session.model), session.tokens.labels
    if kind is None or saved is session.model:
        return ()
    split = list(session.tokens.encoded)[-1]
    rows, pad_id = session.tokens.encoded[split], session.tokens.pad_id
    there, here = (fp32_logits(model, rows, pad_id, MAX_ROWS) for model in (session.model, saved))
    note = f"the adapter was trained on weights in {kind.words} and merged into unquantised ones: a logit differs by "
    note += f"{np.abs(there - here).mean():.2g} on average"
    if labels.problem_type != REGRESSION:
        decisions = [x > 0 if labels.problem_type == MULTI else x.argmax(axis=1)[:, None] for x in (there, here)]
        n_other = int((decisions[0] != decisions[1]).any(axis=1).sum())
        note += f", and {plural(n_other, 'prediction')} of {plural(len(rows), 'row')} of {split} changed"
    return (f"{note}; the metrics are those of the saved model",)


def saved_tokens(session: LabelledSession, folder: Path) -> Certificate:
    """Certifies that the saved tokenizer reads texts of every split as in training."""
    from transformers import AutoTokenizer

    tokenizer, tokens = AutoTokenizer.from_pretrained(folder), session.tokens
    expected: list[Sequence[int]] = []
    saved: list[Sequence[int]] = []
    for split, examples in session.data.splits.named().items():
        positions = spread_by_length(tokens.encoded[split].lengths, CERTIFIED_TEXTS)
        texts = examples.take(positions.tolist(), split)
        expected += tokens.encoded[split].take(positions).input_ids
        saved += encode(tokenizer, texts, tokens.max_length, count_cut=False).input_ids
    return equal_tokens(expected, saved)


def prediction_columns(session: LabelledSession, split: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet for one split."""
    examples, labels, predictions = session.data.splits.named()[split], session.tokens.labels, outputs.predictions
    assert predictions is not None
    assert outputs.losses is not None
    columns: dict[str, list[Any]] = {
        "row_id": list(examples.row_ids),
        "split": [split] * len(examples),
        "label": label_names(predictions.labels, labels),
        "prediction": label_names(predictions.decisions, labels),
        "loss": outputs.losses.tolist(),
        "score" if labels.problem_type == REGRESSION else "pred_probs": predictions.scores.tolist(),
        "text": [text[:TEXT_CHARACTERS] for text in examples.texts],
    }
    if examples.pairs is not None:
        columns["pair"] = [text[:TEXT_CHARACTERS] for text in examples.pairs]
    if examples.ids is not None:
        columns["id"] = list(examples.ids)
    columns |= file_columns(examples)
    return columns


def label_names(values: Array, labels: Labels) -> list[Any]:
    """Converts class ids to names and 0/1 rows to lists of names; numbers stay numbers."""
    if labels.problem_type == REGRESSION:
        return [float(value) for value in values]
    if labels.problem_type == MULTI:
        return [[labels.names[i] for i in np.flatnonzero(row)] for row in values]
    return [labels.names[int(value)] for value in values]


def save_files(evaluation: Evaluation, folder: RunFolder) -> None:
    """Writes the logits of the training rows in each epoch, for a later diagnosis."""
    session: LabelledSession = evaluation.best.session
    splits = session.data.splits
    save_epoch_logits(splits.train, splits.labels, evaluation.best.fit.epoch_logits, folder.work)


def data_record(session: LabelledSession) -> dict[str, Any]:
    """Returns the data record of result.json."""
    positive, labels = session.data.positive, session.data.splits.labels
    named = {} if positive is None else {"positive_class": labels.names[positive]}
    return labelled.data_record(session.data.splits) | named


def training_record(evaluation: Evaluation) -> dict[str, Any]:
    """Returns how the head started, and the decision thresholds, for result.json."""
    session = evaluation.best.session
    assert isinstance(session, LabelledSession)
    start = {"distillation": session.distillation} if session.distillation else {}
    return {"head": session.head, **start, "thresholds": evaluation.thresholds}
