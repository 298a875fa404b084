"""The heavy steps of a run: the model in memory, the pre-flight on it, the fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.machine import device_name, quiet_libraries, restore_rng, rng_state, seed_everything
from tunesmith.models.adapters.attach import add_adapter
from tunesmith.models.fast.path import Kernels, choose_kernels
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import Loaded, load_classifier, load_tokenizer, max_input_tokens
from tunesmith.preflight.loaded import lengths, model_checks, time_estimate
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Listener
from tunesmith.recipe.metric_names import primary_metric
from tunesmith.run_folder import RunFolder, nearest_folder, seed_places
from tunesmith.tasks.classification.data import Inputs
from tunesmith.tasks.classification.training import Prepared, fit, predict, prepare
from tunesmith.training.fit import Fit
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.signals import stop_on_signals

JUDGED = ("validation", "test")


@dataclass(frozen=True)
class Ready:
    """A base model in memory and the tokenised rows.

    Attributes:
        loaded: the base model with its head, before anything is frozen or added.
        model: what will be trained: ``loaded.model`` with layers frozen, or wrapped by peft.
    """

    loaded: Loaded
    model: Any
    prepared: Prepared
    kernels: Kernels


@dataclass(frozen=True)
class SeedRun:
    """One fit and what its model says.

    Attributes:
        model: on the device, with the weights of the best evaluation.
        predictions, losses: split -> predictions at the usual thresholds, and the loss of every row (N).
    """

    seed: int
    fit: Fit
    model: Any
    predictions: dict[str, Predictions]
    losses: dict[str, np.ndarray]


def load_model(inputs: Inputs, seed: int, prepared: Prepared | None = None) -> Ready:
    """The base model with a fresh head drawn by this seed, and the tokenised rows (those given, or made now)."""
    quiet_libraries()
    recipe, labels = inputs.recipe, inputs.splits.labels
    tokenizer = load_tokenizer(inputs.source)
    seed_everything(seed)
    loaded = load_classifier(inputs.source, labels, tokenizer)
    max_length = max_input_tokens(loaded.model.config, tokenizer, recipe.data.max_length)
    prepared = prepared or prepare(recipe, inputs.splits, tokenizer, max_length)
    kernels = choose_kernels(fast=recipe.train.fast, device=device_name())
    if recipe.train.dropout is not None:
        set_dropout(loaded.model, recipe.train.dropout)
    if recipe.adapter is not None:
        n_batches = -(-len(prepared.encoded["train"]) // recipe.train.batch_rows)
        model = add_adapter(loaded.model, recipe.adapter, plan_schedule(n_batches, recipe.train).total_steps)
    else:
        freeze(loaded.model, recipe.train.train_layers)
        model = loaded.model
    return Ready(loaded, model.to(device_name()), prepared, kernels)


def preflight(inputs: Inputs, ready: Ready) -> CheckReport:
    """The whole pre-flight: what was checked without the model, and the checks on it."""
    place = nearest_folder(Path(inputs.recipe.output))
    state = rng_state()
    found = [
        *lengths(ready.prepared),
        *model_checks(inputs.recipe, ready.loaded, ready.model, ready.prepared, ready.kernels, place),
    ]
    estimate, line = time_estimate(inputs.recipe, ready.model, ready.prepared, ready.kernels)
    restore_rng(state)
    return CheckReport((*inputs.checks, *found, line), estimate)


def fit_seeds(inputs: Inputs, ready: Ready, folder: RunFolder, listener: Listener, *, resume: bool, smoke: bool) -> list[SeedRun]:
    """One fit per seed; the first uses the model that was checked.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    train, runs = inputs.recipe.train, []
    with stop_on_signals() as request:
        for seed in range(train.seed, train.seed + train.n_seeds):
            now = ready if seed == train.seed else load_model(inputs, seed, ready.prepared)
            seed_everything(seed)
            checkpoints, log = seed_places(folder, seed, train.n_seeds)
            fitted = fit(
                now.model, now.prepared, inputs.recipe, now.kernels, checkpoints, log, primary_metric(inputs.recipe), seed,
                request, listener, resume=resume, smoke=smoke,
            )  # fmt: skip
            runs.append(say(SeedRun(seed, fitted, now.model, {}, {}), now))
    return runs


def say(run: SeedRun, ready: Ready) -> SeedRun:
    """The run with its model's predictions for the judged splits."""
    prepared = ready.prepared
    said = {
        split: predict(run.model, prepared.encoded[split], prepared.pad_id, prepared.labels, ready.kernels)
        for split in JUDGED
        if split in prepared.encoded
    }
    return replace(run, predictions={s: p for s, (p, _) in said.items()}, losses={s: rows for s, (_, rows) in said.items()})


def chosen(runs: Sequence[SeedRun], higher_is_better: bool) -> SeedRun:
    """The run whose best evaluation on validation is the best; the first of equals."""

    def key(run: SeedRun) -> float:
        value = run.fit.best_value if run.fit.best_value is not None else float("-inf")
        return value if higher_is_better else -value

    return max(runs, key=key)
