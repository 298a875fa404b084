"""Classification with one label or several, and regression, of single texts and of pairs.

The five functions of a task: prepare, check, fit, predict, evaluate. Which of the three problems it is stands in
``Labels.problem_type``; nothing else here depends on the task's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainingArguments

from tunesmith.data.labelled.load import Splits
from tunesmith.data.table import Labels
from tunesmith.errors import NonFinite
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, SINGLE, Predictions, from_scores
from tunesmith.evaluation.metrics.table import compute
from tunesmith.models.encode import Encoded, encode, used_token_ids
from tunesmith.models.fast.path import FastPath
from tunesmith.models.inference import logits
from tunesmith.progress import Listener
from tunesmith.recipe.metric_names import higher_is_better
from tunesmith.recipe.sections import Recipe
from tunesmith.training.epoch_logits import room_for
from tunesmith.training.fit import Fit, FitPlan, MakeTrainer
from tunesmith.training.fit import fit as run_fit
from tunesmith.training.losses.classification import LossFunction, class_weights, expected_first_loss, item_losses, loss_function
from tunesmith.training.schedule import Schedule
from tunesmith.training.signals import StopRequest
from tunesmith.training.trainers.rows import EncodedTrainer

Measure = Callable[[Any], dict[str, float]]
"""A model to metric name -> value, ``loss`` included."""


@dataclass(frozen=True)
class Prepared:
    """The tokenised splits and everything the loss needs.

    Attributes:
        encoded: split name -> token ids.
        expected_loss: the loss of a model that knows nothing.
    """

    labels: Labels
    encoded: dict[str, Encoded]
    loss: LossFunction
    expected_loss: float
    max_length: int
    pad_id: int


def prepare(recipe: Recipe, splits: Splits, tokenizer: Any, max_length: int) -> Prepared:
    """Tokenise every split and build the loss.

    Raises:
        RecipeError: class weights that do not fit the classes.
    """
    present = {s.split: s for s in (splits.train, splits.validation, splits.test) if s is not None}
    encoded = {name: encode(tokenizer, examples, max_length) for name, examples in present.items()}
    weights = class_weights(recipe.train.class_weights, splits.labels, splits.train.labels)
    loss = loss_function(splits.labels, weights, recipe.train.label_smoothing_factor)
    expected = expected_first_loss(splits.labels, splits.train.labels)
    return Prepared(splits.labels, encoded, loss, expected, max_length, tokenizer.pad_token_id)


def fit(
    model: Any, prepared: Prepared, recipe: Recipe, kernels: FastPath, folder: Path, log: Path, metric: str, seed: int,
    request: StopRequest, listener: Listener, *, resume: bool, smoke: bool,
) -> Fit:  # fmt: skip
    """Train the model in place on the training split; it ends with the weights of its best evaluation."""
    plan = FitPlan(
        recipe, len(prepared.encoded["train"]), trainer_of(model, prepared, kernels, measure(prepared, kernels)), metric,
        higher_is_better(metric), folder, log, kernels, seed, reached=used_token_ids(prepared.encoded["train"], prepared.pad_id),
        smoke=smoke,
    )  # fmt: skip
    return run_fit(model, plan, request, listener, resume=resume)


def trainer_of(model: Any, prepared: Prepared, kernels: FastPath, measure: Measure) -> MakeTrainer:
    """What makes the trainer of a model on the training rows; ``measure`` steers it."""
    train, labels = prepared.encoded["train"], prepared.labels
    n_classes = labels.n if labels.problem_type == SINGLE else 0

    def make(arguments: TrainingArguments, schedule: Schedule) -> EncodedTrainer:
        return EncodedTrainer(
            model=model, args=arguments, encoded=train, pad_id=prepared.pad_id, kernels=kernels, loss=prepared.loss,
            measure=measure, expected_loss=prepared.expected_loss, steps_per_epoch=schedule.steps_per_epoch,
            epoch_logits=room_for(schedule.total_steps // schedule.steps_per_epoch, len(train), n_classes),
        )  # fmt: skip

    return make


def measure(prepared: Prepared, kernels: FastPath) -> Measure:
    """A function that gives a model's loss and metrics on the split that steers training; undefined ones are NaN."""
    steering = prepared.encoded["validation"]

    def run(model: Any) -> dict[str, float]:
        predictions, losses = predict(model, steering, prepared.pad_id, prepared.labels, kernels)
        values = compute(prepared.labels.problem_type, predictions)
        return {"loss": float(losses.mean()), **{name: math.nan if value is None else value for name, value in values.items()}}

    return run


def predict(model: Any, encoded: Encoded, pad_id: int, labels: Labels, kernels: FastPath) -> tuple[Predictions, np.ndarray]:
    """Predictions for every labelled row at the usual thresholds, and the loss of every row (N).

    Raises:
        NonFinite: the model gives numbers that are not finite.
    """
    outputs = logits(model, encoded, pad_id, kernels)
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(bad):
        rows = ", ".join(str(encoded.row_ids[i]) for i in bad[:10].tolist())
        raise NonFinite(
            f"The model gives outputs that are not finite for {len(bad)} rows of {encoded.split} (row_id {rows}). "
            "Lower train.learning_rate."
        )
    predictions = from_scores(
        labels.problem_type, encoded.labels, to_scores(labels.problem_type, outputs), row_ids=encoded.row_ids
    )
    return predictions, row_losses(labels, outputs, encoded.labels)


def row_losses(labels: Labels, outputs: np.ndarray, targets: list[Any]) -> np.ndarray:
    """The unweighted, unsmoothed loss of every row: (N) float64."""
    per_item = item_losses(labels, torch.from_numpy(outputs).double(), torch.as_tensor(np.asarray(targets)))
    per_row: np.ndarray = (per_item.mean(dim=1) if per_item.dim() == 2 else per_item).numpy()
    return per_row


def to_scores(problem_type: str, outputs: np.ndarray) -> np.ndarray:
    """Logits (N, K) as probabilities (N, K) in float64, or as numbers (N) for a regression."""
    values = outputs.astype(np.float64)
    if problem_type == REGRESSION:
        return values[:, 0]
    if problem_type == MULTI:
        return 1.0 / (1.0 + np.exp(-values))
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    normed: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return normed
