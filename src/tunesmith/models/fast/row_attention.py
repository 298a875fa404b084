"""Attention in joined rows, one row after the other: it costs what the rows cost, not what the long sequence would.

On a GPU flash attention does so. On a CPU upstream's SDPA computes every pair of tokens of the sequence, and masks those of
different rows. The function here is registered through transformers' own interface for attention functions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

from tunesmith.models.fast.path import attend

NAME = "tunesmith_rows"
LONGEST_BY_PRODUCTS = 512
"""Longer rows are computed by SDPA in training, too, which keeps no probability of each pair of tokens for the backward pass."""


def can_attend_by_rows(model: Any) -> bool:
    """Whether the model takes attention functions, and computes attention by SDPA now."""
    return model.config._attn_implementation in ("sdpa", NAME) and model._can_set_attn_implementation()


def attend_by_rows(model: Any) -> None:
    """Let joined rows attend one by one; other batches are computed by SDPA as before. What is saved does not change.

    Raises:
        ValueError: the model cannot, see ``can_attend_by_rows``.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if not can_attend_by_rows(model):
        raise ValueError(f"{type(model).__name__} does not take attention functions")
    AttentionInterface.register(NAME, row_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def row_attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    cu_seq_lens_q: torch.Tensor | None = None, **others: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention of each row among itself.

    Args:
        query, key, value: (B, H, T, D); key and value may have fewer heads.
        attention_mask: (B or 1, 1, T, T), True where a key may be seen; what it says inside of rows is kept.
        cu_seq_lens_q: where each row begins in the flattened batch (B * T), and its end, as flash attention is told.

    Returns:
        The mixed values (B, T, H, D), and no probabilities.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if cu_seq_lens_q is None or attention_mask is None:
        whole: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **others)
        return whole
    n_batch, _, width, _ = query.shape
    ends = cu_seq_lens_q.tolist()
    sizes = [stop - start for start, stop in pairwise(ends)]
    parts = [torch.split(flat(states), sizes, dim=2) for states in (query, key, value)]
    mixed = []
    for start, size, of_query, of_key, of_value in zip(ends, sizes, *parts, strict=False):
        item, first = divmod(start, width)
        seen = attention_mask[min(item, len(attention_mask) - 1), :, first : first + size, first : first + size][None]
        mix = attend if size <= LONGEST_BY_PRODUCTS else sdpa_attention_forward
        mixed.append(mix(module, of_query, of_key, of_value, seen, **others)[0])
    joined = torch.cat(mixed, dim=1)  # (1, B * T, H, D)
    return joined.view(n_batch, width, *joined.shape[2:]), None


def flat(states: torch.Tensor) -> torch.Tensor:
    """(B, H, T, D) as one sequence (1, H, B * T, D)."""
    n_batch, n_heads, width, depth = states.shape
    return states.transpose(0, 1).reshape(1, n_heads, n_batch * width, depth)
