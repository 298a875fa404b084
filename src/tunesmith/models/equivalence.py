"""Certificates that two ways to compute the same logits agree, and the trial step on a few rows before training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.models.encode import Encoded
from tunesmith.models.fast.path import FastPath
from tunesmith.models.inference import autocast, pad_batch, run_model, select_logits
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RELATIVE_LIMIT = 1e-4
SMALLEST_LIMIT = 1e-6
SAMPLE_ROWS = 8


def spread_rows(encoded: Encoded, count: int = SAMPLE_ROWS) -> Encoded:
    """Selects a few rows, evenly spread from the shortest to the longest."""
    order = np.argsort(encoded.lengths, kind="stable")
    return encoded.take(order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))])


def fp32_logits(model: PreTrainedModel, encoded: Encoded, pad_id: int, max_rows: int) -> np.ndarray:
    """Returns logits in fp32, (N, K)."""
    return run_model(model, encoded, pad_id, select_logits, max_rows=max_rows)


def batch_invariance(model: PreTrainedModel, encoded: Encoded, pad_id: int) -> Certificate:
    """Certifies that a row alone has the logits of the same row in a padded batch."""
    sample = spread_rows(encoded)
    together, alone = fp32_logits(model, sample, pad_id, len(sample)), fp32_logits(model, sample, pad_id, 1)
    return certificate("a row alone equals the row in a padded batch", together, alone)


def reload_equality(model: PreTrainedModel, reloaded: PreTrainedModel, encoded: Encoded, pad_id: int, name: str) -> Certificate:
    """Certifies that a model in memory has the logits of the same model read from disk."""
    sample = spread_rows(encoded)
    ours, theirs = (fp32_logits(one, sample, pad_id, len(sample)) for one in (model, reloaded))
    return certificate(name, ours, theirs)


def certificate(name: str, ours: np.ndarray, theirs: np.ndarray, measured: str = "largest difference of a logit") -> Certificate:
    """Certifies that two arrays agree to fp32 rounding at their own scale. A difference that is not finite fails."""
    figure = float(np.abs(ours - theirs).max())
    limit = max(SMALLEST_LIMIT, RELATIVE_LIMIT * float(np.abs(ours).max()))
    return Certificate(name, bool(np.isfinite(figure) and figure <= limit), figure, limit, measured)


def longest_rows(encoded: Encoded, count: int) -> Encoded:
    """Selects the rows with the most tokens."""
    return encoded.take(np.argsort(-encoded.lengths, kind="stable")[:count])


def trial_step(
    model: PreTrainedModel, rows: Encoded, pad_id: int, loss_of: Callable[[Any, torch.Tensor], torch.Tensor], fast_path: FastPath
) -> tuple[float, list[str], list[str]]:
    """Runs one forward and backward pass on these rows; gradients are cleared and nothing is updated.

    Returns:
        The loss, the trainable parameters without a gradient, and those whose gradient is not finite.
    """
    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in pad_batch(rows, np.arange(len(rows)), pad_id).items()}
    targets = torch.tensor(rows.labels, device=device)
    model.train()
    with autocast(fast_path.precision, device.type):
        outputs = model(**batch)
    loss: Any = loss_of(outputs, targets)
    loss.backward()
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    without = [name for name, parameter in trainable if parameter.grad is None]
    bad = [name for name, parameter in trainable if parameter.grad is not None and not torch.isfinite(parameter.grad).all()]
    model.zero_grad(set_to_none=True)
    return float(loss.detach()), without, bad


def save_and_reload(
    model: PreTrainedModel, reload: Callable[[Path], PreTrainedModel], encoded: Encoded, pad_id: int, folder: Path
) -> Certificate:
    """Certifies that the files that ``save_pretrained`` writes give the same logits when read again."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        model.save_pretrained(place)
        return reload_equality(model, reload(Path(place)), encoded, pad_id, "saved equals loaded")
