"""Lists the tasks: how each reads its rows, and the steps that need its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

from tunesmith.machine import quiet_libraries
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import task_settings
from tunesmith.tasks.classification import data as classification
from tunesmith.tasks.embedding import data as embedding
from tunesmith.tasks.grpo import data as grpo
from tunesmith.tasks.language import data as language
from tunesmith.tasks.ppo import data as ppo
from tunesmith.tasks.preference import data as preference
from tunesmith.tasks.reranker import data as reranker
from tunesmith.tasks.reward import data as reward
from tunesmith.tasks.task import TaskReading, TaskSteps


@dataclass(frozen=True)
class Task:
    """One line of the table.

    Attributes:
        reading: the steps before a model is loaded.
        load_steps: imports the other steps, and with them torch and transformers.
    """

    reading: TaskReading[Any]
    load_steps: Callable[[], TaskSteps[Any, Any]]


def steps_in(folder: str) -> TaskSteps[Any, Any]:
    """Imports the steps of the task in a folder of ``tasks``; some libraries give advice when they are imported."""
    quiet_libraries()
    steps: TaskSteps[Any, Any] = import_module(f"tunesmith.tasks.{folder}.steps").STEPS
    return steps


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "classification": Task(classification.READING, partial(steps_in, "classification")),
        "regression": Task(classification.READING, partial(steps_in, "classification")),
        "embedding": Task(embedding.READING, partial(steps_in, "embedding")),
        "reranker": Task(reranker.READING, partial(steps_in, "reranker")),
        "sft": Task(language.READING, partial(steps_in, "language")),
        "preference": Task(preference.READING, partial(steps_in, "preference")),
        "pretraining": Task(language.READING, partial(steps_in, "language")),
        "reward": Task(reward.READING, partial(steps_in, "reward")),
        "ppo": Task(ppo.READING, partial(steps_in, "ppo")),
        "grpo": Task(grpo.READING, partial(steps_in, "grpo")),
    }
)
"""Name in ``recipe.tasks`` -> task."""


def task_for(recipe: Recipe) -> Task:
    """Returns the task of a recipe."""
    return TASKS[task_settings(recipe).name]
