"""A run by its task: the check, and the training with the folder, the report and the model card that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.errors import TunesmithError
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.language_rules import LANGUAGE_TASKS
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.results import RunResult
from tunesmith.run_folder import RunFolder, claim, finish
from tunesmith.tasks.classification import story as labelled_run
from tunesmith.tasks.embedding import reranker
from tunesmith.tasks.embedding import story as embedding_run
from tunesmith.tasks.finished import Run
from tunesmith.tasks.language import story as language_run


def check(loaded: LoadedRecipe, *, static: bool = False, listener: Listener = silent) -> CheckReport:
    """The pre-flight of a recipe. With ``static`` it stops after the recipe, the rows and the model's files, without torch.

    Raises:
        InputError: what cannot even be read; everything else is a problem in the report.
    """
    claim(loaded.recipe.output, overwrite=True)
    report: CheckReport = story_of(loaded).check(loaded, static, Clock(listener, {}))
    return report


def story_of(loaded: LoadedRecipe) -> Any:
    """The module that tells the run of a recipe: it has ``check`` and ``train``."""
    if loaded.recipe.task in LANGUAGE_TASKS:
        return language_run
    if loaded.recipe.task != "embedding":
        return labelled_run
    return reranker if loaded.recipe.embedding.head == "cross-encoder" else embedding_run


def train(
    loaded: LoadedRecipe, *, resume: bool = False, overwrite: bool = False, smoke: bool = False,
    frames: Mapping[str, Any] | None = None, listener: Listener = silent,
) -> Run | None:  # fmt: skip
    """Check, train, judge and save; the finished run (None in any but the first of several processes).

    Args:
        smoke: at most 100 rows a split and no checkpoints, into a folder of its own: does everything work?
        frames: split name -> table in memory, in place of the recipe's files.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed: it started and left no usable model.
        Interrupted: it was stopped; the state was saved.
    """
    clock = Clock(listener, {})
    output = f"{loaded.recipe.output}-smoke" if smoke else loaded.recipe.output
    folder = claim(output, resume=resume, overwrite=overwrite or smoke)
    result = story_of(loaded).train(loaded, folder, resume, smoke, frames, clock)
    return None if result is None else leave(folder, result, clock)


def leave(folder: RunFolder, result: RunResult, clock: Clock) -> Run:
    """Write result, report and model card, and give the run its final name."""
    from tunesmith.report.card import model_card
    from tunesmith.report.page import write_report

    try:
        result.save(folder.work / "result.json")
        (folder.model / "README.md").write_text(model_card(result), encoding="utf-8")
        with clock.phase("report"):
            write_report(folder.work)
        result = replace(result, timings_seconds=dict(clock.seconds))
        result.save(folder.work / "result.json")
    except OSError as error:
        raise TunesmithError(f"The run is trained, but its results could not be written to {folder.work}: {error}") from error
    return Run(finish(folder), result)
