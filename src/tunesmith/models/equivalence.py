"""What is proven on the loaded model before and after a run; every function returns a certificate or a finding of fact."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.models.encode import Encoded
from tunesmith.models.fast.path import Kernels
from tunesmith.models.inference import autocast, padded, run_model
from tunesmith.results import Certificate

RELATIVE_LIMIT = 1e-4
SMALLEST_LIMIT = 1e-6
SAMPLE_ROWS = 8


def spread_rows(encoded: Encoded, count: int = SAMPLE_ROWS) -> Encoded:
    """A few rows from the shortest to the longest."""
    order = np.argsort(encoded.lengths, kind="stable")
    return encoded.take(order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))])


def plain_logits(model: Any, encoded: Encoded, pad_id: int, max_rows: int) -> np.ndarray:
    """Logits in fp32, (N, K)."""
    return run_model(model, encoded, pad_id, max_rows, "fp32", lambda outputs, _mask: outputs["logits"])


def batch_invariance(model: Any, encoded: Encoded, pad_id: int) -> Certificate:
    """The largest difference of a logit between a row alone and the same row in a padded batch."""
    sample = spread_rows(encoded)
    together, alone = plain_logits(model, sample, pad_id, len(sample)), plain_logits(model, sample, pad_id, 1)
    return certificate("a row alone equals the row in a padded batch", together, alone)


def reload_equality(model: Any, reloaded: Any, encoded: Encoded, pad_id: int, name: str) -> Certificate:
    """The largest difference of a logit between a model in memory and the same model read from disk."""
    sample = spread_rows(encoded)
    return certificate(
        name, plain_logits(model, sample, pad_id, len(sample)), plain_logits(reloaded, sample, pad_id, len(sample))
    )


def certificate(name: str, ours: np.ndarray, theirs: np.ndarray, measured: str = "largest difference of a logit") -> Certificate:
    """The certificate that two arrays agree to fp32 rounding at their own scale; one that is not finite fails."""
    figure = float(np.abs(ours - theirs).max())
    limit = max(SMALLEST_LIMIT, RELATIVE_LIMIT * float(np.abs(ours).max()))
    return Certificate(name, bool(np.isfinite(figure) and figure <= limit), figure, limit, measured)


def longest_rows(encoded: Encoded, count: int) -> Encoded:
    """The rows with the most tokens."""
    return encoded.take(np.argsort(-encoded.lengths, kind="stable")[:count])


def trial_step(model: Any, rows: Encoded, pad_id: int, loss_of: Any, kernels: Kernels) -> tuple[float, list[str], list[str]]:
    """One forward and backward pass on these rows: the loss, and the trainable parameters whose gradient is
    missing, or not finite. Gradients are cleared and nothing is updated.
    """
    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in padded(rows, np.arange(len(rows)), pad_id).items()}
    targets = torch.tensor(rows.labels, device=device)
    model.train()
    with autocast(kernels.precision, device.type):
        outputs = model(**batch)
    loss = loss_of(outputs, targets)
    loss.backward()
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    without = [name for name, parameter in named if parameter.grad is None]
    bad = [name for name, parameter in named if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())]
    model.zero_grad(set_to_none=True)
    return float(loss.detach()), without, bad


def save_and_reload(model: Any, reload: Any, encoded: Encoded, pad_id: int, folder: Path) -> Certificate:
    """The certificate that what ``save_pretrained`` writes gives the same logits when read again."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        model.save_pretrained(place)
        return reload_equality(model, reload(Path(place)), encoded, pad_id, "saved equals loaded")
