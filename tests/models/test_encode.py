"""Tokenising counts everything that is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tunesmith.data.table import Examples
from tunesmith.models.encode import encode, length_record


@pytest.fixture
def tokenizer(tiny_model: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def examples(texts: list[str], pairs: list[str] | None = None) -> Examples:
    return Examples("train", "", list(range(len(texts))), texts, [0] * len(texts), pairs)


def test_lengths_before_and_after(tokenizer) -> None:
    encoded = encode(tokenizer, examples(["good film", "good " * 50, "bad " * 8]), max_length=10)
    assert encoded.lengths.tolist() == [4, 10, 10]
    assert encoded.full_lengths.tolist() == [4, 52, 10]
    assert encoded.n_truncated == 1
    record = length_record(encoded)
    assert (record["rows_truncated"], record["tokens_lost"], record["length_tokens"]["max"]) == (1, 42, 52)


def test_pairs_have_segments_and_lose_from_the_longer_text(tokenizer) -> None:
    encoded = encode(tokenizer, examples(["good " * 30], ["bad film"]), max_length=12)
    assert encoded.token_type_ids is not None
    assert encoded.token_type_ids[0] == [0] * 9 + [1] * 3
    assert encoded.full_lengths.tolist() == [35]


def test_take_keeps_rows_together(tokenizer) -> None:
    encoded = encode(tokenizer, examples(["good", "bad film", "nice day it is"]), max_length=10)
    taken = encoded.take(np.array([2, 0]))
    assert taken.row_ids == [2, 0]
    assert taken.lengths.tolist() == [6, 3]
    assert taken.input_ids == [encoded.input_ids[2], encoded.input_ids[0]]
