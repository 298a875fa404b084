"""Loads a function that a recipe names by its file, and finds the line of the file at which a call failed."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.recipe.files import locate, same_path


def load_function(reference: str, base: Path, key: str, remedy: str) -> Callable[..., Any]:
    """Loads the function ``file.py:name`` by running the file, which is looked up as every file of a recipe (``locate``).

    Raises RecipeError if there is no such file or function, or the file fails.

    Args:
        key: the recipe key, for errors; ``remedy``: the function that it takes.
    """
    path, _, name = reference.rpartition(":")
    file = locate(path, base)
    if not path.endswith(".py") or not name:
        raise RecipeError.one(key, f"{reference!r} names no function.", remedy)
    if not file.is_file():
        raise RecipeError.one(key, f"there is no file {file}.", remedy)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise RecipeError.one(key, f"{file} cannot be read as Python.", remedy)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent.absolute()))  # as if the file was run: it may import its neighbours
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        place = f"{file}{line_words(error, file)}"
        raise RecipeError.one(key, f"{place} fails: {type(error).__name__}: {error}.") from error
    finally:
        sys.path.remove(str(file.parent.absolute()))
    function = getattr(module, name, None)
    if not callable(function):
        raise RecipeError.one(key, f"{file} has no function {name}.", remedy)
    return function  # type: ignore[no-any-return]


def failure_words(error: BaseException, file: Path) -> str:
    """Returns where and by what a call failed: ``metric.py:12: ValueError: no rows``.

    The line is the innermost one in the file that the recipe names; of a function that this file imports, the innermost one of
    the files beside it.
    """
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(file, line) for path, line in frames if same_path(path, file)]
    beside = [(path, line) for path, line in frames if same_path(path.parent, file.parent)]
    what = f"{type(error).__name__}: {error}"
    return next((f"{path}:{line}: {what}" for path, line in reversed(own or beside)), what)


def line_words(error: BaseException, file: Path) -> str:
    """Returns the line at which a file failed when it was run, as ``, line 12``; empty if it failed in another one."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if same_path(Path(frame.filename), file)]
    if isinstance(error, SyntaxError) and error.filename is not None and same_path(Path(error.filename), file):
        lines = [error.lineno]
    return f", line {lines[-1]}" if lines and lines[-1] else ""
