"""Trains one model with one seed by upstream's trainer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from tunesmith.errors import Interrupted, TrainingFailed
from tunesmith.models.fast.path import FastPath, apply_fast_path, remove_fast_path
from tunesmith.progress import Event, Listener
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.metric_names import metric_title
from tunesmith.recipe.sections import Recipe
from tunesmith.report.numbers import number
from tunesmith.training.arguments import learning_rate, training_arguments
from tunesmith.training.callbacks import EvaluateWhatIsMissing, FollowSchedule, KeepCheckpoints, StopEarly, WriteLog
from tunesmith.training.checkpoints import best_weights, newest_whole
from tunesmith.training.guarded import GuardedTrainer, require_finite_weights
from tunesmith.training.history import LogHistory, best_so_far, selected
from tunesmith.training.schedule import Schedule, plan_schedule
from tunesmith.training.signals import StopRequest
from tunesmith.training.weights import count_parameters, load_trained, save_trained

MakeTrainer = Callable[[TrainingArguments, Schedule], GuardedTrainer]


@dataclass(frozen=True)
class TrainerSpec:
    """The part of a fit that depends on the task.

    Attributes:
        make_trainer: arguments and schedule -> the task's trainer of the model on the rows.
        arguments_class, arguments: upstream's class of arguments for this trainer, and arguments that only this class has.
        around: a context manager around the training.
    """

    make_trainer: MakeTrainer
    arguments_class: type[TrainingArguments] = TrainingArguments
    arguments: Mapping[str, object] = field(default_factory=dict)
    around: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """The settings of a fit.

    Attributes:
        n_rows: items of one epoch.
        metric, higher_is_better: the selection metric: it chooses the best checkpoint.
        stopping_metric, stops_at_higher: the metric of early stopping, and whether larger values of it are better.
        used_token_ids: every token id in the training batches; see ``apply_fast_path``.
        body: the module that the fast path is applied to.
        smoke: no saves; the last weights are kept.
        rate_factor: of the default learning rate; one that the recipe names is taken as it is.
    """

    recipe: Recipe
    spec: TrainerSpec
    n_rows: int
    metric: str
    higher_is_better: bool
    stopping_metric: str
    stops_at_higher: bool
    checkpoints: Path
    metrics_log: Path
    fast_path: FastPath
    body: torch.nn.Module
    seed: int
    used_token_ids: np.ndarray | None = None
    smoke: bool = False
    rate_factor: float = 1.0


@dataclass(frozen=True)
class Fit:
    """The record of a fit; the weights are in the model.

    Attributes:
        best_step: the step of the model's weights.
        learning_rate, highest_learning_rate: the peak that was requested, and the highest of any step.
        train_seconds: duration of the training loop, with evaluations and saves.
        rows_per_second: training rows over the time of the loop without evaluations and saves.
        notes: messages for the user, such as an ignored checkpoint or an early stop.
        epoch_logits: (E, N, K) float16 of the training rows in each complete epoch, in the mode ``training.epoch_logits.MODE``;
            None if they were not kept.
    """

    schedule: Schedule
    history: LogHistory
    best_step: int
    best_value: float | None
    learning_rate: float
    highest_learning_rate: float
    train_seconds: float
    rows_per_second: float
    n_parameters: int
    n_trainable_parameters: int
    steps: int
    notes: tuple[str, ...]
    epoch_logits: np.ndarray | None = None


def fit(model: torch.nn.Module, plan: FitPlan, request: StopRequest, listener: Listener, *, resume: bool = False) -> Fit:
    """Trains the model in place; it ends with the weights of its best evaluation.

    Raises:
        NonFinite, TrainingFailed: a loss, gradient or weight that is not finite, or divergence.
        Interrupted: a stop was requested; the state was saved at a step boundary.
    """
    trainer, schedule = assemble(model, plan, request, listener)
    notes: list[str] = []
    checkpoint = None
    if resume:
        checkpoint, notes = newest_whole(plan.checkpoints)
        notes.append(
            f"resumed from step {checkpoint.step}" if checkpoint else "there was no complete checkpoint: training starts again"
        )
    listener(Event("phase", "training", 0, schedule.total_steps))
    started = time.perf_counter()
    with plan.spec.around():
        apply_fast_path(plan.body, plan.fast_path, plan.used_token_ids)
        try:
            with request.held():
                trainer.resume(checkpoint.path) if checkpoint else trainer.train()
        finally:
            remove_fast_path(plan.body)
            trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # else its forward stays under autocast
    seconds = time.perf_counter() - started
    if request:
        raise Interrupted(f"stopped by {request.signal_name} after step {trainer.state.global_step} of {schedule.total_steps}")
    return conclude(model, plan, trainer, schedule, seconds, notes)


def assemble(model: torch.nn.Module, plan: FitPlan, request: StopRequest, listener: Listener) -> tuple[GuardedTrainer, Schedule]:
    """Builds the trainer with its callbacks, and plans the schedule."""
    recipe = plan.recipe
    schedule = plan_schedule(batches_per_epoch(plan.n_rows, recipe), recipe.train)
    factor = plan.rate_factor if recipe.train.learning_rate is None else 1.0
    rate = factor * learning_rate(recipe, count_parameters(model)[0])
    arguments = training_arguments(
        recipe,
        schedule,
        plan.fast_path,
        plan.checkpoints,
        plan.seed,
        rate,
        arguments_class=plan.spec.arguments_class,
        own_arguments=plan.spec.arguments,
    )
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(plan.metrics_log.parent / "tensorboard")  # the only way upstream offers
    trainer = plan.spec.make_trainer(arguments, schedule)
    trainer.stop = request
    trainer.remove_callback(PrinterCallback)  # it prints every log entry to standard output
    for callback in callbacks(model, plan, trainer, schedule, request, listener):
        trainer.add_callback(callback)
    return trainer, schedule


def try_settings(trainer: GuardedTrainer, schedule: Schedule) -> None:
    """Builds what the training builds from its settings: optimizer, schedule, data loader, first batch, compiled module.

    Raises what upstream raises for settings that it does not take.
    """
    trainer.create_optimizer_and_scheduler(schedule.total_steps)
    # The rows of a batch are drawn, by the seed, without a worker that loads them.
    next(iter(trainer.get_train_dataloader().batch_sampler or ()))
    if trainer.args.torch_compile:
        torch.compile(torch.nn.Identity(), **trainer.accelerator.state.dynamo_plugin.to_kwargs())


def callbacks(
    model: torch.nn.Module, plan: FitPlan, trainer: GuardedTrainer, schedule: Schedule, request: StopRequest, listener: Listener
) -> list[TrainerCallback]:
    """Returns the callbacks of a run, in the order they act."""
    active: list[TrainerCallback] = [FollowSchedule(schedule, request, listener, plan.metric), WriteLog(plan.metrics_log)]
    if plan.recipe.train.early_stopping is not None:
        active.append(StopEarly(plan.recipe.train.early_stopping, plan.stopping_metric, plan.stops_at_higher))
    if not plan.smoke:
        total, trained = count_parameters(model)
        # The largest size of one complete checkpoint: the weights, and two fp32 moments of every trainable parameter.
        save_bytes = 4 * total + 8 * trained + 1_000_000 + trainer.own_state_bytes()
        active.append(
            KeepCheckpoints(
                folder=plan.checkpoints,
                metric=plan.metric,
                higher_is_better=plan.higher_is_better,
                total_steps=schedule.total_steps,
                save_bytes=save_bytes,
                save_weights=lambda folder: save_trained(model, folder),
                save_own_state=trainer.save_own_state,
                keeps_all=plan.recipe.train.save_strategy == "all",
                limit=plan.recipe.train.save_total_limit,
            )
        )
    return [*active, EvaluateWhatIsMissing(schedule, lambda: trainer._evaluate(None, None))]  # the others act on what it finds


def conclude(
    model: torch.nn.Module, plan: FitPlan, trainer: GuardedTrainer, schedule: Schedule, seconds: float, notes: list[str]
) -> Fit:
    """Restores the best weights, checks that they are finite, and returns the record of the fit."""
    require_finite_weights(model)
    best = selected(trainer.state.log_history, plan.metric, plan.higher_is_better)
    if best is None:
        raise TrainingFailed(f"No evaluation gave a finite {metric_title(plan.metric)}; there is no best model to keep.")
    if best.n_ties > 1 and plan.metric != "loss":
        title, value = metric_title(plan.metric), number(best.value)
        notes.append(f"{best.n_ties} evaluations have the best {title} ({value}): the one with the lowest loss is selected")
    steps = trainer.state.global_step
    if steps < schedule.total_steps:
        stopping = plan.recipe.train.early_stopping
        delta = 0.0 if stopping is None else stopping.delta
        last = best_so_far(trainer.state.log_history, plan.stopping_metric, plan.stops_at_higher, delta)
        since = (
            "" if last is None or stopping is None else f": no better {metric_title(plan.stopping_metric)} since step {last.step}"
        )
        notes.append(f"stopped early at step {steps} of {schedule.total_steps}{since}")
    if not plan.smoke and best.step != steps:
        load_trained(model, best_weights(plan.checkpoints, best.step))
        require_finite_weights(model)
    total, trained = count_parameters(model)
    return Fit(
        schedule=schedule,
        history=trainer.state.log_history,
        best_step=steps if plan.smoke else best.step,
        best_value=best.value,
        learning_rate=trainer.args.learning_rate,
        highest_learning_rate=trainer.highest_rate,
        train_seconds=seconds,
        rows_per_second=trainer.rows_trained / max(trainer.loop_seconds, 1e-9),
        n_parameters=total,
        n_trainable_parameters=trained,
        steps=steps,
        notes=tuple(notes),
        epoch_logits=trainer.logits_of_epochs(),
    )
