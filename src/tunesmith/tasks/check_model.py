"""Runs the pre-flight on a loaded model: lengths, batch invariance, a trial step, an evaluation, a save, the time."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.disk import PART, disk_errors, nearest_folder
from tunesmith.errors import InputError, Problem, RecipeError, first_line
from tunesmith.machine import device_name
from tunesmith.models.adapters.unquantised import to_fp32
from tunesmith.models.equivalence import certificate
from tunesmith.models.fast.path import apply_fast_path, remove_fast_path
from tunesmith.models.load import model_errors
from tunesmith.preflight.device import device_line
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.trial_step import check_trial_steps, estimate_time, length_line, proven
from tunesmith.progress import silent
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.metric_roles import CHECKPOINT, METRIC, STOPPING, named_metrics
from tunesmith.report.numbers import number
from tunesmith.results import Certificate
from tunesmith.tasks.fit_plan import FitPlace, fit_plan
from tunesmith.tasks.task import Session, TaskSteps
from tunesmith.training.arguments import SETTINGS
from tunesmith.training.fit import assemble, try_settings
from tunesmith.training.schedule import Schedule
from tunesmith.training.signals import StopRequest
from tunesmith.training.weights import count_parameters

SETTINGS_ERRORS = (ValueError, TypeError, KeyError, AttributeError, ImportError, NotImplementedError, RuntimeError)
"""Errors of upstream's trainers and optimizers for settings that they do not take."""
SAMPLE_ROWS = 8
"""Number of rows, from the shortest to the longest, whose outputs are compared."""
TRIAL_EVALUATION_ROWS = 8


def check_model(steps: TaskSteps[Any, Any], session: Session) -> tuple[tuple[CheckLine, ...], float, float]:
    """Runs every check on the loaded model.

    Returns:
        The check lines, the loss of the trial step, and the seconds that the training of all seeds will take.
    """
    recipe, parts, report_part = session.data.recipe, steps.trial_parts(session), session.data.clock.part
    lines = [device_line(session.fast_path, recipe.upstream)]
    lines += [length_line(split, rows.n_rows, rows.n_truncated, rows.record) for split, rows in session.lengths.items()]
    report_part("sequences")
    lines += steps.model_checks(session)
    total, trained = count_parameters(session.model)
    new = ", ".join(session.new_weights[:3]) or "none"
    lines.append(CheckLine("trainable", f"{trained:,} of {plural(total, 'parameter')}; new: {new}"))
    remedy = f"The model mixes the {steps.sample_unit}s of a batch; its results would depend on the batch size."
    report_part("batch invariance")
    with computing(session):
        lines.append(proven(batch_invariance(steps, session), remedy))
    apply_fast_path(session.body, session.fast_path, session.used_token_ids)
    try:
        report_part("trial step on the longest rows")
        with computing(session):
            trial_lines, first_loss = check_trial_steps(parts, recipe.train.batch_rows, session.expected_loss)
        lines += trial_lines
        report_part("trial evaluation")
        started = time.perf_counter()
        values = steps.evaluate_fn(session, TRIAL_EVALUATION_ROWS)(session.model)
        took = time.perf_counter() - started
        require_metrics(session, values)
        lines.append(CheckLine("evaluation", f"a few rows in {took:.2f} s, loss {number(values['loss'])}"))
        report_part("time of a step")
        seconds, time_line = estimate_time(
            parts, batches_per_epoch(session.rows_per_epoch, recipe), recipe.train, session.start_steps
        )
    finally:
        remove_fast_path(session.body)
    if recipe.adapter is None:
        report_part("saving and loading")
        # The model is saved beside the output folder, never in it: that may be an earlier run. No file is left.
        nearest = nearest_folder(Path(os.path.expanduser(recipe.output)).absolute().parent)
        with disk_errors(nearest), tempfile.TemporaryDirectory(prefix=PART, dir=nearest) as folder:
            saved = steps.save_model(session, Path(folder) / "model", None)
        session.model.to(device_name())
        lines += [proven(proof, "The saved model would not be the trained one.") for proof in saved.certificates]
    report_part("training settings")
    # Last, since among several processes upstream's trainer connects them, and then only the first one saves files.
    return (*lines, training_settings(steps, session), time_line), first_loss, seconds


