"""The loss of every row as a sum over its tokens and their number: the same whatever rows share a batch.

A mean over batches depends on the batches. Here no batch has a mean: each counted token has a loss, and the row keeps their sum.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from tunesmith.evaluation.outputs import TokenLosses
from tunesmith.models.inference import TOKENS_PER_BATCH, autocast, batches_by_length, unheard
from tunesmith.models.language.context_length import check_length

IGNORED = -100
"""The label of a token that is not counted, as everywhere in transformers."""
MOST_LOGITS = 2**25
"""Logits in memory at once: 128 MB in fp32, and a few times that while their losses are computed."""

Rows = Sequence[np.ndarray]


def token_losses(
    model: Any, input_ids: Rows, labels: Rows, pad_id: int, precision: str = "fp32", max_tokens: int = TOKENS_PER_BATCH, *,
    max_rows: int = 64, masked: bool = False, left: bool = False, progress: Callable[[int], None] = unheard,
) -> TokenLosses:  # fmt: skip
    """The losses of every row under a causal model, or with ``masked`` a masked one, in the order of the rows.

    Args:
        labels: for each token its label, or -100 where it is not counted. For a causal model they stand at their own tokens
            and are shifted here: the first token of a row has nothing before it and is never counted.
        left: pad in front, as generation does; for causal models.
        progress: hears the number of rows done.

    Raises:
        ModelError: a row is longer than the model's positions.
    """
    if masked and left:
        raise ValueError("rows of a masked model are padded behind")
    targets = [row if masked else next_labels(row) for row in labels]
    counts = np.array([np.count_nonzero(row != IGNORED) for row in targets], dtype=np.int64)
    sums, scored = np.zeros(len(targets)), np.flatnonzero(counts)
    # What stands behind the last counted token of a row changes nothing for a causal model, and is not read.
    reach = np.array([len(row) if masked else last_counted(row) for row in (targets[i] for i in scored)], dtype=np.int64)
    check_length(model.config, int(reach.max(initial=0)), "the longest row")
    done = len(targets) - len(scored)
    with evaluating(model, precision) as device:
        for batch in batches_by_length(reach, max_rows, max_tokens):
            rows, widths = scored[batch], reach[batch]
            ids = padded_rows([input_ids[row][:width] for row, width in zip(rows, widths, strict=True)], pad_id, left)
            wanted = padded_rows([targets[row][:width] for row, width in zip(rows, widths, strict=True)], IGNORED, left)
            inputs = model_inputs(model, ids, widths, left=left, masked=masked)
            losses, of_row = counted_losses(model, on(device, inputs), wanted.to(device))
            sums[rows] = np.bincount(of_row, losses, minlength=len(rows))
            done += len(rows)
            progress(done)
    return TokenLosses(sums, counts)


def next_labels(labels: np.ndarray) -> np.ndarray:
    """(T) for each place the label of the token after it; the last place has none."""
    return np.append(labels[1:], IGNORED)


def last_counted(targets: np.ndarray) -> int:
    """The places up to the last counted one."""
    return int(np.flatnonzero(targets != IGNORED)[-1]) + 1


def padded_rows(rows: Rows, fill: int, left: bool = False) -> torch.Tensor:
    """(B, T) int64, the rows filled up to the longest of them."""
    width = max(len(row) for row in rows)
    whole = np.full((len(rows), width), fill, dtype=np.int64)
    for place, row in enumerate(rows):
        whole[place, slice(width - len(row), None) if left else slice(len(row))] = row
    return torch.from_numpy(whole)


def model_inputs(model: Any, ids: torch.Tensor, lengths: np.ndarray, *, left: bool, masked: bool) -> dict[str, Any]:
    """What a model is called with for padded rows: mask, positions where padding in front moved them, and no cache."""
    places = torch.arange(ids.shape[1])[None]
    sizes = torch.from_numpy(np.asarray(lengths, dtype=np.int64))[:, None]
    mask = (places >= ids.shape[1] - sizes if left else places < sizes).long()
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if left and takes_positions(model):
        inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return inputs if masked else inputs | {"use_cache": False}


def takes_positions(model: Any) -> bool:
    """Whether the model itself, under any adapter, can be told the position of each token."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "position_ids" in inspect.signature(inner.forward).parameters


def on(device: torch.device, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with their tensors on that device."""
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}


@contextmanager
def evaluating(model: Any, precision: str) -> Iterator[torch.device]:
    """No gradients, no dropout, that precision; afterwards every part of the model is in the mode it was found in."""
    modes, device = [(part, part.training) for part in model.modules()], next(model.parameters()).device
    model.eval()
    try:
        with torch.inference_mode(), autocast(precision, device.type):
            yield device
    finally:
        for part, mode in modes:
            part.training = mode


def counted_losses(model: Any, inputs: dict[str, Any], targets: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The loss at each counted place, row by row: (n) float64 in nats, and (n) the row it stands in.

    Args:
        targets: (B, T) the token that is to be predicted at each place, or -100.
    """
    counted = targets != IGNORED
    wanted, losses = targets[counted], []
    for logits in logits_at(model, inputs, counted):
        part, wanted = wanted[: len(logits)], wanted[len(logits) :]
        losses.append(torch.nn.functional.cross_entropy(logits.float(), part, reduction="none"))
    rows = counted.nonzero()[:, 0]
    return torch.cat(losses).double().cpu().numpy(), rows.cpu().numpy()


def logits_at(model: Any, inputs: dict[str, Any], chosen: torch.Tensor) -> Iterator[torch.Tensor]:
    """The logits (n, V) at the chosen places (B, T), row by row, in parts of at most ``MOST_LOGITS`` numbers.

    The model runs with an output layer that is shown one place of each row, and the layer is applied to the hidden states of the
    chosen places afterwards. Where that does not give the model's own logits at that place (they are scaled or capped after
    the layer), the model runs once for each part, its output layer shown the places of that part.
    """
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    width = chosen.shape[1]
    if head is None:
        yield model(**inputs).logits[:, -width:][chosen]
        return
    states, last = run_to_head(model, head, inputs)
    size = max(1, MOST_LOGITS // last.shape[-1])
    if torch.equal(head(states[:, -1:]), last):
        yield from (head(part) for part in torch.split(states[:, -width:][chosen], size))
        return
    for places in torch.split(chosen.flatten().nonzero()[:, 0], size):
        with shown(head, partial(states_at, width=width, places=places)):
            logits = model(**inputs).logits[0]
        yield logits


def run_to_head(model: Any, head: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the output layer would be shown (B, T, H), virtual tokens in front included, and the model's logits at the last place
    alone (B, 1, V)."""
    with shown(head, lambda states: states[:, -1:]) as seen:
        last = model(**inputs).logits
    return seen[0], last


def states_at(states: torch.Tensor, width: int, places: torch.Tensor) -> torch.Tensor:
    """(1, n, H) the hidden states at some places of the flattened batch; an adapter's virtual tokens in front are no places."""
    return states[:, -width:].flatten(0, 1)[places][None]


@contextmanager
def shown(head: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The output layer is shown changed hidden states; those that it would have been shown are collected."""
    seen: list[torch.Tensor] = []

    def hook(_layer: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        seen.append(given[0])
        return (change(given[0]), *given[1:])

    handle = head.register_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
