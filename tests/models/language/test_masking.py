"""Masking is a function of seed, epoch and row, and hides what BERT hides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.models.language.masking import FIXED_EPOCH, mask_tokens

MASK, VOCABULARY = 4, 1000
IDS = np.random.default_rng(0).integers(5, VOCABULARY, 400)
PLAIN = np.zeros(400, dtype=bool)


def of(seed: int = 0, epoch: int = 0, row_id: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return mask_tokens(IDS, PLAIN, seed, epoch, row_id, 0.15, MASK, VOCABULARY)


@given(
    st.lists(st.integers(5, 99), max_size=40), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1), st.integers(-1, 99),
    st.integers(0, 2**62), st.data(),
)  # fmt: skip
def test_only_tokens_that_are_to_be_guessed_change(
    tokens: list[int], share: float, seed: int, epoch: int, row_id: int, data: st.DataObject
) -> None:
    ids = np.array(tokens, dtype=np.int64)
    special = np.array(data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens))), dtype=bool)
    hidden, labels = mask_tokens(ids, special, seed, epoch, row_id, share, MASK, VOCABULARY)
    guessed = labels != -100
    assert (labels[guessed] == ids[guessed]).all()
    assert (hidden[~guessed] == ids[~guessed]).all()
    assert not (guessed & special).any()
    free = int((~special).sum())
    assert guessed.sum() == (max(1, int(share * free + 0.5)) if free else 0)


def test_the_triple_alone_decides() -> None:
    first = of(3, 2, 17)
    np.random.seed(1)
    of(1, 1, 1)
    assert all((one == two).all() for one, two in zip(first, of(3, 2, 17), strict=True))
    places = {
        of(*triple)[1].tobytes() for triple in [(3, 2, 17), (2, 2, 17), (3, 3, 17), (3, 2, 18), (3, FIXED_EPOCH, 17), (2, 3, 17)]
    }
    assert len(places) == 6


def test_of_the_tokens_to_guess_80_in_100_are_masked_10_replaced_and_10_kept() -> None:
    found = [of(row_id=row) for row in range(300)]
    hidden, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    guessed = labels != -100
    shown, wanted = hidden[guessed], labels[guessed]
    assert guessed.mean() == pytest.approx(0.15)
    assert (shown == MASK).mean() == pytest.approx(0.8, abs=0.01)
    assert (shown == wanted).mean() == pytest.approx(0.1, abs=0.01)
    other = shown[(shown != MASK) & (shown != wanted)]
    assert len(np.unique(other)) > 0.6 * VOCABULARY
    per_place = guessed.reshape(300, 400).mean(axis=0)
    assert per_place.min() > 0.05
    assert per_place.max() < 0.28
