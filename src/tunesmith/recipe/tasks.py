"""Stand-in until the table is merged."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.recipe.sections import Recipe


@dataclass(frozen=True)
class TaskSettings:
    name: str


def task_settings(recipe: Recipe) -> TaskSettings:
    if recipe.task == "embedding" and recipe.embedding.head == "cross-encoder":
        return TaskSettings("reranker")
    return TaskSettings(recipe.task)
