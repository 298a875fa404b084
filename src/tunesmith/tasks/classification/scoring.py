"""Computes the outputs of classifiers and regressions: predictions and the loss of every row."""

from __future__ import annotations

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.table import Labels
from tunesmith.errors import NonFinite
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.outputs import Outputs
from tunesmith.models.encode import Encoded
from tunesmith.models.inference import logits
from tunesmith.tasks.classification.model import LabelledSession
from tunesmith.training.losses.classification import item_losses


def outputs(session: LabelledSession) -> dict[str, Outputs]:
    """Computes the model's predictions and losses on the evaluation splits."""
    return {name: predict(session.model, rows, session) for name, rows in session.tokens.encoded.items() if name != "train"}


def predict(model: torch.nn.Module, encoded: Encoded, session: LabelledSession) -> Outputs:
    """Computes predictions with the usual thresholds and the loss of every row. Raises NonFinite."""
    labels = session.tokens.labels
    values = logits(model, encoded, session.tokens.pad_id, session.fast_path)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        rows = ", ".join(str(encoded.row_ids[i]) for i in bad[:10].tolist())
        raise NonFinite(
            f"The model gives outputs that are not finite for {plural(len(bad), 'row')} of {encoded.split} (row_id {rows}). "
            "Lower train.learning_rate."
        )
    scores = to_scores(labels.problem_type, values)
    predictions = from_scores(labels.problem_type, encoded.labels, scores, row_ids=encoded.row_ids)
    return Outputs(labels.problem_type, predictions, row_losses(labels, values, encoded.labels))


def row_losses(labels: Labels, outputs: Array, targets: list[object]) -> Array:
    """Computes the unweighted, unsmoothed loss of every row: (N) float64."""
    per_item = item_losses(labels, torch.from_numpy(outputs).double(), torch.as_tensor(np.asarray(targets)))
    per_row: Array = (per_item.mean(dim=1) if per_item.dim() == 2 else per_item).numpy()
    return per_row


def to_scores(problem_type: str, outputs: Array) -> Array:
    """Converts logits (N, K) to probabilities (N, K) in float64, or to numbers (N) for a regression."""
    values = outputs.astype(np.float64)
    if problem_type == REGRESSION:
        return values[:, 0]
    if problem_type == MULTI:
        return 1.0 / (1.0 + np.exp(-values))
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    normed: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return normed
