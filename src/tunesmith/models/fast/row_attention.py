"""Computes attention in packed rows one row at a time, at the cost of the rows instead of the long sequence.

On a GPU flash attention does so. On a CPU upstream's SDPA computes every pair of tokens of the sequence, and masks those of
different rows. The function is registered through transformers' interface for attention functions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.models.fast.path import attend

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "tunesmith_rows"
LONGEST_BY_PRODUCTS = 512
"""Rows above this many tokens are computed by SDPA in training too: it keeps no probabilities (T, T) for the backward pass."""


def can_attend_by_rows(model: PreTrainedModel) -> bool:
    """Returns True if the model takes attention functions, and currently uses SDPA."""
    return bool(model.config._attn_implementation in ("sdpa", NAME) and model._can_set_attn_implementation())


def attend_by_rows(model: PreTrainedModel) -> None:
    """Uses ``row_attention`` for packed rows, and SDPA for other batches. Saved files do not change.

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
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention within each row.

    Args:
        query, key, value: (B, H, T, D); key and value may have fewer heads.
        attention_mask: (B or 1, 1, T, T), True for visible keys; it is respected within rows.
        cu_seq_lens_q: start of each row in the flattened batch (B * T), and its end, as for flash attention.

    Returns:
        Outputs (B, T, H, D), and no probabilities.
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
    for start, size, row_query, row_key, row_value in zip(ends, sizes, *parts, strict=False):
        item, first = divmod(start, width)
        visible = attention_mask[min(item, len(attention_mask) - 1), :, first : first + size, first : first + size][None]
        mix = attend if size <= LONGEST_BY_PRODUCTS else sdpa_attention_forward
        mixed.append(mix(module, row_query, row_key, row_value, visible, **others)[0])
    joined = torch.cat(mixed, dim=1)  # (1, B * T, H, D)
    return joined.view(n_batch, width, *joined.shape[2:]), None


def flat(states: torch.Tensor) -> torch.Tensor:
    """Flattens (B, H, T, D) into one sequence (1, H, B * T, D)."""
    n_batch, n_heads, width, depth = states.shape
    return states.transpose(0, 1).reshape(1, n_heads, n_batch * width, depth)
