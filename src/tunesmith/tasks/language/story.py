"""The story of a language model's run: read, check, hear the base model, fit, hear it again, judge, prove, save."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tunesmith.machine import quiet_libraries
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Clock
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.results import RunResult
from tunesmith.run_folder import RunFolder, begin
from tunesmith.tasks.language.data import read_inputs
from tunesmith.training.launch import rank


def check(loaded: LoadedRecipe, static: bool, clock: Clock) -> CheckReport:
    """The pre-flight of a recipe. Raises InputError for what cannot even be read."""
    inputs = read_inputs(loaded, clock)
    if static:
        return CheckReport(inputs.checks)
    with clock.phase("libraries"):
        quiet_libraries()
        from tunesmith.tasks.language import model as work
    with clock.phase("model"):
        ready = work.load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        return work.preflight(inputs, ready)


def train(
    loaded: LoadedRecipe, folder: RunFolder, resume: bool, smoke: bool, frames: Mapping[str, Any] | None, clock: Clock
) -> RunResult | None:
    """Check, train, judge and save into the folder; the result, which is not written yet.

    Returns:
        None in any but the first of several processes.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    started, listener = time.perf_counter(), clock.listener
    inputs = read_inputs(loaded, clock, frames, smoke)
    with clock.phase("libraries"):
        quiet_libraries()
        from tunesmith.tasks.language import evaluation as judge
        from tunesmith.tasks.language import model as work
        from tunesmith.tasks.language import outputs as keep
    with clock.phase("model"):
        ready = work.load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        work.preflight(inputs, ready).refuse()
    if rank() > 0:  # one of several processes: it trains with the first one, which does all the rest
        work.fit_seeds(inputs, ready, folder, listener, resume=resume, smoke=smoke)
        return None
    begin(folder, loaded.text, resolved_yaml(inputs.recipe), resume=resume)
    with clock.phase("baselines"):
        before = judge.before_training(inputs, ready, listener)
    with clock.phase("training"):
        runs = work.fit_seeds(inputs, ready, folder, listener, resume=resume, smoke=smoke)
    with clock.phase("evaluation"):
        judged = judge.judge(inputs, ready, runs, before)
    with clock.phase("save"):
        proven = keep.save_model(inputs, ready, judged, folder.model)
        keep.save_evidence(inputs, ready, judged, folder)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    return keep.result(inputs, ready, judged, proven, clock.seconds)
