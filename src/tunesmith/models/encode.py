"""Tokenises texts and counts truncated rows and lost tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.table import Examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORE_INDEX = -100
"""The label of a token without a loss: PyTorch's ``ignore_index``, as everywhere in transformers."""


@dataclass(frozen=True)
class Encoded:
    """One tokenised split.

    Attributes:
        input_ids: (N) lists of token ids, special tokens included, at most ``max_length`` long.
        token_type_ids: (N) lists; None if the model has no segments or the texts are single.
        lengths: (N) tokens after truncation.
        full_lengths: (N) tokens before truncation.
    """

    split: str
    row_ids: list[int]
    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None
    labels: list[Any]
    lengths: np.ndarray
    full_lengths: np.ndarray
    max_length: int

    def __len__(self) -> int:
        return len(self.input_ids)

    @cached_property
    def vocabulary(self) -> np.ndarray:
        """Distinct token ids, ascending."""
        return np.unique(np.fromiter(chain.from_iterable(self.input_ids), np.int64, int(self.lengths.sum())))

    @property
    def n_truncated(self) -> int:
        return int((self.full_lengths > self.lengths).sum())

    def item(self, position: int) -> dict[str, Any]:
        """Returns one row as the collator takes it."""
        row: dict[str, Any] = {"input_ids": self.input_ids[position], "row_id": self.row_ids[position]}
        if self.token_type_ids is not None:
            row["token_type_ids"] = self.token_type_ids[position]
        if self.labels[position] is not None:
            row["labels"] = self.labels[position]
        return row

    def take(self, positions: list[int] | np.ndarray) -> Encoded:
        index = np.asarray(positions, dtype=np.int64)
        pick = index.tolist()
        columns = {name: getattr(self, name) for name in ("row_ids", "input_ids", "token_type_ids", "labels")}
        taken: dict[str, Any] = {name: cells and [cells[i] for i in pick] for name, cells in columns.items()}
        return replace(self, **taken, lengths=self.lengths[index], full_lengths=self.full_lengths[index])


def encode(tokenizer: PreTrainedTokenizerBase, examples: Examples, max_length: int, count_cut: bool = True) -> Encoded:
    """Tokenises every row; in pairs the longer text is truncated first.

    Args:
        count_cut: tokenise rows that reach the limit a second time without it, to count the lost tokens; else
            ``full_lengths`` equals ``lengths``.
    """
    input_ids, types = tokenise(tokenizer, examples.texts, examples.pairs, max_length)
    lengths = np.fromiter((len(ids) for ids in input_ids), np.int64, len(input_ids))
    full = lengths.copy()
    cut = np.flatnonzero(lengths >= max_length).tolist()
    if cut and count_cut:
        pairs = None if examples.pairs is None else [examples.pairs[i] for i in cut]
        whole, _ = tokenise(tokenizer, [examples.texts[i] for i in cut], pairs, None)
        full[cut] = [len(ids) for ids in whole]
    return Encoded(
        split=examples.split,
        row_ids=examples.row_ids,
        input_ids=input_ids,
        token_type_ids=types,
        labels=examples.labels,
        lengths=lengths,
        full_lengths=full,
        max_length=max_length,
    )


def used_token_ids(encoded: Encoded, pad_id: int) -> np.ndarray:
    """Returns the distinct token ids in padded batches of these rows, ascending."""
    return np.union1d(encoded.vocabulary, [pad_id])


def tokenise(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None, max_length: int | None
) -> tuple[list[list[int]], list[list[int]] | None]:
    """Returns token ids and, for pairs and a model with segments, segment ids."""
    if not texts:
        return [], None
    wants_types = pairs is not None and "token_type_ids" in tokenizer.model_input_names
    cut = {"truncation": True, "max_length": max_length} if max_length else {"truncation": False}
    out = tokenizer(texts, pairs, return_attention_mask=False, return_token_type_ids=wants_types, verbose=False, **cut)
    return out["input_ids"], out["token_type_ids"] if wants_types else None


def length_record(encoded: Encoded) -> dict[str, Any]:
    """Summarises lengths (tokens before truncation) and truncation of one split for result.json."""
    if not len(encoded):
        return {"rows_truncated": 0, "max_length": encoded.max_length}
    full = encoded.full_lengths
    counts, edges = np.histogram(full, bins=min(30, max(1, int(full.max() - full.min()))))
    quantiles = {f"p{q}": int(np.percentile(full, q)) for q in (50, 90, 99)}
    return {
        "rows_truncated": encoded.n_truncated,
        "tokens_lost": int((encoded.full_lengths - encoded.lengths).sum()),
        "max_length": encoded.max_length,
        "length_tokens": {**quantiles, "max": int(full.max())},
        "length_histogram": {"edges": [float(edge) for edge in edges], "counts": counts.tolist()},
    }
