"""Rows with very many tokens are embedded by half of the layers, with a note, and other texts likewise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tunesmith.data.table import Examples
from tunesmith.models import base_embeddings as embeddings
from tunesmith.models.base_embeddings import embed, embedder, enough_layers
from tunesmith.models.source import ModelSource, find_model
from tunesmith.recipe.sections import ModelSection


def texts(*words: str, pairs: list[str] | None = None) -> Examples:
    return Examples("train", "", list(range(len(words))), list(words), [0] * len(words), pairs=pairs)


@pytest.fixture
def source(tiny_model: Path) -> ModelSource:
    return find_model(ModelSection(name=str(tiny_model)), Path())


@pytest.mark.parametrize(
    ("of_layers", "n_tokens", "expected"),
    [(6, 2_000_000, 6), (6, 2_000_001, 3), (5, 9_000_000, 3), (2, 9_000_000, 2), (0, 9_000_000, 0)],
)
def test_half_the_layers_are_enough_for_very_many_tokens(of_layers: int, n_tokens: int, expected: int) -> None:
    assert enough_layers(of_layers, n_tokens) == expected


def test_all_layers_are_used_without_a_note(source: ModelSource) -> None:
    made = embed(texts("an owl", "a bee", pairs=["night", "honey"]), source)
    assert (made.n_layers, made.of_layers, made.note) == (2, 2, "")
    assert isinstance(made.vectors, tuple)
    assert np.array_equal(made.vectors[1], embedder(source)(["night", "honey"]))


def test_half_the_layers_are_noted_and_can_be_requested_again(source: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = embed(texts("an owl", "a bee"), source).vectors
    monkeypatch.setattr(embeddings, "MANY_TOKENS", 3)
    monkeypatch.setattr(embeddings, "FEWEST_LAYERS", 2)
    half = embed(texts("an owl", "a bee"), source)
    assert (half.n_layers, half.of_layers) == (1, 2)
    assert half.note.endswith("so they are embedded by the first 1 of 2 layers")
    assert not np.allclose(half.vectors, whole, atol=1e-3)
    assert np.array_equal(half.vectors, embedder(source, n_layers=half.n_layers)(["an owl", "a bee"]))
