"""A batch in groups of similar length: each is padded to its own longest text, and the vectors are put together again.

A loss with negatives from the batch needs all its vectors at once, and so batches drawn at random; most of what such a batch
computes is padding. The vectors and their gradients are those of the whole batch up to rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

GROUPS = (1, 2, 4, 8, 16)
GROUP_COST_TOKENS = 160
"""What a further pass costs besides its tokens, in tokens."""


def use_length_groups(model: Any) -> None:
    """Run a ``SentenceTransformer`` by groups while it is in training mode, until ``use_whole_batches``."""
    whole = model.forward

    def forward(input: dict[str, Any], **named: Any) -> dict[str, Any]:
        if not model.training or "attention_mask" not in input:
            return dict(whole(input, **named))
        groups = groups_of(input["attention_mask"].sum(dim=1).cpu().numpy())
        if len(groups) == 1:
            return dict(whole(input, **named))
        parts = [whole(rows_of(input, rows), **named)["sentence_embedding"] for rows in groups]
        back = torch.from_numpy(np.argsort(np.concatenate(groups), kind="stable"))
        return {**input, "sentence_embedding": torch.cat(parts)[back.to(parts[0].device)]}

    model.__dict__["forward"] = forward


def use_whole_batches(model: Any) -> None:
    """Undo ``use_length_groups``."""
    model.__dict__.pop("forward", None)


def groups_of(lengths: np.ndarray) -> list[np.ndarray]:
    """Positions of the rows in the groups that cost least, each of similar length; all positions stand in one of them."""
    order = np.argsort(lengths, kind="stable")
    found = [np.array_split(order, count) for count in GROUPS if count <= len(order)]
    return min(found, key=lambda groups: cost_tokens(lengths, groups))


def cost_tokens(lengths: np.ndarray, groups: list[np.ndarray]) -> int:
    """Tokens of all groups, padding included, and what the passes cost besides."""
    return sum(len(group) * int(lengths[group].max()) + GROUP_COST_TOKENS for group in groups)


def rows_of(input: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """The features of some rows, cut to the longest of them; what is not a tensor with a row for each stays."""
    index = torch.from_numpy(rows).to(input["attention_mask"].device)
    n_rows, width = input["attention_mask"].shape
    mask = input["attention_mask"][index]
    used = torch.nonzero(mask.any(dim=0)).flatten()
    start, stop = int(used[0]), int(used[-1]) + 1

    def cut(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.shape[:1] != (n_rows,):
            return value
        return value[index][:, start:stop] if value.dim() == 2 and value.shape[1] == width else value[index]

    return {name: cut(value) for name, value in input.items()}
