"""The loss of the learnt tokens: no logits where nothing is learnt, and no more at once than memory should hold."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from tunesmith.models.language.token_losses import IGNORED, evaluating, run_to_head

MOST_LOGITS = 2**26
"""Logits kept for the backward pass: 256 MB in fp32, and three times that with their copies and gradients."""


def loss_where_learnt(model: Any, inputs: dict[str, Any], num_items: Any = None, *, head_alone: bool = False) -> torch.Tensor:
    """The sum of the losses of the learnt tokens over their number, with logits of no position at which no row learns.

    Args:
        inputs: ``input_ids`` and ``labels`` (B, T) and what else the model takes.
        num_items: learnt tokens of the whole optimizer step; those of this batch when not said.
        head_alone: ``is_head_alone(model)``. Of more than ``MOST_LOGITS`` logits none is then kept: they are computed in parts,
            and again in the backward pass.
    """
    others = {name: value for name, value in inputs.items() if name != "labels"} | {"use_cache": False}
    targets = inputs["labels"][:, 1:]
    is_learnt = targets != IGNORED
    n_learnt = is_learnt.sum()
    most = MOST_LOGITS // model.config.get_text_config().vocab_size
    in_parts = head_alone and int(n_learnt) > most
    total = (
        loss_in_parts(model, others, targets, is_learnt, most) if in_parts else loss_at_once(model, others, targets, is_learnt)
    )
    mean: torch.Tensor = total / (n_learnt if num_items is None else num_items)
    return mean


def loss_at_once(model: Any, inputs: dict[str, Any], targets: torch.Tensor, is_learnt: torch.Tensor) -> torch.Tensor:
    """The summed loss, all logits in memory."""
    at = is_learnt.any(dim=0).nonzero().squeeze(1)
    logits = model(**inputs, logits_to_keep=at).logits  # (B, len(at), V)
    chosen = is_learnt[:, at]
    return cross_entropy(logits[chosen].float(), targets[:, at][chosen], reduction="sum")


def loss_in_parts(
    model: Any, inputs: dict[str, Any], targets: torch.Tensor, is_learnt: torch.Tensor, size: int
) -> torch.Tensor:  # fmt: skip
    """The summed loss, the logits of at most ``size`` tokens in memory at a time, in the backward pass as well."""
    head, width = model.get_output_embeddings(), targets.shape[1] + 1
    states = run_to_head(model, head, inputs)[0][:, -width:][:, :-1][is_learnt]  # (n, H)
    pairs = zip(torch.split(states, size), torch.split(targets[is_learnt], size), strict=True)
    losses = [checkpoint(partial(summed_loss, head), part, wanted, use_reentrant=False) for part, wanted in pairs]
    return torch.stack(losses).sum()


def summed_loss(head: Any, states: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The summed loss of hidden states (n, H) under an output layer, wanted tokens (n)."""
    return cross_entropy(head(states).float(), wanted, reduction="sum")


def is_head_alone(model: Any) -> bool:
    """Whether the model's logits are what its output layer gives, neither scaled nor capped after it."""
    head = model.get_output_embeddings()
    if head is None:
        return False
    with evaluating(model, "fp32") as device:
        ids = torch.arange(32, device=device).view(8, 4) % model.config.get_text_config().vocab_size
        states, last = run_to_head(model, head, {"input_ids": ids, "use_cache": False})
        return torch.equal(head(states[:, -1:]), last)
