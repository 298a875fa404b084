"""Several rows in one sequence, none of which sees another: which rows share one, the batches, and the proof on the model.

Positions start again at 0 with every row; by them transformers keeps the rows apart, but only without an attention mask and
without a cache (``use_cache=False``): with a cache the rows see each other, and no error says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tunesmith.errors import DataError
from tunesmith.evaluation.outputs import TokenLosses
from tunesmith.models.equivalence import certificate
from tunesmith.models.language.token_losses import (
    IGNORED,
    Rows,
    counted_losses,
    evaluating,
    model_inputs,
    next_labels,
    on,
    padded_rows,
)  # fmt: skip
from tunesmith.results import Certificate

PROOF_ROWS = 4
ROWS_AT_ONCE = 10_000
"""Rows that can meet in a pack. Upstream's 1,000 leave more places empty; all at once would take memory and gain nothing."""


@dataclass(frozen=True)
class Packs:
    """Rows put together.

    Attributes:
        rows: for each pack the positions of its rows, in their order in the pack.
        lengths: (N) tokens of every row.
        max_length: the most tokens of a pack.
    """

    rows: tuple[np.ndarray, ...]
    lengths: np.ndarray
    max_length: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def filled(self) -> float:
        """The share of the packs' places that hold a token."""
        return float(self.lengths.sum()) / (len(self) * self.max_length) if len(self) else 0.0


def packed(lengths: Sequence[int] | np.ndarray, max_length: int) -> Packs:
    """Which rows share a pack of at most ``max_length`` tokens, by TRL's best fit decreasing (Ding et al. 2024).

    Every row stands whole in exactly one pack.

    Raises:
        DataError: a row is empty, which TRL would drop, or longer than a pack, which it would cut.
    """
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    sizes = np.asarray(lengths, dtype=np.int64)
    for position in np.flatnonzero((sizes < 1) | (sizes > max_length))[:1].tolist():
        raise DataError.one(
            f"row {position} of those to pack", f"it has {sizes[position]:,} tokens; a pack takes 1 to {max_length:,}.",
            "Drop, cut or split long rows first (sft.long_rows).",
        )  # fmt: skip
    if not len(sizes):
        return Packs((), sizes, max_length)
    positions = [np.full(size, position, dtype=np.int32) for position, size in enumerate(sizes.tolist())]
    settings = {"batch_size": ROWS_AT_ONCE, "keep_in_memory": True}
    with without_progress_bars():
        found = pack_dataset(Dataset.from_dict({"position": positions}), max_length, "bfd", settings)
    return Packs(tuple(first_of_runs(np.asarray(pack)) for pack in found["position"]), sizes, max_length)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """The bars of datasets are off for work of a moment, and then as they were."""
    import datasets

    were_off = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            datasets.enable_progress_bars()


def first_of_runs(values: np.ndarray) -> np.ndarray:
    """Each value once for each run of it."""
    starts: np.ndarray = np.append(True, values[1:] != values[:-1])
    return np.asarray(values[starts])


def pack_columns(packs: Packs, input_ids: Rows, labels: Rows, row_ids: Sequence[int]) -> dict[str, list[list[int]]]:
    """The packs as columns for TRL's trainer: ``input_ids``, ``labels``, ``seq_lengths``, and ``row_ids``, a list each a pack.

    The first label of each row is -100: nothing of its own stands before it.
    """
    return {
        "input_ids": [joined([input_ids[row] for row in rows]) for rows in packs.rows],
        "labels": [joined([without_first(labels[row]) for row in rows]) for rows in packs.rows],
        "seq_lengths": [packs.lengths[rows].tolist() for rows in packs.rows],
        "row_ids": [[row_ids[row] for row in rows] for rows in packs.rows],
    }


def joined(rows: Rows) -> list[int]:
    return np.concatenate(rows).tolist()  # type: ignore[no-any-return]


def without_first(labels: np.ndarray) -> np.ndarray:
    """The labels with -100 at the first token."""
    return np.append(IGNORED, labels[1:])


