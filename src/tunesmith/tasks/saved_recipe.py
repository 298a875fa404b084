"""Reads the recipe of a finished run, for metrics that it adds to an evaluation on further rows."""

from __future__ import annotations

from pathlib import Path

from tunesmith.recipe.sections import Recipe
from tunesmith.results import RunResult
from tunesmith.run_folder import RESULT


def recipe_of_run(path: Path) -> tuple[Recipe, RunResult] | None:
    """Reads the recipe and the result of a run; None for other models, and for a run of another version's recipe."""
    if not (path / RESULT).is_file():
        return None
    result = RunResult.load(path / RESULT)
    try:
        return Recipe.model_validate(result.recipe), result
    except ValueError:
        return None
