"""Trains a built-in model on built-in data, without a network."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tunesmith.errors import InputError
from tunesmith.progress import Listener
from tunesmith.recipe.load import LoadedRecipe, load_recipe
from tunesmith.run_folder import locate_output
from tunesmith.tasks.finished import Run
from tunesmith.workflows import train as runs
from tunesmith.workflows.notebook import listener_here

RECIPES = {
    "classification": "demo.yaml",
    "embedding": "demo_embedding.yaml",
    "sft": "demo_sft.yaml",
    "preference": "demo_preference.yaml",
}
"""Task -> its recipe in ``data/samples``."""


def demo(task: str = "classification", *, output: str | Path | None = None, listener: Listener | None = None) -> Run:
    """Trains a built-in model on built-in data, in one or two minutes on two cores, and returns the finished run.

    Args:
        task: ``classification``, ``embedding``, ``sft`` or ``preference``.
        output: the run folder; default: ``runs/demo`` or ``runs/demo-TASK``. An earlier demo in it is replaced.

    Raises InputError if there is no such task, or the folder holds another run.

    Example::

        tunesmith.demo().result.metric("macro_f1").value
    """
    if RECIPES.get(task) is None:
        raise InputError.one("demo()", f"there is no demo of the task {task!r}.", f"There are: {', '.join(RECIPES)}.")
    with listener_here(listener) as shown:
        return train_demo(demo_recipe(task, output), shown)


def demo_recipe(task: str, output: str | Path | None = None) -> LoadedRecipe:
    """Loads the recipe of a task's demo."""
    overrides = [] if output is None else ["output='" + str(output).replace("'", "''") + "'"]  # quoted as YAML
    return load_recipe(recipe_path(task), overrides)


def recipe_path(task: str) -> Path:
    return Path(str(resources.files("tunesmith"))) / "data" / "samples" / RECIPES[task]


def train_demo(loaded: LoadedRecipe, listener: Listener) -> Run:
    """Trains; replaces an earlier demo in the output folder."""
    run = runs.train(loaded, overwrite=is_earlier_demo(loaded.recipe.output, loaded.text), listener=listener)
    assert run is not None, "the demo is a single process"
    return run


def is_earlier_demo(output: str, recipe: str) -> bool:
    """Returns whether the output folder contains only an earlier demo, finished or not; other runs must not be replaced."""
    claimed = locate_output(output)
    folders = [folder for folder in (claimed.final, claimed.work) if folder.is_dir() and any(folder.iterdir())]
    recipes = [folder / "recipe.yaml" for folder in folders]
    first_lines = [
        path.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if path.is_file() else None for path in recipes
    ]
    return bool(folders) and all(line == recipe.partition("\n")[0] for line in first_lines)
