"""Texts and pairs made from the training texts: how many, of which words, and for which rows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunesmith.data.table import Examples
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.classification.synthetic_texts import (
    DistillationPlan,
    altered,
    continued,
    plan_distillation,
    split,
    synthetic_pairs,
    synthetic_rows,
    synthetic_texts,
)

FIRSTS = [f"the plane {i} is taking off" for i in range(20)]
SECONDS = [f"an air plane leaves gate {i}" for i in range(20)]


def rows(firsts: list[str] = FIRSTS, seconds: list[str] | None = SECONDS) -> Examples:
    return Examples("train", "", list(range(len(firsts))), firsts, [0] * len(firsts), pairs=seconds)


def recipe(task: str = "classification", **train: Any) -> Recipe:
    return recipe_from_mapping({"task": task, "data": {"train": "t.csv"}, "train": {"per_device_train_batch_size": 32, **train}})


def test_pairs_are_of_the_rows_words_and_of_every_likeness() -> None:
    made = list(zip(*synthetic_pairs(rows(), 1000, 0), strict=True))
    assert len(made) == 1000
    known = {word for text in FIRSTS + SECONDS for word in text.split()}
    assert {word for pair in made for text in pair for word in text.split()} <= known
    assert made == list(zip(*synthetic_pairs(rows(), 1000, 0), strict=True))
    assert made != list(zip(*synthetic_pairs(rows(), 1000, 1), strict=True))

    def shared(first: str, second: str) -> float:
        one, other = set(first.split()), set(second.split())
        return len(one & other) / len(one | other)

    likeness = [shared(first, second) for first, second in made]
    assert sum(value < 0.3 for value in likeness) > 300
    assert sum(value > 0.6 for value in likeness) > 100


@example("0", "\r0", 74)
@given(st.text(min_size=0, max_size=30), st.text(max_size=30), st.integers(0, 99))
def test_any_text_can_be_altered(text: str, other: str, seed: int) -> None:
    words = [*split(text)[0], *split(other)[0]]
    for found in (altered(text, words, random.Random(seed)), continued(text, other, random.Random(seed))):
        assert set(found) <= set(text) | set(other) | {" "}
        assert bool(found.strip()) >= bool(text.strip() and other.strip())


def test_rows_of_blank_texts_give_blank_pairs() -> None:
    made = synthetic_pairs(rows([" "] * 3, [""] * 3), 100, 0)
    assert [len(side) for side in made] == [100, 100]
    assert not any(text.strip() for side in made for text in side)


def test_a_text_without_spaces_loses_and_changes_characters() -> None:
    text, words = "这部电影很好看我非常喜欢", list("这部电影不")
    found = {altered(text, words, random.Random(i)) for i in range(20)}
    assert len(found) > 10
    assert all(set(other) <= set(text) | set(words) for other in found)
    assert min(map(len, found)) < len(text)


def test_which_runs_get_synthetic_texts() -> None:
    assert plan_distillation(recipe(), rows(), 20.0, 300) == DistillationPlan(3000, 564, True)
    assert plan_distillation(recipe("regression"), rows(), 20.0, 300) == DistillationPlan(3000, 564, True)
    assert plan_distillation(recipe(), rows(), 20.0, 12) == DistillationPlan(
        384, 24, True
    )  # at most twice the steps of the training
    assert plan_distillation(recipe(), rows(), 500.0, 300) == DistillationPlan(600, 114, True)
    assert plan_distillation(recipe(), rows(), 1e6, 300) == DistillationPlan(32, 6, True)
    assert plan_distillation(recipe(), rows(seconds=None), 20.0, 300) == DistillationPlan(3000, 564, False)
    assert plan_distillation(recipe(distillation="none"), rows(), 20.0, 300) is None
    assert plan_distillation(recipe(), rows(FIRSTS[:9], SECONDS[:9]), 20.0, 300) is None
    assert plan_distillation(recipe(), rows(FIRSTS * 101, SECONDS * 101), 20.0, 300) is None


@pytest.mark.parametrize("sections", [{}, {"embedding": {"head": "cross-encoder"}, "evaluate": {"retrieval": "scifact"}}])
def test_embedding_models_and_rerankers_have_none(sections: dict[str, Any]) -> None:
    found = recipe_from_mapping({"task": "embedding", "data": {"train": "t.csv"}, **sections})
    assert plan_distillation(found, rows(), 20.0, 300) is None


def test_single_texts_are_made_of_the_rows_words_and_stay_near_a_row() -> None:
    made = synthetic_rows(rows(seconds=None), 300, 0)
    assert (len(made), made.pairs, set(made.labels)) == (300, None, {None})
    assert made.texts == synthetic_texts(FIRSTS, 300, 0) != synthetic_texts(FIRSTS, 300, 1)
    known = {word for text in FIRSTS for word in text.split()}
    assert {word for text in made.texts for word in text.split()} <= known
    assert len(set(made.texts)) > 200
    assert synthetic_rows(rows(), 300, 0).pairs is not None
