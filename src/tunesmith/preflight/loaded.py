"""Checks on the loaded model: the run in miniature, before it is paid for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.errors import Problem
from tunesmith.models.encode import used_token_ids
from tunesmith.models.equivalence import batch_invariance, longest_rows, save_and_reload, spread_rows, trial_step
from tunesmith.models.fast.path import FastPath, apply_fast_path, remove_fast_path
from tunesmith.models.load import LoadedModel
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Certificate
from tunesmith.tasks.classification.training import Prepared, measure
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.weights import count_parameters

FIRST_LOSS_FACTOR = 2.0


def lengths(prepared: Prepared) -> Iterator[CheckLine]:
    """How long the inputs are and how many lose their end."""
    for name, encoded in prepared.encoded.items():
        longest = int(encoded.full_lengths.max())
        share = encoded.n_truncated / len(encoded)
        figure = f"longest {longest:,} tokens, limit {prepared.max_length:,}, {encoded.n_truncated:,} rows cut"
        note = (
            f"{share:.0%} of {name} is longer than data.max_length = {prepared.max_length} and loses its end"
            if share > 0.05
            else ""
        )
        yield CheckLine(f"lengths of {name}", figure, note=note)


def model_checks(
    recipe: Recipe, loaded: LoadedModel, model: Any, prepared: Prepared, kernels: FastPath, place: Path
) -> Iterator[CheckLine]:
    """Trainable share, batch invariance, one step on the longest batch, an evaluation, save and reload."""
    total, trained = count_parameters(model)
    yield CheckLine("trainable", f"{trained:,} of {total:,} parameters; new: {', '.join(loaded.new_weights) or 'none'}")
    yield proven(
        batch_invariance(model, prepared.encoded["train"], prepared.pad_id),
        "The model mixes rows of a batch; its results would depend on the batch size.",
    )
    yield from one_step(recipe, model, prepared, kernels)
    yield one_evaluation(model, prepared, kernels)
    if not recipe.adapter:
        from tunesmith.models.load import reload_classifier

        certificate = save_and_reload(model, reload_classifier, prepared.encoded["train"], prepared.pad_id, place)
        yield proven(certificate, "What is saved would not be what was trained.")


def proven(certificate: Certificate, remedy: str) -> CheckLine:
    """A certificate as a line."""
    figure = f"{certificate.note} {certificate.figure:.2g} (limit {certificate.limit:.2g})"
    problem = None if certificate.passed else Problem(certificate.name, "", f"{figure}.", remedy)
    return CheckLine(certificate.name, figure, problem)


def one_step(recipe: Recipe, model: Any, prepared: Prepared, kernels: FastPath) -> Iterator[CheckLine]:
    """Forward and backward on the longest batch: memory, the first loss, gradients."""
    apply_fast_path(model, kernels, used_token_ids(prepared.encoded["train"], prepared.pad_id))
    started = time.perf_counter()
    try:
        rows = longest_rows(prepared.encoded["train"], recipe.train.batch_rows)
        loss, without, bad = trial_step(model, rows, prepared.pad_id, prepared.loss, kernels)
    finally:
        remove_fast_path(model)
    yield CheckLine("longest batch", f"one step took {time.perf_counter() - started:.2f} s")
    yield first_loss(loss, prepared)
    yield gradient_line(without, bad)


def gradient_line(without: list[str], bad: list[str]) -> CheckLine:
    """Whether every trainable parameter gets a gradient, and a finite one."""
    wrong = [(without, "get no gradient"), (bad, "get gradients that are not finite")]
    said = [f"{len(names)} trainable parameters {what}: {', '.join(names[:3])}" for names, what in wrong if names]
    problem = (
        Problem("gradients", "", f"{'; '.join(said)}.", "Choose another train.train_layers, or freeze them.") if bad else None
    )
    figure = "; ".join(said) or "finite in every trainable parameter"
    return CheckLine("gradients", figure, problem, note="; ".join(said) if without and not bad else "")


def first_loss(loss: float, prepared: Prepared) -> CheckLine:
    """The first loss against that of a model that knows nothing."""
    figure = f"{loss:.4f}, a model that knows nothing has {prepared.expected_loss:.4f}"
    if not math.isfinite(loss):
        return CheckLine(
            "first loss",
            figure,
            Problem("first loss", "", f"it is {loss}.", "The base model's weights are damaged, or the precision is too low."),
        )
    far = loss > FIRST_LOSS_FACTOR * prepared.expected_loss + 0.5 and prepared.labels.problem_type != "regression"
    return CheckLine("first loss", figure, note=f"the first loss is far above chance: {figure}" if far else "")


def one_evaluation(model: Any, prepared: Prepared, kernels: FastPath) -> CheckLine:
    """An evaluation pass over a few rows."""
    from dataclasses import replace

    few = {"validation": spread_rows(prepared.encoded["validation"], 32)}
    started = time.perf_counter()
    values = measure(replace(prepared, encoded=few), kernels)(model)
    return CheckLine(
        "evaluation", f"{len(few['validation'])} rows in {time.perf_counter() - started:.2f} s, loss {values['loss']:.4f}"
    )


def time_estimate(recipe: Recipe, model: Any, prepared: Prepared, kernels: FastPath) -> tuple[float, CheckLine]:
    """Seconds the training will take, from the time per token of two steps on rows of every length."""
    train = prepared.encoded["train"]
    rows = spread_rows(train, recipe.train.batch_rows)
    apply_fast_path(model, kernels, used_token_ids(train, prepared.pad_id))
    try:
        trial_step(model, rows, prepared.pad_id, prepared.loss, kernels)
        started = time.perf_counter()
        trial_step(model, rows, prepared.pad_id, prepared.loss, kernels)
        seconds = time.perf_counter() - started
    finally:
        remove_fast_path(model)
    padded_tokens = int(rows.lengths.max()) * len(rows)
    schedule = plan_schedule(-(-len(train) // recipe.train.batch_rows), recipe.train)
    tokens = int(train.lengths.mean() * len(rows)) * schedule.total_steps * recipe.train.gradient_accumulation_steps
    estimate = seconds / padded_tokens * tokens
    times = f" for each of {recipe.train.n_seeds} seeds" if recipe.train.n_seeds > 1 else ""
    figure = f"training about {estimate:,.0f} s ({schedule.total_steps:,} steps){times}"
    return estimate * recipe.train.n_seeds, CheckLine("time", figure)
