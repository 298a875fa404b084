"""Splits a batch into groups of similar length, each padded to its own longest text, and joins the vectors again.

A loss with in-batch negatives needs all vectors at once, and so batches drawn at random, of which most tokens are padding. The
vectors and their gradients are those of the whole batch up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

GROUPS = (1, 2, 4, 8, 16)
GROUP_COST_TOKENS = 160
"""Fixed cost of one more forward pass, in tokens."""


@contextmanager
def length_groups(model: SentenceTransformer) -> Iterator[None]:
    """Runs each batch of a ``SentenceTransformer`` in groups of similar length while it is in training mode."""
    whole = model.forward

    def forward(input: dict[str, Any], **named: object) -> dict[str, Any]:
        if not model.training or "attention_mask" not in input:
            return dict(whole(input, **named))
        groups = cheapest_groups(input["attention_mask"].sum(dim=1).cpu().numpy())
        if len(groups) == 1:
            return dict(whole(input, **named))
        parts = [whole(select_rows(input, rows), **named)["sentence_embedding"] for rows in groups]
        back = torch.from_numpy(np.argsort(np.concatenate(groups), kind="stable"))
        return {**input, "sentence_embedding": torch.cat(parts)[back.to(parts[0].device)]}

    model.__dict__["forward"] = forward
    try:
        yield
    finally:
        model.__dict__.pop("forward", None)


def cheapest_groups(lengths: np.ndarray) -> list[np.ndarray]:
    """Splits all positions into groups of similar length, with the number of groups that costs least."""
    order = np.argsort(lengths, kind="stable")
    splits = [np.array_split(order, count) for count in GROUPS if count <= len(order)]
    return min(splits, key=lambda groups: cost_tokens(lengths, groups))


def cost_tokens(lengths: np.ndarray, groups: list[np.ndarray]) -> int:
    """Returns the tokens of all groups, padding included, plus the fixed costs of the passes."""
    return sum(len(group) * int(lengths[group].max()) + GROUP_COST_TOKENS for group in groups)


def select_rows(input: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Selects rows from the features, truncated to the longest of them; values that are not one row each stay."""
    index = torch.from_numpy(rows).to(input["attention_mask"].device)
    n_rows, width = input["attention_mask"].shape
    mask = input["attention_mask"][index]
    used = torch.nonzero(mask.any(dim=0)).flatten()
    start, stop = int(used[0]), int(used[-1]) + 1

    def cut(value: object) -> object:
        if not isinstance(value, torch.Tensor) or value.shape[:1] != (n_rows,):
            return value
        return value[index][:, start:stop] if value.dim() == 2 and value.shape[1] == width else value[index]

    return {name: cut(value) for name, value in input.items()}
