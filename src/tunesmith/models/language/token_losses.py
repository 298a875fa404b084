"""Computes the loss of every row as a sum over its tokens and their number, which do not depend on the batch.

A mean over batches depends on the batches. Here each supervised token has a loss, and the row keeps their sum.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.evaluation.outputs import TokenLosses
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.inference import MOST_LOGITS, TOKENS_PER_BATCH, batches_by_length, evaluation_mode, no_progress
from tunesmith.models.language.context_length import check_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Rows = Sequence[np.ndarray]


def token_losses(
    model: PreTrainedModel,
    input_ids: Rows,
    labels: Rows,
    pad_id: int,
    precision: str = "fp32",
    max_tokens: int = TOKENS_PER_BATCH,
    *,
    max_rows: int = 64,
    masked: bool = False,
    left: bool = False,
    progress: Callable[[int], None] = no_progress,
) -> TokenLosses:
    """Computes the losses of every row under a causal model, or with ``masked`` a masked one, in the order of the rows.

    Args:
        labels: for each token its label, or -100 for tokens without a loss. For a causal model they are aligned with their own
            tokens and are shifted here: the first token of a row has no context and is never counted.
        left: pad on the left, as generation does; for causal models.
        progress: called with the number of rows done.
    """
    if masked and left:
        raise ValueError("rows of a masked model are padded on the right")
    targets = [row if masked else np.append(row[1:], IGNORE_INDEX) for row in labels]
    counts = np.array([np.count_nonzero(row != IGNORE_INDEX) for row in targets], dtype=np.int64)
    sums, supervised = np.zeros(len(targets)), np.flatnonzero(counts)
    # Tokens after the last supervised one change nothing for a causal model, and are not read.
    lasts = [len(targets[row]) - 1 if masked else np.flatnonzero(targets[row] != IGNORE_INDEX)[-1] for row in supervised]
    widths = np.array(lasts, dtype=np.int64) + 1
    check_length(model.config, int(widths.max(initial=0)), "the longest row")
    done = len(targets) - len(supervised)
    with evaluation_mode(model, precision) as device:
        for batch in batches_by_length(widths, max_rows, max_tokens):
            rows, sizes = supervised[batch], widths[batch]
            ids = pad_rows([input_ids[row][:size] for row, size in zip(rows, sizes, strict=True)], pad_id, left)
            labelled = pad_rows([targets[row][:size] for row, size in zip(rows, sizes, strict=True)], IGNORE_INDEX, left)
            inputs = model_inputs(model, ids, sizes, left=left, masked=masked)
            losses, row_index = supervised_losses(model, move_to(device, inputs), labelled.to(device))
            sums[rows] = np.bincount(row_index, losses, minlength=len(rows))
            done += len(rows)
            progress(done)
    return TokenLosses(sums, counts)


def pad_rows(rows: Rows | Sequence[Sequence[int]], fill: int, left: bool = False) -> torch.Tensor:
    """Pads rows to the longest of them: (B, T) int64."""
    width = max(len(row) for row in rows)
    padded = np.full((len(rows), width), fill, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, slice(width - len(row), None) if left else slice(len(row))] = np.asarray(row)
    return torch.from_numpy(padded)


def model_inputs(model: PreTrainedModel, ids: torch.Tensor, lengths: np.ndarray, *, left: bool, masked: bool) -> dict[str, Any]:
    """Builds the arguments of the forward pass for padded rows: mask, positions for left-padded rows, and no cache."""
    places = torch.arange(ids.shape[1])[None]
    sizes = torch.from_numpy(np.asarray(lengths, dtype=np.int64))[:, None]
    mask = (places >= ids.shape[1] - sizes if left else places < sizes).long()
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if left and accepts_positions(model):
        inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return inputs if masked else inputs | {"use_cache": False}


def accepts_positions(model: PreTrainedModel) -> bool:
    """Returns True if the model itself, under any adapter, takes ``position_ids``."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "position_ids" in inspect.signature(inner.forward).parameters


def move_to(device: torch.device, inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}


def supervised_losses(model: PreTrainedModel, inputs: dict[str, Any], targets: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Returns the loss at each supervised position, (n) float64 in nats, and its row (n); ``targets`` (B, T): tokens or -100."""
    is_supervised = targets != IGNORE_INDEX
    remaining, losses = targets[is_supervised], []
    for logits in logits_at(model, inputs, is_supervised):
        part, remaining = remaining[: len(logits)], remaining[len(logits) :]
        losses.append(torch.nn.functional.cross_entropy(logits.float(), part, reduction="none"))
    rows = is_supervised.nonzero()[:, 0]
    return torch.cat(losses).double().cpu().numpy(), rows.cpu().numpy()


def logits_at(model: PreTrainedModel, inputs: dict[str, Any], selected: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yields the logits (n, V) at the selected positions (B, T), row by row, in parts of at most ``MOST_LOGITS`` values.

    The model runs with an output layer that gets one position of each row, and the layer is applied to the hidden states of the
    selected positions afterwards. If that does not give the model's own logits at that position (they are scaled or capped after
    the layer), the model runs once for each part, and its output layer gets the positions of that part.
    """
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    width = selected.shape[1]
    if head is None:
        yield model(**inputs).logits[:, -width:][selected]
        return
    states, last = run_to_head(model, head, inputs)
    size = max(1, MOST_LOGITS // last.shape[-1])
    if torch.equal(head(states[:, -1:]), last):
        yield from (head(part) for part in torch.split(states[:, -width:][selected], size))
        return
    for positions in torch.split(selected.flatten().nonzero()[:, 0], size):
        # Hidden states (1, n, H) at positions of the flattened batch, without an adapter's leading virtual tokens.
        with edit_head_inputs(head, lambda states, at=positions: states[:, -width:].flatten(0, 1)[at][None]):  # type: ignore[misc]
            logits = model(**inputs).logits[0]
        yield logits


def run_to_head(model: PreTrainedModel, head: torch.nn.Module, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the output layer's inputs (B, T, H), virtual tokens included, and the last position's logits (B, 1, V)."""
    with edit_head_inputs(head, lambda states: states[:, -1:]) as original:
        last = model(**inputs).logits
    return original[0], last


@contextmanager
def edit_head_inputs(head: torch.nn.Module, edit: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Edits the hidden states that the output layer gets, and yields a list that collects the original ones."""
    original: list[torch.Tensor] = []

    def hook(_layer: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        original.append(arguments[0])
        return (edit(arguments[0]), *arguments[1:])

    handle = head.register_forward_pre_hook(hook)
    try:
        yield original
    finally:
        handle.remove()