def require_metrics(session: Session, values: Mapping[str, float]) -> None:
    """Raises RecipeError if an evaluation on validation lacks a metric that selects the checkpoint or stops the training."""
    roles = {CHECKPOINT: session.checkpoint_metric, STOPPING: session.stopping_metric}
    for key, name in roles.items():
        if name not in values:
            named = key if key in named_metrics(session.data.recipe) else METRIC
            message = f"validation is not measured by {name}."
            raise RecipeError.one(".".join(named), message, f"It is measured by: {', '.join(values)}.")


def computing(session: Session) -> AbstractContextManager[None]:
    """Turns errors of a forward or backward pass into ModelError."""
    remedy = "Lower train.per_device_train_batch_size or data.max_length, or write train.fast: false for the plain upstream path."
    where = f"model.name {session.data.recipe.model.name}"
    return model_errors(where, "the model cannot compute its longest rows", remedy, (RuntimeError, IndexError))


def training_settings(steps: TaskSteps[Any, Any], session: Session) -> CheckLine:
    """Builds all that the training builds from its settings, in a folder that is removed; names the setting that is refused."""
    recipe, name = session.data.recipe, "training settings"
    try:
        schedule = build_training(steps, session)
    except InputError as error:
        problem = error.problems[0]
        where, remedy = refused_key(steps, session) if problem.where == SETTINGS else (problem.where, problem.remedy)
        return CheckLine(name, "refused", replace(problem, where=where, remedy=remedy))
    except SETTINGS_ERRORS as error:
        where, remedy = refused_key(steps, session)
        message = f"upstream's trainer refuses these settings: {first_line(error).rstrip('.')}."
        return CheckLine(name, "refused", Problem(name, where, message, remedy))
    epochs = schedule.total_steps / schedule.steps_per_epoch
    return CheckLine(name, f"{recipe.train.optim}, {plural(schedule.total_steps, 'step')} ({plural(epochs, 'epoch')})")


def build_training(steps: TaskSteps[Any, Any], session: Session) -> Schedule:
    """Builds the trainer and what it builds from the settings, and returns its schedule."""
    with tempfile.TemporaryDirectory() as folder:
        place = FitPlace(checkpoints=Path(folder) / "checkpoints", metrics_log=Path(folder) / "metrics.jsonl")
        plan = fit_plan(steps, session, session.data.recipe.train.seed, place)
        trainer, schedule = assemble(session.model, plan, StopRequest(), silent)
        try_settings(trainer, schedule)
    return schedule


def refused_key(steps: TaskSteps[Any, Any], session: Session) -> tuple[str, str]:
    """Returns the place of the refused setting and the remedy: the key under ``upstream`` without which all can be built."""
    recipe = session.data.recipe
    for key, value in recipe.upstream.items():
        others = {name: kept for name, kept in recipe.upstream.items() if name != key}
        data = replace(session.data, recipe=recipe.model_copy(update={"upstream": others}))
        try:
            build_training(steps, replace(session, data=data))
        except (InputError, *SETTINGS_ERRORS):
            continue
        return f"upstream.{key}", f"Leave it out, or write another value than {value!r}."
    return f"{SETTINGS} / adapter", "Change or remove them."


def batch_invariance(steps: TaskSteps[Any, Any], session: Session) -> Certificate:
    """Certifies that a row's outputs are the same alone and in a padded batch, in fp32, by the model in the form that is saved.

    In 8 bits they are not: LLM.int8() multiplies the columns in fp16 that have a large value in any row of the batch.
    """
    unit, saved = steps.sample_unit, steps.as_saved(session)
    if saved is not session:
        to_fp32(saved.model)
    together, alone = steps.sample_outputs(saved, SAMPLE_ROWS), steps.sample_outputs(saved, 1)
    return certificate(f"a {unit} alone equals the {unit} in a padded batch", together, alone, steps.sample_measure)
