"""Packs several rows into one sequence in which no row attends to another, and certifies that on the model.

Also computes attention in packed rows one row at a time, at the cost of the rows instead of the long sequence. On a GPU flash
attention does so. On a CPU upstream's SDPA computes every pair of tokens of the sequence, and masks those of different rows. The
function is registered through transformers' interface for attention functions.

Positions start again at 0 with every row. By them transformers keeps the rows apart, but only without an attention mask and
without a cache (``use_cache=False``): with a cache the rows attend to each other, without an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.errors import DataError
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.equivalence import certificate
from tunesmith.models.fast.path import attend
from tunesmith.models.inference import evaluation_mode
from tunesmith.models.language.token_losses import Rows, model_inputs, move_to, pad_rows
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SAMPLE_ROWS = 4
ROW_ATTENTION = "tunesmith_rows"
LONGEST_BY_PRODUCTS = 512
"""Rows above this many tokens are computed by SDPA in training too: it keeps no probabilities (T, T) for the backward pass."""
ROWS_AT_ONCE = 10_000
"""Rows that can share a pack. Upstream's 1,000 leave more places empty; all at once would take memory and gain nothing."""


def pack_rows(lengths: Sequence[int] | np.ndarray, max_length: int) -> list[tuple[int, ...]]:
    """Assigns rows to packs of at most ``max_length`` tokens, by TRL's best fit decreasing (Ding et al. 2024).

    Returns the positions of each pack's rows, in order; every row is whole in exactly one pack.

    Raises:
        DataError: a row is empty, which TRL would drop, or longer than a pack, which it would cut.
    """
    import datasets
    from trl.data_utils import pack_dataset

    sizes = np.asarray(lengths, dtype=np.int64)
    for position in np.flatnonzero((sizes < 1) | (sizes > max_length))[:1].tolist():
        message = f"it has {plural(sizes[position], 'token')}; a pack takes 1 to {max_length:,}."
        raise DataError.one(f"row {position} of those to pack", message, "Drop, cut or split long rows first (sft.long_rows).")
    if not len(sizes):
        return []
    positions = [np.full(size, position, dtype=np.int32) for position, size in enumerate(sizes.tolist())]
    settings = {"batch_size": ROWS_AT_ONCE, "keep_in_memory": True}
    had_progress_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        packed = pack_dataset(datasets.Dataset.from_dict({"position": positions}), max_length, "bfd", settings)
    finally:
        if had_progress_bars:
            datasets.enable_progress_bars()
    packs = [np.asarray(pack) for pack in packed["position"]]
    return [tuple(pack[np.append(True, pack[1:] != pack[:-1])].tolist()) for pack in packs]


def collate_packs(packs: Sequence[Rows], labels: Sequence[Rows], pad_id: int) -> dict[str, Any]:
    """Collates packs into ``input_ids``, ``labels`` and ``position_ids`` (B, T), and the row boundaries for flash attention.

    The first label of each row is -100, since no token of its own precedes it. A shorter pack is filled by a row of padding
    whose positions start again and whose labels are -100, so that no attention mask is needed. ``cu_seq_lens_q`` and
    ``cu_seq_lens_k`` (int32) are the starts of all rows, padding included, in the flattened batch, and its end; ``max_length_q``
    and ``max_length_k`` are the longest of them.

    Args:
        packs, labels: for each pack, its rows.
    """
    tokens = [np.concatenate(pack) for pack in packs]
    targets = [np.concatenate([np.append(IGNORE_INDEX, row[1:]) for row in pack]) for pack in labels]
    width = max(len(row) for row in tokens)
    sizes = [[len(row) for row in pack] + [width - len(row_ids)] for pack, row_ids in zip(packs, tokens, strict=True)]
    positions = [np.concatenate([np.arange(size) for size in pack_sizes]) for pack_sizes in sizes]
    nonempty = np.array([size for pack_sizes in sizes for size in pack_sizes if size], dtype=np.int32)
    boundaries = torch.from_numpy(np.append(0, np.cumsum(nonempty)).astype(np.int32))
    longest = int(nonempty.max())
    return {
        "input_ids": pad_rows(tokens, pad_id),
        "labels": pad_rows(targets, IGNORE_INDEX),
        "position_ids": torch.from_numpy(np.stack(positions)),
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def packed_inputs(batch: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of the forward pass: without labels, whose mean it would compute, and without a cache."""
    return {name: value for name, value in batch.items() if name != "labels"} | {"use_cache": False}


def certify_packing(
    model: PreTrainedModel, input_ids: Rows, pad_id: int, max_length: int, n_rows: int = SAMPLE_ROWS
) -> Certificate:
    """Certifies in fp32 that packed rows have the logits of each row alone, on two packs of the beginnings of short rows.

    Args:
        max_length: tokens of a pack; each row is cut to its share of them, since padding has positions as well.
    """
    order = np.argsort([len(row) for row in input_ids], kind="stable")
    rows = [input_ids[position] for position in order.tolist() if len(input_ids[position]) > 1][: min(n_rows, max_length // 2)]
    rows = [row[: max_length // len(rows)] for row in rows]
    if len(rows) < 2:
        raise ValueError("the isolation check needs two rows of two tokens or more")
    batch = packed_inputs(collate_packs([rows, rows[:1]], [rows, rows[:1]], pad_id))
    singles = [model_inputs(model, pad_rows([row], pad_id), np.array([len(row)]), left=False, masked=False) for row in rows]
    with evaluation_mode(model, "fp32") as device:
        together, *alone = (model(**move_to(device, inputs)).logits[0].float().cpu().numpy() for inputs in (batch, *singles))
    separate = np.concatenate(alone)
    return certificate("rows packed together do not attend to each other", together[: len(separate)], separate)


def can_attend_by_rows(model: PreTrainedModel) -> bool:
    """Returns True if the model takes attention functions, and currently uses SDPA."""
    return bool(model.config._attn_implementation in ("sdpa", ROW_ATTENTION) and model._can_set_attn_implementation())


def attend_by_rows(model: PreTrainedModel) -> None:
    """Uses ``row_attention`` for packed rows, SDPA for others; saved files stay. Raises ValueError if it takes none."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if not can_attend_by_rows(model):
        raise ValueError(f"{type(model).__name__} does not take attention functions")
    AttentionInterface.register(ROW_ATTENTION, row_attention)
    AttentionMaskInterface.register(ROW_ATTENTION, sdpa_mask)
    model.set_attn_implementation(ROW_ATTENTION)


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
