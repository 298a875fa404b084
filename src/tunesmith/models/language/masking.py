"""Which tokens a masked model has to guess: a function of seed, epoch and row, so that a resumed run masks as an unbroken one."""

from __future__ import annotations

import numpy as np

from tunesmith.models.language.token_losses import IGNORED

FIXED_EPOCH = -1
"""The masking of evaluation: the same whenever it is done, so that losses can be compared."""
MASKED, REPLACED = 0.8, 0.1
"""Of the tokens to guess, the shares that become the mask token and a random one; the rest stays."""


def masked(
    ids: np.ndarray, special: np.ndarray, seed: int, epoch: int, row_id: int, probability: float, mask_id: int, vocab_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The row with tokens hidden (T), and labels (T): the token where it is to be guessed, else -100.

    The share ``probability`` of the tokens is chosen without replacement, rounded, at least one (Devlin et al. 2019, BERT,
    section 3.1 and ``create_pretraining_data.py``). Of these 80 % become the mask token, 10 % a token drawn from the vocabulary,
    10 % stay. A row of special tokens alone has nothing to guess.

    Args:
        special: (T) True for tokens that are never chosen.
        seed: 0 to 2^32 - 1; ``epoch`` from ``FIXED_EPOCH`` on and ``row_id`` say which masking, and nothing else does.
    """
    labels = np.full(len(ids), IGNORED, dtype=np.int64)
    hidden = ids.astype(np.int64)
    free = np.flatnonzero(~special)
    if not len(free):
        return hidden, labels
    key = np.array([seed << 32 | epoch - FIXED_EPOCH, row_id], dtype=np.uint64)
    n = max(1, int(probability * len(free) + 0.5))
    draws = np.random.Generator(np.random.Philox(key=key)).random(len(free) + 2 * n)
    chosen = free[np.argsort(draws[2 * n :])[:n]]
    fate, words = draws[:n], (draws[n : 2 * n] * vocab_size).astype(np.int64)
    labels[chosen] = ids[chosen]
    hidden[chosen] = np.where(fate < MASKED, mask_id, np.where(fate < MASKED + REPLACED, words, labels[chosen]))
    return hidden, labels
