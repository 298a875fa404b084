"""Classification with one label or several, and regression, of single texts and of pairs.

The five functions of a task: prepare, check, fit, predict, evaluate. Which of the three problems it is stands in
``Labels.problem_type``; nothing else here depends on the task's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.load import Splits
from tunesmith.data.table import Labels
from tunesmith.events import Event, Listener
from tunesmith.losses.classification import LossFunction, class_weights, expected_first_loss, item_losses, loss_function
from tunesmith.metrics.predictions import Predictions
from tunesmith.metrics.table import compute
from tunesmith.models.encode import Encoded, encode
from tunesmith.models.inference import logits
from tunesmith.models.kernels import Kernels
from tunesmith.recipe.metric_names import direction
from tunesmith.recipe.sections import Recipe
from tunesmith.training.fit import Fit, FitPlan
from tunesmith.training.fit import fit as run_fit
from tunesmith.training.signals import StopRequest


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
    model: Any, prepared: Prepared, recipe: Recipe, kernels: Kernels, folder: Path, log: Path, metric: str, seed: int,
    request: StopRequest, listener: Listener, *, resume: bool, smoke: bool,
) -> Fit:  # fmt: skip
    """Train the model in place on the training split; it ends with the weights of its best evaluation."""
    plan = FitPlan(
        recipe, prepared.encoded["train"], prepared.pad_id, prepared.loss, prepared.expected_loss,
        measure(prepared, kernels, listener), metric, direction(metric), folder, log, kernels, seed, smoke,
    )  # fmt: skip
    return run_fit(model, plan, request, listener, resume=resume)


def measure(prepared: Prepared, kernels: Kernels, listener: Listener) -> Callable[[Any], dict[str, float]]:
    """A function that gives a model's loss and metrics on the split that steers training."""
    steering = prepared.encoded["validation"]

    def run(model: Any) -> dict[str, float]:
        outputs = logits(model, steering, prepared.pad_id, kernels)
        predictions = to_predictions(prepared.labels, steering.labels, outputs)
        values = compute(prepared.labels.problem_type, predictions)
        losses = row_losses(prepared.labels, outputs, steering.labels)
        listener(Event("note", f"validation loss {losses.mean():.4f}"))
        return {"loss": float(losses.mean()), **{name: float("nan") if value is None else value for name, value in values.items()}}

    return run


def predict(model: Any, encoded: Encoded, prepared_pad_id: int, labels: Labels, kernels: Kernels) -> tuple[Predictions, np.ndarray]:
    """Predictions for every row at the usual thresholds, and the loss of every row (N; NaN where unlabelled)."""
    outputs = logits(model, encoded, prepared_pad_id, kernels)
    losses = row_losses(labels, outputs, encoded.labels) if all(label is not None for label in encoded.labels) else np.full(len(encoded), np.nan)
    return to_predictions(labels, encoded.labels, outputs), losses


def row_losses(labels: Labels, outputs: np.ndarray, targets: list[Any]) -> np.ndarray:
    """The unweighted, unsmoothed loss of every row: (N) float64."""
    import torch

    per_item = item_losses(labels.problem_type, torch.from_numpy(outputs).double(), torch.as_tensor(np.asarray(targets)))
    per_row = per_item.mean(dim=1) if per_item.dim() == 2 else per_item
    return per_row.numpy()


def to_predictions(labels: Labels, targets: list[Any], outputs: np.ndarray) -> Predictions:
    """Logits (N, K) as probabilities or scores, and the decisions at the usual thresholds."""
    scores = to_scores(labels.problem_type, outputs)
    known = np.asarray(targets) if targets and targets[0] is not None else blank_targets(labels, len(outputs))
    return Predictions(known, scores, decide(labels.problem_type, scores))


def to_scores(problem_type: str, outputs: np.ndarray) -> np.ndarray:
    """(N, K) probabilities in float64, or (N) numbers for a regression."""
    values = outputs.astype(np.float64)
    if problem_type == "regression":
        return values[:, 0]
    if problem_type == "multi_label_classification":
        return 1.0 / (1.0 + np.exp(-values))
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    normed: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return normed


def decide(problem_type: str, scores: np.ndarray, thresholds: np.ndarray | None = None) -> np.ndarray:
    """Class ids (N), 0/1 decisions (N, K), or the scores themselves for a regression.

    Args:
        thresholds: (1) for a binary task: the smallest p(class 1) that decides for class 1; (K) for several labels.
    """
    if problem_type == "regression":
        return scores
    if problem_type == "multi_label_classification":
        return (scores >= (0.5 if thresholds is None else thresholds)).astype(np.int64)
    if thresholds is not None and scores.shape[1] == 2:
        return (scores[:, 1] >= thresholds[0]).astype(np.int64)
    return scores.argmax(axis=1)


def blank_targets(labels: Labels, n: int) -> np.ndarray:
    """Targets for unlabelled rows; metrics are never computed from them."""
    return np.zeros((n, labels.n) if labels.problem_type == "multi_label_classification" else n, dtype=np.int64)
