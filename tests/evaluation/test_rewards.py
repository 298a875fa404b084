"""Reward functions of a recipe: arguments as TRL gives them, checked results, and one clear message for each wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tunesmith.errors import RecipeError
from tunesmith.evaluation.rewards import Completions
from tunesmith.models.reward.source import load_sources
from tunesmith.recipe.reinforcement_sections import RewardsSection

FUNCTIONS = """
import math
import numpy as np
def length(completions, **_): return [len(text) for text in completions]
def wanted(prompts, completions, wanted): return [float(w in c) for w, c in zip(wanted, completions)]
def everything(**given): return [sorted(given) == ["completion_ids", "completions", "prompts", "wanted"]] * len(given["prompts"])
def array(completions): return np.ones(len(completions))
def some(completions, **_): return [1.0 if "b" in text else None for text in completions]
def texts(completions, **_): return ["good"] * len(completions)
def too_few(completions, **_): return [1.0]
def one_number(completions, **_): return 1.0
def infinite(completions, **_): return [math.inf] * len(completions)
def fails(completions, **_):
    return [1 / 0 for _ in completions]
def needs(completions, missing): return [0.0]
def tensors(completions):
    import torch
    return [torch.tensor(float(len(text))) for text in completions]
"""
ANSWERS = Completions(["p", "q"], ["a b", "a"], [[1, 2], [1]], {"wanted": ["b", "b"], "prompts": ["x", "y"]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rewards.py").write_text(FUNCTIONS)
    return tmp_path


def proxy(folder: Path, *names: str, weights: list[float] | None = None) -> list[float]:
    rewards = load_sources(RewardsSection(reward_funcs=[f"rewards.py:{name}" for name in names], reward_weights=weights), folder)
    return rewards.proxy(ANSWERS).tolist()


def test_a_function_gets_the_arguments_that_it_names(folder: Path) -> None:
    assert proxy(folder, "length") == [3.0, 1.0]
    assert proxy(folder, "wanted") == [1.0, 0.0]
    assert proxy(folder, "everything") == [1.0, 1.0]
    assert proxy(folder, "array") == [1.0, 1.0]
    assert proxy(folder, "tensors") == [3.0, 1.0]


def test_rewards_are_weighted_and_none_counts_nothing(folder: Path) -> None:
    assert proxy(folder, "length", "wanted", weights=[0.5, 2.0]) == [3.5, 0.5]
    assert proxy(folder, "length", "some") == [4.0, 1.0]


def test_gold_is_not_part_of_the_reward(folder: Path) -> None:
    rewards = load_sources(RewardsSection(reward_funcs=["rewards.py:length"], gold="rewards.py:wanted"), folder)
    gold = rewards.gold_scores(ANSWERS)
    assert rewards.proxy(ANSWERS).tolist() == [3.0, 1.0]
    assert gold is not None
    assert np.array_equal(gold, [1.0, 0.0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("texts", "'good' for completion 0"),
        ("too_few", "returned 1 reward on 2 completions"),
        ("one_number", "returned 1.0 on 2 completions"),
        ("infinite", "returned inf for completion 0"),
        ("fails", r"rewards.py:14: ZeroDivisionError"),
        ("some", "every function returned None for completion 1"),
        ("needs", "missing"),
        ("absent", "has no function absent"),
    ],
)
def test_a_wrong_result_is_one_clear_message(folder: Path, name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        proxy(folder, name)
    assert len(caught.value.problems) == 1
    assert "rewards.reward_funcs" in str(caught.value)
