"""Which loss rows get, how their batches are drawn, and what is missing for it."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.pairs.formats import PairFormat, PairKind
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError, RecipeError
from tunesmith.recipe.task_sections import EmbeddingSection
from tunesmith.training.losses.embedding import DEFAULTS
from tunesmith.training.losses.embedding_choice import check_scores, choose_loss, shortage


def rows(kind: PairKind, target: tuple[Any, ...] | None = None, n_sides: int = 2, n: int = 4) -> EmbeddingRows:
    shape = PairFormat(kind, tuple(f"t{i}" for i in range(n_sides)), ("y",) if target else (), "")
    return EmbeddingRows("train", "rows.csv", tuple(range(n)), shape, (("a",) * n,) * n_sides, target)


def test_every_shape_has_a_default_with_a_reason() -> None:
    for kind in DEFAULTS:
        classes = ("a", "a", "b", "b") if kind in ("labelled_pair", "labelled_text") else None
        choice = choose_loss(rows(kind, classes), EmbeddingSection())
        assert choice.because
        assert choose_loss(rows(kind, classes), EmbeddingSection(loss=choice.name)).because == ""


def test_batches_are_drawn_as_the_loss_needs_them() -> None:
    assert choose_loss(rows("positive_pair"), EmbeddingSection()).sampler == "no_duplicates"
    assert choose_loss(rows("labelled_text", ("a", "a", "b", "b"), 1), EmbeddingSection()).sampler == "group_by_label"
    assert choose_loss(rows("scored_pair", (1.0, 0.5, 0.0, 0.1)), EmbeddingSection()).sampler == "batch_sampler"
    section = EmbeddingSection(batch_sampler="batch_sampler")
    assert choose_loss(rows("positive_pair"), section).sampler == "batch_sampler"


def test_a_loss_that_does_not_fit_is_refused_with_those_that_do() -> None:
    with pytest.raises(RecipeError, match="These do: MultipleNegativesRankingLoss, CachedMultiple"):
        choose_loss(rows("positive_pair"), EmbeddingSection(loss="SoftmaxLoss"))
    with pytest.raises(RecipeError, match="with 3 classes"):
        choose_loss(rows("labelled_pair", ("a", "b", "c", "a")), EmbeddingSection(loss="ContrastiveLoss"))
    with pytest.raises(DataError, match=r"there are a \(3\), b \(1\)"):
        choose_loss(rows("labelled_text", ("a", "a", "a", "b"), 1), EmbeddingSection())


def test_scores_outside_of_a_cosine_are_refused_where_they_are_compared_with_one() -> None:
    check_scores(rows("scored_pair", (0.0, 3.0, 1.0, 5.0)), "CoSENTLoss")
    with pytest.raises(DataError, match=r"row 1 has the score 3; .*score_range: \[0, 3\]"):
        check_scores(rows("scored_pair", (0.0, 3.0, 1.0, 2.0)), "CosineSimilarityLoss")


@pytest.mark.parametrize(
    ("loss", "batch_rows", "note"),
    [
        ("MegaBatchMarginLoss", 64, "among 500 rows or more; a batch has 64"),
        ("CachedMultipleNegativesRankingLoss", 32, "is for batches larger than its mini_batch_size"),
        ("MultipleNegativesRankingLoss", 8, "has 7 wrong texts for each right one"),
        ("MultipleNegativesRankingLoss", 64, ""),
    ],
)
def test_a_large_batch_loss_without_a_large_batch_is_noted(loss: str, batch_rows: int, note: str) -> None:
    choice = choose_loss(rows("positive_pair"), EmbeddingSection(loss=loss))
    lack, remedy = shortage(choice, batch_rows)
    assert note in lack if note else not lack
    assert bool(remedy) == bool(note)
