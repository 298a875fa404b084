"""Trains a model by its recipe: check, baselines, fits, evaluation, diagnosis, save. The same for every task."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.errors import TunesmithError
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.results import RunResult
from tunesmith.run_folder import SMOKE_ROWS, RunFolder, begin, claim, finish
from tunesmith.tasks.finished import Run
from tunesmith.tasks.steps import read
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request
from tunesmith.training.launch import rank
from tunesmith.workflows.test_looks import with_train_look


def train(
    loaded: LoadedRecipe,
    *,
    resume: bool = False,
    overwrite: bool = False,
    smoke: bool = False,
    frames: Mapping[str, Any] | None = None,
    listener: Listener = silent,
) -> Run | None:
    """Trains, evaluates and saves; returns the finished run (None in all but the first of several processes).

    Args:
        smoke: try every step on at most 100 rows a split, without checkpoints, in a separate folder.
        frames: split name -> table in memory, in place of the recipe's files.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed: it started and left no usable model.
        Interrupted: it was stopped; the state was saved.
    """
    clock = Clock(listener, {})
    folder = claim(
        f"{loaded.recipe.output}-smoke" if smoke else loaded.recipe.output, resume=resume, overwrite=overwrite or smoke
    )
    request = Request(loaded, clock, frames, SMOKE_ROWS if smoke else None)
    result = run_steps(request, folder, resume=resume, smoke=smoke)
    if result is None:
        return None
    return write_run(folder, result if smoke else with_train_look(result, folder.work, folder.final), clock)


def run_steps(request: Request, folder: RunFolder, *, resume: bool, smoke: bool) -> RunResult | None:
    """Runs every step into the folder; does not write the result."""
    started, clock, listener = time.perf_counter(), request.clock, request.clock.listener
    task = task_for(request.loaded.recipe)
    data = read(task, request)
    with clock.phase("libraries"):
        steps = task.load_steps()
        from tunesmith.diagnosis.after_training import findings_after_training
        from tunesmith.tasks.evaluate import evaluate_seeds
        from tunesmith.tasks.save import run_result, save
        from tunesmith.tasks.steps import check, fit_seeds, load
    data = steps.prepare(data, clock)
    with clock.phase("model"):
        session = load(steps, data, data.recipe.train.seed)
    with clock.phase("check"):
        report, session = check(steps, session)
        report.raise_if_failed()
    if rank() > 0:  # one of several processes: it trains with the first one, which does all the rest
        fit_seeds(steps, session, folder, listener, resume=resume, smoke=smoke)
        return None
    begin(folder, request.loaded.text, resolved_yaml(data.recipe), resume=resume)
    with clock.phase("baselines"):
        baselines = steps.baselines(session, listener)
    with clock.phase("training"):
        seeds = fit_seeds(steps, session, folder, listener, resume=resume, smoke=smoke)
    with clock.phase("evaluation"):
        evaluation = evaluate_seeds(steps, session, seeds, baselines)
    with clock.phase("diagnosis"):
        findings = findings_after_training(data, evaluation, listener)
    with clock.phase("save"):
        saved = save(steps, evaluation, folder)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    return run_result(steps, evaluation, findings, saved, clock.seconds)


def write_run(folder: RunFolder, result: RunResult, clock: Clock) -> Run:
    """Writes the result, the report and the model card, and gives the run its final name."""
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
