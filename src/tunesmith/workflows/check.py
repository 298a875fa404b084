"""Checks a recipe before the training: the pre-flight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.errors import OutputError
from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.run_folder import claim
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
    output = output_line(loaded.recipe.output)
    clock = Clock(listener, {})
    task = task_for(loaded.recipe)
    data = read(task, Request(loaded, clock, frames))
    data = replace(data, checks=(*data.checks, output))
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


def output_line(output: str) -> CheckLine:
    """Checks that a run can be written to the output; a note names an earlier run, which ``train`` asks about.

    Raises OutputError for a place that ``train`` refuses with every option, such as a folder with other files.
    """
    folder = claim(output, overwrite=True)
    try:
        claim(output)
    except OutputError as error:
        earlier = error.problems[0]
        return CheckLine("output", str(folder.final), note=earlier.message, remedy=earlier.remedy)
    return CheckLine("output", f"{folder.final}, a new run")
