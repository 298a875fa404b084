"""The story of a run: load, check, baselines, fit, judge, diagnose, prove, save.

Every function here is a step of that story; what a step does stands in the room it calls.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.embedding_run import story as embedding_story
from tunesmith.errors import TunesmithError
from tunesmith.events import Listener, silent
from tunesmith.inputs import Clock, read_inputs
from tunesmith.preflight.report import CheckReport
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.results import RunResult
from tunesmith.run_folder import RunFolder, begin, claim, finish
from tunesmith.trained import Run
from tunesmith.training.launch import rank


def check(loaded: LoadedRecipe, *, static: bool = False, listener: Listener = silent) -> CheckReport:
    """The pre-flight of a recipe. With ``static`` it stops after the recipe, the rows and the model's files, without torch.

    Raises:
        InputError: what cannot even be read; everything else is a problem in the report.
    """
    clock = Clock(listener, {})
    claim(loaded.recipe.output, overwrite=True)
    if loaded.recipe.task == "embedding":
        return embedding_story.check(loaded, static, listener)
    inputs = read_inputs(loaded, clock)
    if static:
        return CheckReport(inputs.checks)
    with clock.phase("libraries"):
        from tunesmith.work import load_model, preflight
    with clock.phase("model"):
        ready = load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        return preflight(inputs, ready)


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
    started, clock = time.perf_counter(), Clock(listener, {})
    output = f"{loaded.recipe.output}-smoke" if smoke else loaded.recipe.output
    folder = claim(output, resume=resume, overwrite=overwrite or smoke)
    if loaded.recipe.task == "embedding":
        return leave(folder, embedding_story.train(loaded, folder, resume, smoke, frames, clock), clock)
    inputs = read_inputs(loaded, clock, frames, smoke)
    with clock.phase("libraries"):
        from tunesmith import judge, keep, work
        from tunesmith.training_rows import training_findings
    with clock.phase("model"):
        ready = work.load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        work.preflight(inputs, ready).refuse()
    if rank() > 0:  # one of several processes: it trains with the first one, which does all the rest
        work.fit_seeds(inputs, ready, folder, listener, resume=resume, smoke=smoke)
        return None
    begin(folder, loaded.text, resolved_yaml(inputs.recipe), resume=resume)
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
    result = keep.result(inputs, ready, judged, findings, certificates, clock.seconds)
    return leave(folder, result, clock)


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
