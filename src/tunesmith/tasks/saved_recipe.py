"""Finds the run that a model is of, and reads its result and its recipe: an evaluation on further rows is that of the run."""

from __future__ import annotations

from pathlib import Path

from tunesmith.data.run_rows import run_of_model
from tunesmith.recipe.sections import Recipe
from tunesmith.results import RunResult
from tunesmith.run_folder import RESULT


def is_kept_model(path: Path) -> bool:
    """Tells whether a folder has the model of an evaluation that a run kept."""
    return run_of_model(path) not in (None, path)


def result_of_model(path: Path) -> RunResult | None:
    """Reads the result of the run that a model is of, see ``run_of_model``; None for other models."""
    run = run_of_model(path)
    return None if run is None else RunResult.load(run / RESULT)


def recipe_of_run(path: Path) -> tuple[Recipe, RunResult] | None:
    """Reads the recipe and the result of the run that a model is of; None for other models, and for another version's recipe."""
    result = result_of_model(path)
    if result is None:
        return None
    try:
        return Recipe.model_validate(result.recipe), result
    except ValueError:
        return None
