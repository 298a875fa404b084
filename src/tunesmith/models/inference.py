"""Logits and embeddings of a whole split: rows sorted by length, padded little, in the order they came back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from tunesmith.models.encode import Encoded
from tunesmith.models.fast.first_token import first_token_only
from tunesmith.models.fast.path import Kernels

TOKENS_PER_BATCH = 4096


def batches_by_length(lengths: np.ndarray, max_rows: int, max_tokens: int = TOKENS_PER_BATCH) -> Iterator[np.ndarray]:
    """Positions in batches of similar length, longest first, each at most ``max_rows`` rows and ``max_tokens`` padded tokens.

    A single row longer than ``max_tokens`` makes a batch of its own. Longest first, so that a lack of memory shows at once.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, min(max_rows, max_tokens // max(1, int(lengths[order[start]]))))
        yield order[start : start + rows]
        start += rows


def padded(encoded: Encoded, positions: np.ndarray, pad_id: int, left: bool = False) -> dict[str, torch.Tensor]:
    """``input_ids``, ``attention_mask`` and, where the rows have them, ``token_type_ids``: each (B, T)."""
    width = int(encoded.lengths[positions].max())
    ids = np.full((len(positions), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    types = None if encoded.token_type_ids is None else np.zeros_like(ids)
    for row, position in enumerate(positions.tolist()):
        tokens = encoded.input_ids[position]
        place = slice(width - len(tokens), width) if left else slice(0, len(tokens))
        ids[row, place], mask[row, place] = tokens, 1
        if types is not None and encoded.token_type_ids is not None:
            types[row, place] = encoded.token_type_ids[position]
    batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if types is not None:
        batch["token_type_ids"] = torch.from_numpy(types)
    return batch


def unheard(_done: int) -> None:
    """Progress that nobody watches."""


def by_name(model: Any, batch: dict[str, torch.Tensor]) -> Any:
    """The outputs of a model that takes its tensors by their names."""
    return model(**batch)


def run_model(
    model: Any, encoded: Encoded, pad_id: int, max_rows: int, precision: str,
    collect: Callable[[Any, torch.Tensor], torch.Tensor], call: Callable[[Any, dict[str, torch.Tensor]], Any] = by_name,
    progress: Callable[[int], None] = unheard,
) -> np.ndarray:  # fmt: skip
    """``collect(outputs, attention_mask)`` of every row, float32, in the order of the rows: (N, D).

    The model is left in the mode it was found in, and no random number is drawn. ``progress`` hears the number of rows done.
    """
    was_training, device, done = model.training, next(model.parameters()).device, 0
    model.eval()
    whole = np.zeros((len(encoded), 0), dtype=np.float32)
    with torch.inference_mode(), autocast(precision, device.type):
        for positions in batches_by_length(encoded.lengths, max_rows):
            batch = {name: tensor.to(device) for name, tensor in padded(encoded, positions, pad_id).items()}
            values = collect(call(model, batch), batch["attention_mask"]).float().cpu().numpy()
            if not whole.shape[1]:
                whole = np.zeros((len(encoded), values.shape[1]), dtype=np.float32)
            whole[positions] = values
            done += len(positions)
            progress(done)
    model.train(was_training)
    return whole


def autocast(precision: str, device_type: str) -> AbstractContextManager[Any]:
    """The context in which a forward pass has that precision."""
    return torch.autocast(device_type, torch.bfloat16) if precision == "bf16" else nullcontext()


def logits(model: Any, encoded: Encoded, pad_id: int, kernels: Kernels, max_rows: int = 64) -> np.ndarray:
    """The logits of every row: (N, K) float32."""
    with first_token_only(model, kernels.first_token):
        return run_model(model, encoded, pad_id, max_rows, kernels.precision, lambda outputs, _mask: outputs["logits"])


def mean_embeddings(body: Any, encoded: Encoded, pad_id: int, kernels: Kernels, max_rows: int = 64) -> np.ndarray:
    """The mean of the last hidden states over the tokens of each row: (N, D) float32."""

    def pool(outputs: Any, mask: torch.Tensor) -> torch.Tensor:
        states, weights = outputs["last_hidden_state"].float(), mask.unsqueeze(-1).float()
        pooled: torch.Tensor = (states * weights).sum(1) / weights.sum(1)
        return pooled

    return run_model(body, encoded, pad_id, max_rows, kernels.precision, pool)
