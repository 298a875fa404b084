"""The story of a classifier or a regression: load, check, baselines, fit, judge, diagnose, prove, save.

Every function here is a step of that story; what a step does stands in the room it calls.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Clock
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.recipe.sections import Recipe
from tunesmith.results import RunResult
from tunesmith.run_folder import RunFolder, begin
from tunesmith.tasks.classification.data import read_inputs
from tunesmith.training.launch import rank


def check(loaded: LoadedRecipe, static: bool, clock: Clock, frames: Mapping[str, Any] | None = None) -> CheckReport:
    """The pre-flight. Raises InputError for what cannot even be read."""
    inputs = read_inputs(loaded, clock, frames)
    if static:
        return CheckReport(inputs.checks)
    with clock.phase("libraries"):
        from tunesmith.tasks.classification.model import load_model, preflight
    with clock.phase("model"):
        ready = load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        return preflight(inputs, ready)


def train(
    loaded: LoadedRecipe, folder: RunFolder, resume: bool, smoke: bool, frames: Mapping[str, Any] | None, clock: Clock,
    asked: Recipe | None = None,
) -> RunResult | None:  # fmt: skip
    """Check, train, judge and save into the folder; the result, which is not written yet.

    Args:
        asked: what is kept as the resolved recipe, where this one was made from it.

    Returns:
        None in any but the first of several processes.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    started, listener = time.perf_counter(), clock.listener
    inputs = read_inputs(loaded, clock, frames, smoke)
    with clock.phase("libraries"):
        from tunesmith.diagnosis.after_training import training_findings
        from tunesmith.tasks.classification import evaluation as judge
        from tunesmith.tasks.classification import model as work
        from tunesmith.tasks.classification import outputs as keep
    with clock.phase("model"):
        ready = work.load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        work.preflight(inputs, ready).refuse()
    if rank() > 0:  # one of several processes: it trains with the first one, which does all the rest
        work.fit_seeds(inputs, ready, folder, listener, resume=resume, smoke=smoke)
        return None
    begin(folder, loaded.text, resolved_yaml(asked or inputs.recipe), resume=resume)
    with clock.phase("baselines"):
        baselines, vectors = judge.run_baselines(inputs, ready, listener)
    with clock.phase("training"):
        runs = work.fit_seeds(inputs, ready, folder, listener, resume=resume, smoke=smoke)
    with clock.phase("evaluation"):
        judged = judge.judge(inputs, runs, baselines, listener)
    with clock.phase("diagnosis"):
        fitted = runs[0].fit
        findings = training_findings(inputs, vectors, fitted.epoch_logits, fitted.train_seconds * len(runs), listener)
    with clock.phase("save"):
        certificates = keep.save_model(inputs, ready, judged, folder.model)
        keep.join_logs(judged, folder)
        keep.save_predictions(inputs, judged, folder.work / "predictions.parquet")
        keep.save_training_logits(inputs, judged, folder.work)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    return keep.result(inputs, ready, judged, findings, certificates, clock.seconds)
