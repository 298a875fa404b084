"""Runs the steps of a run up to its fits, the same for every task: read, load, check, fit each seed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tunesmith.disk import megabytes
from tunesmith.machine import quiet_libraries, restore_rng, rng_state, seed_everything
from tunesmith.models.source import stay_offline_unless_needed
from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.preflight.static import disk, from_finding, quantisation, trackers
from tunesmith.progress import Listener
from tunesmith.run_folder import RunFolder, seed_places
from tunesmith.tasks.table import Task
from tunesmith.tasks.task import Request, SeedResult, Session, TaskData, TaskSteps
from tunesmith.training.launch import rank
from tunesmith.training.signals import StopRequest, stop_on_signals

if TYPE_CHECKING:
    from tunesmith.tasks.fit_plan import FitPlace
    from tunesmith.training.fit import Fit


def read(task: Task, request: Request) -> TaskData:
    """Reads the rows and the base model's files, and runs the checks that need no torch. Raises InputError."""
    stay_offline_unless_needed(request.loaded.recipe)
    with request.clock.phase("data"):
        request.clock.part("reading")
        data: TaskData = task.reading.read(request)
        request.clock.part("checking the rows")
        recipe, source = data.recipe, data.source
        checks = (
            CheckLine("recipe", f"task {recipe.task}, model {recipe.model.name}, output {recipe.output}"),
            *(CheckLine("recipe", note) for note in request.loaded.notes),
            *task.reading.check_rows(data),
            *map(from_finding, data.findings),
            CheckLine("model files", f"{source.kind} {source.name}, {megabytes(source.n_bytes)} of weights"),
            *quantisation(recipe),
            disk(recipe, source, data.base, data.logged_bytes),
            trackers(recipe),
        )
        data = replace(data, checks=checks, clock=request.clock)
    CheckReport(data.checks).raise_if_failed()
    return data


def load(steps: TaskSteps[Any, Any], data: TaskData, seed: int, earlier: Session | None = None) -> Session:
    """Loads the base model for one seed; new weights are drawn by it.

    Args:
        earlier: the session of another seed, whose tokenised rows are used again.
    """
    quiet_libraries()
    session: Session = steps.load(data, seed, earlier)
    return session


def check(steps: TaskSteps[Any, Any], session: Session) -> tuple[CheckReport, Session]:
    """Runs the pre-flight on the loaded model, and restores the random state.

    Returns:
        The report; and the session, with the loss of the trial step.
    """
    from tunesmith.tasks.check_model import check_model

    state = rng_state()
    lines, first_loss, estimate_seconds = check_model(steps, session)
    restore_rng(state)
    return CheckReport((*session.data.checks, *lines), estimate_seconds), replace(session, trial_loss=first_loss)


def fit_seed(
    steps: TaskSteps[Any, Any], session: Session, seed: int, place: FitPlace, request: StopRequest, listener: Listener
) -> Fit:
    """Trains the session's model in place; it ends with the weights of its best evaluation. Raises as ``training.fit``."""
    from tunesmith.tasks.fit_plan import fit_plan
    from tunesmith.training.fit import fit

    seed_everything(seed)
    plan = fit_plan(steps, session, seed, place)
    return fit(session.model, plan, request, listener, resume=place.resume)


def fit_seeds(
    steps: TaskSteps[Any, Any], session: Session, folder: RunFolder, listener: Listener, *, resume: bool, smoke: bool
) -> list[SeedResult]:
    """Trains one model per seed and computes its outputs; the first seed uses the checked model."""
    from tunesmith.tasks.fit_plan import FitPlace

    train, seeds = session.data.recipe.train, []
    with stop_on_signals() as request:
        for seed in range(train.seed, train.seed + train.n_seeds):
            seed_session = session
            if seed != train.seed:
                seed_session = replace(load(steps, session.data, seed, session), trial_loss=session.trial_loss)
            checkpoints, log = seed_places(folder, seed, train.n_seeds)
            if rank() == 0:  # the others could come before the first process has claimed the folder
                checkpoints.mkdir(parents=True, exist_ok=True)
            place = FitPlace(checkpoints=checkpoints, metrics_log=log, resume=resume, smoke=smoke)
            seed_session = steps.start(seed_session, seed, request, listener)
            record = fit_seed(steps, seed_session, seed, place, request, listener)
            seeds.append(measured_seed(steps, seed_session, seed, record))
    return seeds


def measured_seed(steps: TaskSteps[Any, Any], session: Session, seed: int, record: Fit) -> SeedResult:
    """Computes the outputs of a trained model in the form in which it is saved."""
    from tunesmith.models.adapters.unquantised import measured_model

    saved = steps.as_saved(session)
    return SeedResult(seed, record, session, steps.outputs(saved), measured_model(session.model, saved.model))
