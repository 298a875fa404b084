"""Loss of the supervised tokens, without logits at other positions and with bounded memory for the logits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.inference import MOST_LOGITS, evaluation_mode
from tunesmith.models.language.token_losses import run_to_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def supervised_loss(
    model: PreTrainedModel,
    inputs: dict[str, Any],
    num_items: torch.Tensor | int | None = None,
    *,
    head_alone: bool = False,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Returns the mean loss of the supervised tokens; positions that no row supervises get no logits.

    Args:
        inputs: ``input_ids`` and ``labels`` (B, T) and the model's other inputs.
        num_items: supervised tokens of the whole optimizer step; None for those of this batch.
        head_alone: ``is_head_alone(model)``. If True and there are more than ``MOST_LOGITS`` logits, they are computed in parts,
            and again in the backward pass.
        smoothing: share of the target probability that is spread over the vocabulary (label smoothing).
    """
    others = {name: value for name, value in inputs.items() if name != "labels"} | {"use_cache": False}
    targets = inputs["labels"][:, 1:]
    is_supervised = targets != IGNORE_INDEX
    n_supervised = is_supervised.sum()
    most = MOST_LOGITS // model.config.get_text_config().vocab_size
    if head_alone and int(n_supervised) > most:
        head = model.get_output_embeddings()
        states = run_to_head(model, head, others)[0][:, -targets.shape[1] - 1 : -1][is_supervised]  # (n, H)
        parts = zip(torch.split(states, most), torch.split(targets[is_supervised], most), strict=True)
        losses = [checkpoint(partial(summed_loss, head, smoothing=smoothing), *part, use_reentrant=False) for part in parts]
        total = torch.stack(losses).sum()
    else:
        positions = is_supervised.any(dim=0).nonzero().squeeze(1)
        logits = model(**others, logits_to_keep=positions).logits  # (B, len(positions), V)
        selected = is_supervised[:, positions]
        chosen = targets[:, positions][selected]
        total = cross_entropy(logits[selected].float(), chosen, reduction="sum", label_smoothing=smoothing)
    mean: torch.Tensor = total / (n_supervised if num_items is None else num_items)
    return mean


def summed_loss(head: torch.nn.Module, states: torch.Tensor, targets: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:
    """Returns the summed loss of hidden states (n, H) under an output layer for target tokens (n)."""
    return cross_entropy(head(states).float(), targets, reduction="sum", label_smoothing=smoothing)


def is_head_alone(model: PreTrainedModel) -> bool:
    """Returns True if the model's logits are the outputs of its output layer, neither scaled nor capped after it."""
    head = model.get_output_embeddings()
    if head is None:
        return False
    with evaluation_mode(model, "fp32") as device:
        ids = torch.arange(32, device=device).view(8, 4) % model.config.get_text_config().vocab_size
        states, last = run_to_head(model, head, {"input_ids": ids, "use_cache": False})
        return torch.equal(head(states[:, -1:]), last)
