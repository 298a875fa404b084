"""Masks tokens for masked language modelling as a function of seed, epoch and row, so that resumed runs mask alike."""

from __future__ import annotations

import numpy as np

from tunesmith.models.encode import IGNORE_INDEX

FIXED_EPOCH = -1
"""Epoch number of evaluation masks, which are always the same, so that losses can be compared."""
MASKED, REPLACED = 0.8, 0.1
"""Shares of the selected tokens that become the mask token and a random token; the rest stays."""


def mask_tokens(
    ids: np.ndarray, special: np.ndarray, seed: int, epoch: int, row_id: int, probability: float, mask_id: int, vocab_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row with masked tokens (T), and labels (T): the token where one was selected, else -100.

    The share ``probability`` of the tokens is selected without replacement, rounded, at least one (Devlin et al. 2019, BERT,
    section 3.1 and ``create_pretraining_data.py``). Of these 80 % become the mask token, 10 % a token drawn from the vocabulary,
    10 % stay. A row of special tokens only has no labels.

    Args:
        special: (T) True for tokens that are never selected.
        seed: 0 to 2^32 - 1. Seed, ``epoch`` (from ``FIXED_EPOCH``) and ``row_id`` alone determine the masks.
    """
    labels = np.full(len(ids), IGNORE_INDEX, dtype=np.int64)
    inputs = ids.astype(np.int64)
    free = np.flatnonzero(~special)
    if not len(free):
        return inputs, labels
    key = np.array([seed << 32 | epoch - FIXED_EPOCH, row_id], dtype=np.uint64)
    n = max(1, int(probability * len(free) + 0.5))
    draws = np.random.Generator(np.random.Philox(key=key)).random(len(free) + 2 * n)
    selected = free[np.argsort(draws[2 * n :])[:n]]
    kind, replacements = draws[:n], (draws[n : 2 * n] * vocab_size).astype(np.int64)
    labels[selected] = ids[selected]
    inputs[selected] = np.where(kind < MASKED, mask_id, np.where(kind < MASKED + REPLACED, replacements, labels[selected]))
    return inputs, labels