def packed_batch(packs: Sequence[Rows], labels: Sequence[Rows], pad_id: int) -> dict[str, Any]:
    """Packs as a batch: ``input_ids``, ``labels`` and ``position_ids`` (B, T), and the ends of the rows for flash attention.

    A shorter pack is filled up by a row of padding whose positions start again and whose labels are -100, so that no
    attention mask is needed. ``cu_seq_lens_q`` and ``cu_seq_lens_k`` (int32) are the starts of all rows, padding included,
    in the flattened batch, with its end; ``max_length_q`` and ``max_length_k`` the longest of them.

    Args:
        packs, labels: for each pack, its rows.
    """
    whole = [np.concatenate(pack) for pack in packs]
    width = max(len(tokens) for tokens in whole)
    sizes = [[len(row) for row in pack] + [width - len(tokens)] for pack, tokens in zip(packs, whole, strict=True)]
    places = [np.concatenate([np.arange(size) for size in of_pack]) for of_pack in sizes]
    flat = np.array([size for of_pack in sizes for size in of_pack if size], dtype=np.int32)
    ends = torch.from_numpy(np.append(0, np.cumsum(flat)).astype(np.int32))
    return {
        "input_ids": padded_rows(whole, pad_id),
        "labels": padded_rows([np.concatenate([without_first(row) for row in pack]) for pack in labels], IGNORED),
        "position_ids": torch.from_numpy(np.stack(places)),
        "cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": int(flat.max()), "max_length_k": int(flat.max()),
    }  # fmt: skip


def packed_losses(
    model: Any, packs: Packs, input_ids: Rows, labels: Rows, pad_id: int, precision: str = "fp32", max_packs: int = 8
) -> TokenLosses:
    """The losses of every row, as ``token_losses`` gives them, computed pack by pack."""
    sums = np.zeros(len(packs.lengths))
    counts = np.array([np.count_nonzero(next_labels(row) != IGNORED) for row in labels], dtype=np.int64)
    with evaluating(model, precision) as device:
        for start in range(0, len(packs), max_packs):
            rows = packs.rows[start : start + max_packs]
            tokens, wanted = ([[of_rows[i] for i in pack] for pack in rows] for of_rows in (input_ids, labels))
            batch = packed_batch(tokens, wanted, pad_id)
            targets = torch.cat([batch["labels"][:, 1:], torch.full((len(rows), 1), IGNORED)], dim=1)
            if not bool((targets != IGNORED).any()):
                continue
            losses, _ = counted_losses(model, on(device, packed_inputs(batch)), targets.to(device))
            in_order = np.concatenate(rows)
            sums[in_order] = np.bincount(np.repeat(in_order, counts[in_order]), losses, minlength=len(sums))[in_order]
    return TokenLosses(sums, counts)


def packed_inputs(batch: dict[str, Any]) -> dict[str, Any]:
    """What a model is called with: without labels, whose mean it would compute, and without a cache."""
    return {name: value for name, value in batch.items() if name != "labels"} | {"use_cache": False}


def packing_isolation(model: Any, input_ids: Rows, pad_id: int, n_rows: int = PROOF_ROWS) -> Certificate:
    """The largest difference of a logit between rows packed together and each of them alone, in fp32.

    Args:
        input_ids: the rows; the shortest with two tokens or more make one pack, which stands beside a shorter pack.
    """
    order = np.argsort([len(row) for row in input_ids], kind="stable")
    rows = [input_ids[position] for position in order.tolist() if len(input_ids[position]) > 1][:n_rows]
    if len(rows) < 2:
        raise ValueError("the proof of isolation needs two rows of two tokens or more")
    batch = packed_batch([rows, rows[:1]], [rows, rows[:1]], pad_id)
    with evaluating(model, "fp32") as device:
        together = model(**on(device, packed_inputs(batch))).logits[0].float().cpu().numpy()
        alone = [
            model(**on(device, model_inputs(model, padded_rows([row], pad_id), np.array([len(row)]), left=False, masked=False)))
            .logits[0].float().cpu().numpy()
            for row in rows
        ]  # fmt: skip
    separate = np.concatenate(alone)
    return certificate("rows packed together do not see each other", together[: len(separate)], separate)
