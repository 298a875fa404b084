"""Computes the last hidden state of answers, by which rows unlike those of training are recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.models.encode import Encoded
from tunesmith.models.inference import run_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def last_states(model: PreTrainedModel, rows: Encoded, pad_id: int, precision: str, *, is_decoder: bool) -> np.ndarray:
    """Returns the last hidden state of each row (N, D): of a decoder at its last token, of an encoder at its first."""

    def collect(outputs: Any, mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = outputs["hidden_states"][-1]
        place = mask.sum(1) - 1 if is_decoder else torch.zeros(len(mask), dtype=torch.long, device=mask.device)
        return states[torch.arange(len(mask), device=mask.device), place]

    return run_model(
        model, rows, pad_id, collect, precision=precision, call=lambda model, batch: model(**batch, output_hidden_states=True)
    )
