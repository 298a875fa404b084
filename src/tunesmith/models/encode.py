"""Texts to token ids, with a count of everything that was cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.table import Examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Encoded:
    """The token ids of one split.

    Attributes:
        input_ids: (N) lists of token ids, special tokens included, at most ``max_length`` long.
        token_type_ids: (N) lists, or None where the model has no segments or the texts are single.
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
        """The distinct token ids, ascending."""
        return np.unique(np.fromiter(chain.from_iterable(self.input_ids), np.int64, int(self.lengths.sum())))

    @property
    def n_truncated(self) -> int:
        """Rows that lost tokens."""
        return int((self.full_lengths > self.lengths).sum())

    def item(self, position: int) -> dict[str, Any]:
        """One row as the collator takes it."""
        row: dict[str, Any] = {"input_ids": self.input_ids[position], "row_id": self.row_ids[position]}
        if self.token_type_ids is not None:
            row["token_type_ids"] = self.token_type_ids[position]
        if self.labels[position] is not None:
            row["labels"] = self.labels[position]
        return row

    def take(self, positions: list[int] | np.ndarray) -> Encoded:
        """The rows at those positions, in that order."""
        index = np.asarray(positions, dtype=np.int64)
        pick = index.tolist()
        types = None if self.token_type_ids is None else [self.token_type_ids[i] for i in pick]
        return Encoded(
            self.split, [self.row_ids[i] for i in pick], [self.input_ids[i] for i in pick], types,
            [self.labels[i] for i in pick], self.lengths[index], self.full_lengths[index], self.max_length,
        )  # fmt: skip


def encode(tokenizer: PreTrainedTokenizerBase, examples: Examples, max_length: int, count_cut: bool = True) -> Encoded:
    """The token ids of every row; pairs are cut from their longer text first.

    Args:
        count_cut: tokenise rows that reach the limit a second time without it, so that what they lost is known; else
            ``full_lengths`` are the lengths.
    """
    input_ids, types = tokenise(tokenizer, examples.texts, examples.pairs, max_length)
    lengths = np.fromiter((len(ids) for ids in input_ids), np.int64, len(input_ids))
    full = lengths.copy()
    cut = np.flatnonzero(lengths >= max_length).tolist()
    if cut and count_cut:
        pairs = None if examples.pairs is None else [examples.pairs[i] for i in cut]
        whole, _ = tokenise(tokenizer, [examples.texts[i] for i in cut], pairs, None)
        full[cut] = [len(ids) for ids in whole]
    return Encoded(examples.split, examples.row_ids, input_ids, types, examples.labels, lengths, full, max_length)


def met_in_training(encoded: Encoded, pad_id: int) -> np.ndarray:
    """Every token id in batches of these rows, ascending."""
    return np.union1d(encoded.vocabulary, [pad_id])


def tokenise(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None, max_length: int | None
) -> tuple[list[list[int]], list[list[int]] | None]:
    """Token ids and, for pairs of a model with segments, segment ids."""
    if not texts:
        return [], None
    wants_types = pairs is not None and "token_type_ids" in tokenizer.model_input_names
    cut = {"truncation": True, "max_length": max_length} if max_length else {"truncation": False}
    out = tokenizer(texts, pairs, return_attention_mask=False, return_token_type_ids=wants_types, verbose=False, **cut)
    return out["input_ids"], out["token_type_ids"] if wants_types else None


def length_record(encoded: Encoded) -> dict[str, Any]:
    """Percentiles, a histogram and the truncation of one split, for result.json; lengths in tokens before truncation."""
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
