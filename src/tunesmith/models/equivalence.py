"""Certificates that two ways to compute the same logits agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tunesmith.models.encode import Encoded
from tunesmith.models.inference import run_model, select_logits
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
