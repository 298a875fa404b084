"""Offers the checks, runs and diagnoses of the command line as Python functions, on tables in memory or on files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.diagnosis.rows import DataDiagnosis
from tunesmith.diagnosis.rows import diagnose as diagnose_recipe
from tunesmith.errors import RecipeError
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Listener, silent
from tunesmith.recipe.load import LoadedRecipe, load_recipe, recipe_from_tables
from tunesmith.recipe.sections import AUTO
from tunesmith.tasks.finished import Run
from tunesmith.workflows.check import check as check_recipe
from tunesmith.workflows.train import train as train_recipe

DEFAULTS = {"output": "runs/run", "task": "classification", "model": "builtin:minilm"}
"""Argument -> default; with a recipe file, any other value is an error."""


def train(
    data: object,
    /,
    *,
    validation: object = 0.1,
    test: object = AUTO,
    output: str | Path = "runs/run",
    task: str = "classification",
    model: str = "builtin:minilm",
    resume: bool = False,
    overwrite: bool = False,
    smoke: bool = False,
    listener: Listener = silent,
    **sections: object,
) -> Run:
    """Trains on a table or by a recipe, and returns the finished run.

    Args:
        data: a DataFrame, a dictionary of columns, a list of dictionaries, the path of a data file, or the path of a
            recipe (``.yaml``), which then holds all other settings.
        validation, test: a fraction of the rows, a path, or a table; None for no such rows. By default a fifth of 200 rows or
            more is held out as ``test``.
        sections: further recipe sections as dictionaries, e.g. ``train={"num_train_epochs": 5}``; the section ``data``, too.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed: it started and left no usable model.
    """
    splits = {"train": data, "validation": validation, "test": test}
    loaded, frames = recipe_for("train()", splits, {"output": str(output), "task": task, "model": model}, sections)
    run = train_recipe(loaded, resume=resume, overwrite=overwrite, smoke=smoke, frames=frames, listener=listener)
    assert run is not None, "only a further process of several has no run"
    return run


def diagnose(
    data: object,
    /,
    *,
    validation: object = None,
    test: object = None,
    output: str | Path = "runs/run",
    task: str = "classification",
    model: str = "builtin:minilm",
    overwrite: bool = False,
    listener: Listener = silent,
    **sections: object,
) -> DataDiagnosis:
    """Finds wrong rows of a table or of a recipe's data, and writes them to the folder ``OUTPUT-diagnosis``.

    Args:
        data: as for ``train``.
        validation, test: a path or a table: diagnosed as well, and searched for rows of ``data``.
        sections: further recipe sections as dictionaries, e.g. ``diagnose={"n_folds": 10}``.

    Raises InputError if the rows cannot be read or diagnosed; nothing was written.
    """
    splits = {"train": data, "validation": validation, "test": test}
    splits = {split: value for split, value in splits.items() if value is not None}
    loaded, frames = recipe_for("diagnose()", splits, {"output": str(output), "task": task, "model": model}, sections)
    return diagnose_recipe(loaded, overwrite=overwrite, frames=frames, listener=listener)


def recipe_for(
    caller: str, splits: Mapping[str, object], settings: Mapping[str, str], sections: Mapping[str, object]
) -> tuple[LoadedRecipe, dict[str, Any] | None]:
    """Loads or builds the recipe of a call, and returns also the tables in memory.

    Args:
        caller: names the function in errors.
        splits: split -> table, path, share or None.
        settings: the arguments in ``DEFAULTS``.
    """
    data = splits["train"]
    if not isinstance(data, str | Path) or Path(data).suffix not in {".yaml", ".yml"}:
        keys = {**sections, "task": settings["task"], "output": settings["output"]}
        return recipe_from_tables(caller, splits, settings["model"], keys)
    extra = [*sections, *(name for name, value in settings.items() if value != DEFAULTS[name])]
    extra += [] if splits.get("test", AUTO) == AUTO else ["test"]
    if extra:
        raise RecipeError.one(caller, f"a recipe file and {', '.join(extra)} were both given.", "Put them into the recipe.")
    return load_recipe(Path(data)), None


def check(recipe: str | Path, *, static: bool = False, listener: Listener = silent) -> CheckReport:
    """Runs the pre-flight of a recipe file; see ``tunesmith.workflows.check.check``."""
    return check_recipe(load_recipe(Path(recipe)), static=static, listener=listener)
