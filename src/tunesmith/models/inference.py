"""Runs models over whole splits: rows sorted by length, little padding, outputs in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.errors import first_line
from tunesmith.models.encode import Encoded
from tunesmith.models.fast.first_token import first_token_only
from tunesmith.models.fast.path import FastPath
from tunesmith.models.many_processes import Outputs, in_processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS_PER_BATCH = 4096
MOST_LOGITS = 2**26
"""Logits in memory at once, in training, evaluation and scoring: 256 MB in fp32, and a few times that with their copies (softmax,
in training also gradients). More are computed in parts: in training that takes 15 % more time of the output layer and a quarter
of its memory (docs/experiments.md)."""
Batch = dict[str, torch.Tensor]


def batches_by_length(lengths: np.ndarray, max_rows: int, max_tokens: int = TOKENS_PER_BATCH) -> Iterator[np.ndarray]:
    """Yields positions in batches of similar length, each of at most ``max_rows`` rows and ``max_tokens`` padded tokens.

    A single row longer than ``max_tokens`` is a batch of its own. The longest come first, so that a lack of memory shows at once.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, min(max_rows, max_tokens // max(1, int(lengths[order[start]]))))
        yield order[start : start + rows]
        start += rows


def pad_batch(encoded: Encoded, positions: np.ndarray, pad_id: int) -> Batch:
    """Pads rows on the right. Returns ``input_ids``, ``attention_mask`` and ``token_type_ids`` if the rows have them: (B, T)."""
    width = int(encoded.lengths[positions].max())
    ids = np.full((len(positions), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    types = None if encoded.token_type_ids is None else np.zeros_like(ids)
    for row, position in enumerate(positions.tolist()):
        tokens = encoded.input_ids[position]
        ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        if types is not None and encoded.token_type_ids is not None:
            types[row, : len(tokens)] = encoded.token_type_ids[position]
    batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if types is not None:
        batch["token_type_ids"] = torch.from_numpy(types)
    return batch


def no_progress(_done: int) -> None:
    """Does nothing; stands for a progress callback."""


def autocast(precision: str, device_type: str) -> AbstractContextManager[Any]:
    """Returns the context for forward passes in this precision: bf16 by autocast, fp32 without."""
    return torch.autocast(device_type, torch.bfloat16) if precision == "bf16" else nullcontext()


@contextmanager
def attention_in_fp32(model: torch.nn.Module, precision: str = "fp32") -> Iterator[None]:
    """Computes by SDPA for a while, in fp32, where the model has flash attention: that has no fp32."""
    configs: list[Any] = [module.config for module in model.modules() if "flash" in str(attention_of(module))]
    before = [config._attn_implementation for config in configs]
    try:
        for config in configs if precision == "fp32" else ():
            config._attn_implementation = "sdpa"
        yield
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name


def attention_of(module: torch.nn.Module) -> str | None:
    """Returns the attention in the config of a module of transformers; None for others."""
    return getattr(getattr(module, "config", None), "_attn_implementation", None)


@contextmanager
def evaluation_mode(model: torch.nn.Module, precision: str) -> Iterator[torch.device]:
    """Disables gradients and dropout, sets the precision, and yields the device; modules get their modes back afterwards."""
    modes, device = [(module, module.training) for module in model.modules()], next(model.parameters()).device
    model.eval()
    try:
        with torch.inference_mode(), autocast(precision, device.type), attention_in_fp32(model, precision):
            yield device
    finally:
        for module, mode in modes:
            module.training = mode


def supported_path(model: torch.nn.Module, fast_path: FastPath) -> FastPath:
    """Returns the fast path in fp32, with the reason, if the model cannot be computed in bf16 by autocast.

    Some architectures write results of bf16 into buffers of fp32, which torch refuses.
    """
    if fast_path.precision != "bf16":
        return fast_path
    try:
        with evaluation_mode(model, fast_path.precision) as device:
            model(input_ids=torch.ones((1, 4), dtype=torch.long, device=device))
    except RuntimeError as error:
        why = f"this model cannot be computed in bf16: {first_line(error)}"
        return replace(fast_path, precision="fp32", reasons={**fast_path.reasons, "precision": why})
    return fast_path


@contextmanager
def forward_passes(
    model: PreTrainedModel,
    collect: Callable[[Any, torch.Tensor], torch.Tensor],
    *,
    precision: str = "fp32",
    call: Callable[[Any, Batch], Any] = lambda model, batch: model(**batch),
) -> Iterator[Callable[[Mapping[str, Any]], np.ndarray]]:
    """Yields the function that computes ``collect(outputs, attention_mask)`` of a padded batch (B, T) of arrays: (B, D) float32.

    Module modes and random generators are unchanged afterwards.
    """
    with evaluation_mode(model, precision) as device:

        def forward(batch: Mapping[str, Any]) -> np.ndarray:
            placed = {name: torch.as_tensor(array).to(device) for name, array in batch.items()}
            outputs: np.ndarray = collect(call(model, placed), placed["attention_mask"]).float().cpu().numpy()
            return outputs

        yield forward


def in_row_order(
    encoded: Encoded, pad_id: int, outputs_of: Outputs, max_rows: int = 64, progress: Callable[[int], None] = no_progress
) -> np.ndarray:
    """Computes the outputs of all rows in batches of similar length, float32, in the order of the rows: (N, D).

    Args:
        outputs_of: computes the batches, in this process or in several; the batches are the same.
        progress: called with the number of rows done.
    """
    done, values = 0, np.zeros((len(encoded), 0), dtype=np.float32)
    batches = list(batches_by_length(encoded.lengths, max_rows))
    padded = ({name: tensor.numpy() for name, tensor in pad_batch(encoded, positions, pad_id).items()} for positions in batches)
    for number, outputs in outputs_of(padded):
        if not values.shape[1]:
            values = np.zeros((len(encoded), outputs.shape[1]), dtype=np.float32)
        values[batches[number]] = outputs
        done += len(outputs)
        progress(done)
    return values


def run_model(
    model: PreTrainedModel,
    encoded: Encoded,
    pad_id: int,
    collect: Callable[[Any, torch.Tensor], torch.Tensor],
    *,
    max_rows: int = 64,
    progress: Callable[[int], None] = no_progress,
    **forward: Any,
) -> np.ndarray:
    """Returns ``collect(outputs, attention_mask)`` of every row, computed in this process: (N, D); see ``in_row_order``.

    Args:
        forward: ``precision`` and ``call`` of ``forward_passes``.
    """
    with in_processes(1, partial(forward_passes, model, collect, **forward)) as outputs_of:
        return in_row_order(encoded, pad_id, outputs_of, max_rows, progress)


@contextmanager
def logit_passes(model: PreTrainedModel, fast_path: FastPath) -> Iterator[Callable[[Mapping[str, Any]], np.ndarray]]:
    """Yields the function that computes the logits of a padded batch on the fast path: (B, K)."""
    with (
        first_token_only(model, fast_path.first_token),
        forward_passes(model, select_logits, precision=fast_path.precision) as forward,
    ):
        yield forward


def logits(model: PreTrainedModel, encoded: Encoded, pad_id: int, fast_path: FastPath, max_rows: int = 64) -> np.ndarray:
    """Returns the logits of every row: (N, K) float32."""
    with in_processes(1, partial(logit_passes, model, fast_path)) as outputs_of:
        return in_row_order(encoded, pad_id, outputs_of, max_rows)


def select_logits(outputs: Any, _mask: torch.Tensor) -> torch.Tensor:
    """Takes the logits from a classifier's outputs, for ``run_model``."""
    values: torch.Tensor = outputs["logits"]
    return values


def pool_mean(outputs: Any, mask: torch.Tensor) -> torch.Tensor:
    """Averages the last hidden states (B, T, D) over the tokens of each row: (B, D)."""
    states, weights = outputs["last_hidden_state"].float(), mask.unsqueeze(-1).float()
    pooled: torch.Tensor = (states * weights).sum(1) / weights.sum(1)
    return pooled


def mean_embeddings(body: PreTrainedModel, encoded: Encoded, pad_id: int, fast_path: FastPath, max_rows: int = 64) -> np.ndarray:
    """Returns the mean of the last hidden states over the tokens of each row: (N, D) float32."""
    return run_model(body, encoded, pad_id, pool_mean, max_rows=max_rows, precision=fast_path.precision)


def release(model: torch.nn.Module) -> None:
    """Frees the weights of a model that other processes compute with; its config and its modules stay."""
    model.to("meta")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
