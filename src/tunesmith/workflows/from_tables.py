"""The Python side: the same checks, runs and results as the command line, on tables in memory or on files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.diagnosis.rows import DataDiagnosis
from tunesmith.diagnosis.rows import diagnose as diagnose_recipe
from tunesmith.errors import RecipeError
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Listener, silent
from tunesmith.recipe.load import LoadedRecipe, load_recipe, recipe_from_tables
from tunesmith.tasks.finished import Run
from tunesmith.workflows.check import check as check_recipe
from tunesmith.workflows.train import train as train_recipe

UNSAID = {"output": "runs/run", "task": "classification", "model": "builtin:minilm"}
"""The arguments' own defaults, beside a recipe, which says them itself."""


def train(
    data: Any, /, *, validation: Any = 0.1, test: Any = None, output: str | Path = "runs/run", task: str = "classification",
    model: str = "builtin:minilm", resume: bool = False, overwrite: bool = False, smoke: bool = False,
    listener: Listener = silent, **sections: Any,
) -> Run:  # fmt: skip
    """The finished run on a table or a recipe.

    Args:
        data: a DataFrame, a dictionary of columns, a list of dictionaries, the path of a data file, or the path of a
            recipe (``.yaml``), in which case the recipe says everything else.
        validation, test: a share of the rows, a path, or a table.
        sections: further recipe sections as dictionaries, e.g. ``train={"num_train_epochs": 5}``; the section ``data``, too.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed: it started and left no usable model.
    """
    loaded, frames = described("train()", data, validation, test, output, task, model, sections)
    run = train_recipe(loaded, resume=resume, overwrite=overwrite, smoke=smoke, frames=frames, listener=listener)
    assert run is not None, "only a further process of several has no run"
    return run


def diagnose(
    data: Any, /, *, validation: Any = None, test: Any = None, output: str | Path = "runs/run", task: str = "classification",
    model: str = "builtin:minilm", overwrite: bool = False, listener: Listener = silent, **sections: Any,
) -> DataDiagnosis:  # fmt: skip
    """Which rows of a table or a recipe's data are wrong, written to the folder ``OUTPUT-diagnosis``.

    Args:
        data: as for ``train``.
        validation, test: a path or a table, looked at as well, for rows of ``data`` in it, too.
        sections: further recipe sections as dictionaries, e.g. ``diagnose={"n_folds": 10}``.

    Raises:
        InputError: the rows cannot be read or judged; nothing was written.
    """
    loaded, frames = described("diagnose()", data, validation, test, output, task, model, sections)
    return diagnose_recipe(loaded, overwrite=overwrite, frames=frames, listener=listener)


def described(
    caller: str, data: Any, validation: Any, test: Any, output: str | Path, task: str, model: str, sections: dict[str, Any]
) -> tuple[LoadedRecipe, dict[str, Any] | None]:
    """The recipe that the arguments of ``caller`` name or describe, and the tables among them."""
    if not isinstance(data, str | Path) or Path(data).suffix not in {".yaml", ".yml"}:
        settings = {**sections, "task": task, "output": str(output)}
        return recipe_from_tables(caller, {"train": data, "validation": validation, "test": test}, model, settings)
    also = {"output": str(output), "task": task, "model": model}
    said = [*sections, *(name for name, value in also.items() if value != UNSAID[name]), *(["test"] if test is not None else [])]
    if said:
        raise RecipeError.one(caller, f"a recipe file and {', '.join(said)} were both given.", "Put them into the recipe.")
    return load_recipe(Path(data)), None


def check(recipe: str | Path, *, static: bool = False, listener: Listener = silent) -> CheckReport:
    """The pre-flight of a recipe file; see ``tunesmith.workflows.check.check``."""
    return check_recipe(load_recipe(Path(recipe)), static=static, listener=listener)
