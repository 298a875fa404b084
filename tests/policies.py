"""Recipes of short runs of policies, with their prompts and reward functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.language_models import questions
from tunesmith.cli.main import main

REWARDS = """
seen = []
def red(prompts, completions, completion_ids, colour, **_):
    seen.append((prompts, completions, colour))
    return [text.split().count("red") / 2 for text in completions]
def first_half(completions, completion_ids, **_): return [sum(token < 30 for token in ids) / 6 for ids in completion_ids]
def without_red(completions, **_): return [1.0 - max(0, text.split().count("red") - 1) for text in completions]
def constant(completions, **_): return [0.0] * len(completions)
def by_prompt(prompts, **_): return [float(len(prompt)) for prompt in prompts]
def hardly(completion_ids, **_): return [1.0 + 0.001 * (ids[0] % 7) for ids in completion_ids]
def texts(completions, **_): return ["good"] * len(completions)
def infinite(completions, **_): return [float("inf")] * len(completions)
calls = 0
def later(completions, **_):
    global calls
    calls += 1
    return [1.0] * (len(completions) - (calls > 8 and len(completions) > 16 or calls > 25))
def fails(completions, **_):
    raise ValueError("no such answer")
"""
SECTIONS: Mapping[str, dict[str, Any]] = {
    "ppo": {"rollout_batch_size": 8, "response_length": 6, "best_of_n": 2},
    "grpo": {"num_generations": 4, "max_completion_length": 6, "best_of_n": 2},
}
"""Task -> its section."""


def mapping(folder: Path, model: Path, task: str = "ppo", **changes: Any) -> dict[str, Any]:
    """Writes prompts and rewards into the folder, and returns the recipe of a short run."""
    rows = [{"prompt": row["prompt"], "colour": "red"} for row in questions(32)]
    for name, part in (("train", rows[:16]), ("test", rows[16:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    (folder / "rewards.py").write_text(REWARDS)
    given: dict[str, Any] = {
        "task": task,
        "model": {"name": str(model)},
        "data": {"train": str(folder / "train.jsonl"), "validation": str(folder / "test.jsonl"), "test": None},
        "rewards": {"reward_funcs": [f"{folder}/rewards.py:first_half"]},
        task: dict(SECTIONS[task]),
        "train": {"max_steps": 4, "n_evaluations": 2, "learning_rate": 5e-3},
        "evaluate": {"n_resamples": 200},
        "output": str(folder / "run"),
    }
    return {
        key: {**value, **changes.pop(key, {})} if isinstance(value, Mapping) else value for key, value in given.items()
    } | changes


def named(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    return {"reward_funcs": [f"{folder}/rewards.py:{name}"], **more}


def written(folder: Path, model: Path, task: str = "ppo", **changes: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(mapping(folder, model, task, **changes)))
    return path


def error(capsys: pytest.CaptureFixture[str], path: Path, verb: str = "train", code: int = 2) -> str:
    assert main([verb, str(path)]) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tunesmith: ")]
    return line
