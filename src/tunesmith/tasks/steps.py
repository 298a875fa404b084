"""The steps of a run up to its fits, the same for every task: read, load, check, fit each seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.machine import megabytes
from tunesmith.models.source import stay_offline_unless_asked
from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.preflight.static import disk, from_finding, trackers
from tunesmith.progress import Listener
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.table import Task
from tunesmith.tasks.task import Request, SeedResult, Session, TaskData, TaskSteps


def read(task: Task, request: Request) -> TaskData:
    """Reads the rows and the base model's files, and checks what needs no torch.

    Raises:
        InputError: anything that keeps the run from starting.
    """
    stay_offline_unless_asked(request.loaded.recipe)
    with request.clock.phase("data"):
        data: TaskData = task.reading.read(request)
        data = replace(data, checks=tuple(static_checks(task, data)))
    CheckReport(data.checks).refuse()
    return data


def static_checks(task: Task, data: TaskData) -> Iterator[CheckLine]:
    """Checks the recipe, the rows, the findings, the model's files and the disk."""
    recipe, source = data.recipe, data.source
    yield CheckLine("recipe", f"task {recipe.task}, model {recipe.model.name}, output {recipe.output}")
    yield from task.reading.check_rows(data)
    for finding in data.findings:
        yield from_finding(finding)
    yield CheckLine("model files", f"{source.kind} {source.name}, {megabytes(source.n_bytes)} of weights")
    yield disk(source, Path(recipe.output))
    yield trackers(recipe)


def load(steps: TaskSteps[Any, Any], data: TaskData, seed: int, earlier: Session | None = None) -> Session:
    """Loads the base model for one seed; new weights are drawn by it.

    Args:
        earlier: the session of another seed, whose tokenised rows are used again.
    """
    from tunesmith.machine import quiet_libraries

    quiet_libraries()
    session: Session = steps.load(data, seed, earlier)
    return session


def check(steps: TaskSteps[Any, Any], session: Session) -> tuple[CheckReport, Session]:
    """Runs the pre-flight on the loaded model. The random state is afterwards what it was.

    Returns:
        The report; and the session, whose expected loss is that of the trial step where none was known before.
    """
    from tunesmith.machine import restore_rng, rng_state
    from tunesmith.tasks.check_model import check_model

    state = rng_state()
    checked = check_model(steps, session)
    restore_rng(state)
    if math.isnan(session.expected_loss):
        session = replace(session, expected_loss=checked.first_loss)
    return CheckReport((*session.data.checks, *checked.lines), checked.estimate_seconds), session


def fit_seeds(
    steps: TaskSteps[Any, Any], session: Session, folder: RunFolder, listener: Listener, *, resume: bool, smoke: bool
) -> list[SeedResult]:
    """Trains one model per seed and computes its outputs; the first seed uses the model that was checked.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    from tunesmith.machine import seed_everything
    from tunesmith.recipe.metric_names import higher_is_better
    from tunesmith.run_folder import seed_places
    from tunesmith.training.fit import FitPlan, fit
    from tunesmith.training.signals import stop_on_signals

    recipe, seeds = session.data.recipe, []
    with stop_on_signals() as request:
        for seed in range(recipe.train.seed, recipe.train.seed + recipe.train.n_seeds):
            now = session
            if seed != recipe.train.seed:
                now = replace(load(steps, session.data, seed, session), expected_loss=session.expected_loss)
            seed_everything(seed)
            checkpoints, log = seed_places(folder, seed, recipe.train.n_seeds)
            plan = FitPlan(
                recipe=recipe,
                spec=steps.trainer_spec(now, steps.evaluate_fn(now, None), seed),
                n_rows=now.rows_per_epoch,
                metric=now.metric,
                higher_is_better=higher_is_better(now.metric),
                checkpoints=checkpoints,
                metrics_log=log,
                kernels=now.kernels,
                body=now.body,
                used_token_ids=now.used_token_ids,
                seed=seed,
                smoke=smoke,
            )
            fitted = fit(now.model, plan, request, listener, resume=resume)
            seeds.append(SeedResult(seed, fitted, now, steps.outputs(now)))
    return seeds
