"""Trace: the tokens that it shows are the inputs that the model gets, whatever the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import WORDS
from tunesmith.data.table import Examples
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection
from tunesmith.workflows.trace import tokens_of

TEXTS = st.lists(st.sampled_from([*WORDS, "[CLS]", "unknown"]), max_size=40).map(" ".join)


def examples(text: str, pair: str | None) -> Examples:
    return Examples(split="train", source="rows", row_ids=[0], texts=[text], pairs=None if pair is None else [pair], labels=[0])


@pytest.fixture(scope="module")
def source(tiny_model: Path) -> Any:
    return find_model(ModelSection(name=str(tiny_model)), Path())


@settings(deadline=None)
@given(text=TEXTS, pair=st.none() | TEXTS, max_length=st.none() | st.integers(5, 20))
def test_the_tokens_are_the_inputs_of_the_model(source: Any, text: str, pair: str | None, max_length: int | None) -> None:
    tokenizer = load_tokenizer(source)
    shown = tokens_of(examples(text, pair), source, max_length)
    pairs = None if pair is None else [pair]
    expected = {name: rows[0] for name, rows in tokenizer([text], pairs, truncation=True, max_length=max_length or 10**6).items()}
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if pair is not None and "token_type_ids" in expected else [])]
    for name in names:
        assert [token[name] for token in shown] == expected[name]
    assert all(token["attention_mask"] == 1 for token in shown)  # [CLS] and [SEP], too: the model attends to them
    assert [token["text"] for token in shown] == tokenizer.convert_ids_to_tokens(expected["input_ids"])
    assert [set(token) for token in shown] == [{"text", *names}] * len(shown)
