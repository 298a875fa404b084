"""Trains a model by its recipe: check, baselines, fits, evaluation, diagnosis, save. The same for every task."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tunesmith.disk import disk_errors, remove_all_but, write_text
from tunesmith.errors import InputError, OutputError
from tunesmith.preflight.static import disk_parts
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.recipe.resolved import with_default_epochs
from tunesmith.report.saved_run import read as read_saved
from tunesmith.results import RunResult
from tunesmith.run_folder import (
    LOCK,
    RECIPES,
    RECORD,
    RESULT,
    SMOKE,
    SMOKE_ROWS,
    RunFolder,
    claim,
    fill,
    finish,
    locate_output,
    require_same_inputs,
)
from tunesmith.tasks.finished import Run
from tunesmith.tasks.steps import read
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request
from tunesmith.tasks.test_looks import with_train_look
from tunesmith.training.checkpoints import remove_states
from tunesmith.training.launch import rank
from tunesmith.training.memory import MemorySamples, sampled_memory
from tunesmith.workflows.inputs import input_hashes

KEPT_OF_SMOKE = (*RECIPES, RECORD, LOCK, RESULT, "report.html")
NO_SPACE = "Free some space, then continue with --resume."


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
    output = f"{loaded.recipe.output}{SMOKE}" if smoke else loaded.recipe.output
    if smoke:
        loaded = replace(loaded, recipe=with_default_epochs(loaded.recipe))
    request = Request(loaded, clock, frames, SMOKE_ROWS if smoke else None)
    if rank() > 0:  # the first process claims the folder
        return run_steps(request, locate_output(output), {}, MemorySamples(), resume=resume, smoke=smoke)
    folder = claimed(output, request, resume=resume, overwrite=overwrite or smoke)
    inputs = input_hashes(loaded, frames)
    if resume:
        require_same_inputs(folder, inputs)
    with sampled_memory(lambda: clock.current) as memory:
        return run_steps(request, folder, inputs, memory, resume=resume, smoke=smoke)


def claimed(output: str, request: Request, *, resume: bool, overwrite: bool) -> RunFolder:
    """Claims the run folder. Raises InputError if it cannot be used, with what is wrong with the rows, if they are wrong, too."""
    try:
        return claim(output, resume=resume, overwrite=overwrite)
    except OutputError as error:
        if not os.path.isdir(os.path.expanduser(output)):
            raise
        try:
            read(task_for(request.loaded.recipe), request)
        except InputError as other:
            raise InputError([*other.problems, *error.problems]) from error
        raise


def run_steps(
    request: Request, folder: RunFolder, inputs: Mapping[str, str], memory: MemorySamples, *, resume: bool, smoke: bool
) -> Run | None:
    """Runs every step into the folder, and gives it its final name."""
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
    for note in (*request.loaded.notes, *report.notes_of("columns")):
        listener(Event("note", note))
    if rank() > 0:  # one of several processes: it trains with the first one, which does all the rest
        fit_seeds(steps, session, folder, listener, resume=resume, smoke=smoke)
        return None
    resolved = resolved_yaml(data.recipe)
    needed = sum(disk_parts(data.recipe, data.source, data.base, data.logged_bytes).values())
    with disk_errors(folder.final, NO_SPACE, needed), fill(folder, request.loaded.text, resolved, resume=resume, inputs=inputs):
        with clock.phase("baselines"):
            baselines = steps.baselines(session, listener)
        with clock.phase("training"):
            seeds = fit_seeds(steps, session, folder, listener, resume=resume, smoke=smoke)
        with clock.phase("evaluation"):
            evaluation = evaluate_seeds(steps, session, seeds, baselines)
        with clock.phase("diagnosis"):
            findings = findings_after_training(data, evaluation, listener)
        with clock.phase("save"):
            saved = save(steps, evaluation, folder, smoke=smoke)
        clock.seconds["total"] = round(time.perf_counter() - started, 3)
        result = run_result(steps, evaluation, findings, saved, clock.seconds)
        result = replace(result, memory=memory.record(), **dates(clock.seconds["total"]))
        if not smoke:
            result = with_train_look(result, folder.work, folder.final, inputs, is_resumed=resume)
        return write_run(folder, result, clock, smoke=smoke)


def dates(seconds: float) -> dict[str, Any]:
    """Returns when a run of this duration that ends now was started and finished, in UTC."""
    finished = datetime.now(UTC)
    started = finished - timedelta(seconds=seconds)
    return {"started": started.isoformat(timespec="seconds"), "finished": finished.isoformat(timespec="seconds")}


def write_run(folder: RunFolder, result: RunResult, clock: Clock, *, smoke: bool) -> Run:
    """Writes the result, the report and the model card, and gives the run its final name.

    A run without a model keeps no checkpoints, a smoke run nothing but the report and its numbers, none the state to resume.
    """
    from tunesmith.report.card import model_card
    from tunesmith.report.page import write_page

    if folder.model.exists():
        write_text(folder.model / "README.md", model_card(result))
    with clock.phase("report"):
        result.save(folder.work / RESULT)
        write_page(read_saved(folder.work), folder.work / "report.html")
    result = replace(result, timings_seconds=dict(clock.seconds))
    result.save(folder.work / RESULT)
    if smoke:
        remove_all_but(folder.work, KEPT_OF_SMOKE)
    elif not folder.model.exists():
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    final = finish(folder)
    remove_states(final / folder.checkpoints.name)  # under the final name: before, a run that is killed here would lose them
    return Run(final, result)
