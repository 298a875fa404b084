"""Checks a recipe before the training: the pre-flight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.run_folder import locate_output
from tunesmith.tasks.steps import read
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request


def check(
    loaded: LoadedRecipe, *, static: bool = False, frames: Mapping[str, Any] | None = None, listener: Listener = silent
) -> CheckReport:
    """Runs the pre-flight of a recipe. With ``static`` it stops after the rows and the model's files, without torch.

    Args:
        frames: split name -> table in memory, in place of the recipe's files.

    Raises InputError if the recipe, the rows or the model's files cannot be read; other problems are in the report.
    """
    locate_output(loaded.recipe.output)
    clock = Clock(listener, {})
    task = task_for(loaded.recipe)
    data = read(task, Request(loaded, clock, frames))
    if static:
        return CheckReport(data.checks)
    with clock.phase("libraries"):
        steps = task.load_steps()
        from tunesmith.tasks import steps as shared
    data = steps.prepare(data, clock)
    with clock.phase("model"):
        session = shared.load(steps, data, data.recipe.train.seed)
    with clock.phase("check"):
        report, _ = shared.check(steps, session)
    return report
