"""Computes the loss of each problem type, as a mean over the rows of a whole accumulated batch.

Upstream's models take the mean per micro-batch and have neither class weights nor, for several labels, smoothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.table import Labels
from tunesmith.errors import RecipeError

LossFunction = Callable[..., torch.Tensor]


def loss_function(labels: Labels, weights: torch.Tensor | None, smoothing: float) -> LossFunction:
    """Builds a function ``(outputs, labels, num_items_in_batch) -> loss`` for the trainer.

    The sum over the micro-batch is divided by the items of the whole accumulated batch, so that accumulating
    1 x 8 equals 8 x 1 exactly. Class weights have mean 1 over the training rows.
    """

    def compute(
        outputs: Mapping[str, torch.Tensor], targets: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        per_item = item_losses(labels, outputs["logits"].float(), targets, weights, smoothing)
        count = per_item.numel() if num_items_in_batch is None else num_items_in_batch
        return per_item.sum() / count

    return compute


def item_losses(
    labels: Labels, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Computes the loss of every item: (N), with several labels (N, K). That of a regression is in units of its scale squared.

    Args:
        logits: (N, K).
        targets: (N) class ids, (N, K) zeros and ones, or (N) numbers.
        weights: (K) or None.
    """
    if labels.problem_type == REGRESSION:
        numbers = logits.squeeze(-1)
        return F.mse_loss(numbers / labels.scale, targets.to(numbers.dtype) / labels.scale, reduction="none")
    if labels.problem_type == "multi_label_classification":
        smooth = targets.float() * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
    return F.cross_entropy(logits, targets.long(), weight=weights, label_smoothing=smoothing, reduction="none")


def class_weights(requested: str | dict[str, float], labels: Labels, targets: list[Any]) -> torch.Tensor | None:
    """Computes the weights (K) of the classes; None for equal ones.

    ``balanced``: n / (K n_c) for one label; negatives / positives per class for several labels.
    """
    if requested == "none" or labels.problem_type == REGRESSION:
        return None
    table = np.asarray(targets)
    if isinstance(requested, dict):
        return named_weights(requested, labels, table)
    if labels.problem_type == "multi_label_classification":
        positives = table.sum(axis=0)
        return torch.tensor((len(table) - positives) / np.maximum(positives, 1), dtype=torch.float32)
    counts = np.bincount(table, minlength=labels.n)
    return torch.tensor(len(table) / (labels.n * np.maximum(counts, 1)), dtype=torch.float32)


def class_weight_array(requested: str | dict[str, float], labels: Labels, targets: list[Any]) -> np.ndarray | None:
    """Computes the weights as ``class_weights`` does, as an array (K) for linear models."""
    weights = class_weights(requested, labels, targets)
    return None if weights is None else weights.double().numpy()


def named_weights(requested: dict[str, float], labels: Labels, table: np.ndarray) -> torch.Tensor:
    unknown = sorted(set(requested) - set(labels.names))
    missing = sorted(set(labels.names) - set(requested))
    if unknown or missing:
        message = f"no class is called {unknown[0]!r}" if unknown else f"the class {missing[0]!r} has no weight"
        raise RecipeError.one("train.class_weights", f"{message}.", f"Classes: {', '.join(labels.names)}.")
    weights = np.array([requested[name] for name in labels.names], dtype=np.float64)
    if labels.problem_type == "single_label_classification":
        weights = weights / weights[table].mean()
    return torch.tensor(weights, dtype=torch.float32)


def expected_first_loss(labels: Labels, targets: list[Any]) -> float:
    """Computes the loss at chance level: ln K, ln 2, or the variance of the targets around their mean."""
    if labels.problem_type == REGRESSION:
        return float(np.mean(np.square((np.asarray(targets, dtype=np.float64) - labels.mean) / labels.scale)))
    return float(np.log(2 if labels.problem_type == "multi_label_classification" else labels.n))
