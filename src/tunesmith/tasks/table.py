"""Lists the tasks: how each reads its rows, and the steps that need its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import task_settings
from tunesmith.tasks.classification import data as classification
from tunesmith.tasks.embedding import data as embedding
from tunesmith.tasks.language import data as language
from tunesmith.tasks.reranker import data as reranker
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


def classification_steps() -> TaskSteps[Any, Any]:
    from tunesmith.tasks.classification.steps import STEPS

    return STEPS


def embedding_steps() -> TaskSteps[Any, Any]:
    from tunesmith.tasks.embedding.steps import STEPS

    return STEPS


def reranker_steps() -> TaskSteps[Any, Any]:
    from tunesmith.tasks.reranker.steps import STEPS

    return STEPS


def language_steps() -> TaskSteps[Any, Any]:
    from tunesmith.tasks.language.steps import STEPS

    return STEPS


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "classification": Task(classification.READING, classification_steps),
        "regression": Task(classification.READING, classification_steps),
        "embedding": Task(embedding.READING, embedding_steps),
        "reranker": Task(reranker.READING, reranker_steps),
        "sft": Task(language.READING, language_steps),
        "pretraining": Task(language.READING, language_steps),
    }
)
"""Name in ``recipe.tasks`` -> task."""


def task_for(recipe: Recipe) -> Task:
    """Returns the task of a recipe."""
    return TASKS[task_settings(recipe).name]
