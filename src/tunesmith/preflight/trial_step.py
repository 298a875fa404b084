"""Runs a training step before the training: memory for the longest rows, the first loss, gradients, and the total time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.errors import Problem
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.sections import TrainSection
from tunesmith.report.numbers import number
from tunesmith.results import Certificate
from tunesmith.training.schedule import plan_schedule

ABOVE_CHANCE = 0.75
"""A note warns of a first loss so far above chance level (in nats, or in variances of a score): three standard errors of a batch
of 32 scores, and more than random weights of any vocabulary add."""
MANY_TRUNCATED = 0.05
"""Above this share of truncated rows, a note warns of it."""


@dataclass(frozen=True)
class TrialPart:
    """Training rows that share a loss.

    Attributes:
        lengths: (N) tokens, or characters, of each item.
        compute_loss: positions of items -> their training loss, with its graph, in training mode.
        module: holds every trainable parameter of this loss.
        loss_name: the loss class, if the user chooses among several.
        is_bucketed: training batches hold rows of similar length, and have less padding than a batch drawn at random.
    """

    lengths: Array
    compute_loss: Callable[[list[int]], torch.Tensor]
    module: torch.nn.Module
    loss_name: str = ""
    is_bucketed: bool = False

    def longest(self, count: int) -> list[int]:
        """Returns the positions of the longest items."""
        return [int(i) for i in np.argsort(-self.lengths, kind="stable")[:count]]

    def random(self, count: int) -> list[int]:
        """Returns positions of items drawn at random, the same each time."""
        return [int(i) for i in np.random.default_rng(0).permutation(len(self.lengths))[:count]]


@dataclass(frozen=True)
class TrialResult:
    """One forward and backward pass.

    Attributes:
        without_gradient, not_finite: names of trainable parameters.
    """

    loss: float
    without_gradient: list[str]
    not_finite: list[str]


def trial_step(part: TrialPart, positions: list[int]) -> TrialResult:
    """Runs one forward and backward pass. Clears the gradients, updates nothing, and restores the mode."""
    was_training = part.module.training
    part.module.train()
    loss = part.compute_loss(positions)
    loss.backward()  # type: ignore[no-untyped-call]
    named = [(name, parameter) for name, parameter in part.module.named_parameters() if parameter.requires_grad]
    without = [name for name, parameter in named if parameter.grad is None]
    bad = [name for name, parameter in named if parameter.grad is not None and not bool(parameter.grad.isfinite().all())]
    part.module.zero_grad(set_to_none=True)
    part.module.train(was_training)
    return TrialResult(float(loss.detach()), without, bad)


def check_trial_steps(parts: Sequence[TrialPart], batch_rows: int, expected_loss: float) -> tuple[list[CheckLine], float]:
    """Checks one step on the longest rows of each part: memory, the first loss, gradients. Returns also the largest loss."""
    started = time.perf_counter()
    results = [trial_step(part, part.longest(batch_rows)) for part in parts]
    lines = [CheckLine("longest batch", f"one step took {time.perf_counter() - started:.2f} s")]
    for part, result in zip(parts, results, strict=True):
        lines += [first_loss_line(result.loss, expected_loss, part.loss_name), gradient_line(result)]
    return lines, max(result.loss for result in results)


def first_loss_line(loss: float, expected: float, loss_name: str) -> CheckLine:
    """Compares the first loss with the expected one; a loss that is not finite is a problem."""
    figure = number(loss) + (f" ({loss_name})" if loss_name else "")
    if math.isfinite(expected):
        figure += f", at chance level it is {number(expected)}"
    if not math.isfinite(loss):
        remedy = "The base model's weights are damaged, the precision is too low, or the loss cannot take these rows."
        return CheckLine("first loss", figure, Problem("first loss", "", f"it is {loss}.", remedy))
    note = f"the first loss is above chance level: {figure}" if loss > expected + ABOVE_CHANCE else ""
    remedy = "Check that the model's head and tokenizer belong to these weights."
    return CheckLine("first loss", figure, note=note, remedy=remedy)


def gradient_line(result: TrialResult) -> CheckLine:
    """Checks that every trainable parameter gets a finite gradient."""
    wrong = [(result.without_gradient, "no gradient"), (result.not_finite, "gradients that are not finite")]
    parts = [
        f"{plural(len(names), 'trainable parameter', 'gets', 'get')} {what}: {', '.join(names[:3])}"
        for names, what in wrong
        if names
    ]
    text = "; ".join(parts)
    if result.not_finite:
        problem = Problem("gradients", "", f"{text}.", "Choose another train.train_layers, or freeze them.")
        return CheckLine("gradients", text, problem)
    remedy = "They stay as they are. Leave them out of train.train_layers or the adapter's target_modules."
    return CheckLine("gradients", text or "finite in every trainable parameter", note=text, remedy=remedy)


def estimate_time(
    parts: Sequence[TrialPart], batches_per_epoch: int, train: TrainSection, start_steps: int = 0
) -> tuple[float, CheckLine]:
    """Estimates the seconds that the training of all seeds takes, from one step on rows drawn at random.

    Args:
        start_steps: steps before the training.
    """
    seconds = []
    for part in parts:
        positions = part.random(train.batch_rows)
        trial_step(part, positions)  # the first step also allocates
        started = time.perf_counter()
        trial_step(part, positions)
        padding = float(part.lengths.mean() / part.lengths[positions].max()) if part.is_bucketed else 1.0
        seconds.append((time.perf_counter() - started) * padding)
    schedule = plan_schedule(batches_per_epoch, train)
    estimate = float(np.mean(seconds)) * (schedule.total_steps * train.gradient_accumulation_steps + start_steps)
    times = f" for each of {plural(train.n_seeds, 'seed')}" if train.n_seeds > 1 else ""
    before = f" after {start_steps:,} of distillation" if start_steps else ""
    figure = f"training about {estimate:,.0f} s ({plural(schedule.total_steps, 'step')}{before}){times}"
    return estimate * train.n_seeds, CheckLine("time", figure)


def length_line(split: str, n_rows: int, n_truncated: int, record: Mapping[str, Any]) -> CheckLine:
    """Describes the lengths of a split's rows, and what is lost of rows that are too long.

    Args:
        record: see ``tasks.task.SplitLengths``.
    """
    lost = [f"{plural(count, 'row')} dropped: {reason}" for reason, count in record.get("rows_dropped", {}).items()]
    lost += [f"{plural(cut, 'row')} cut"] if (cut := record.get("rows_truncated", 0)) else []
    lost += [f"{plural(divided, 'text')} divided"] if (divided := record.get("rows_divided", 0)) else []
    lost += [f"{plural(tokens, 'supervised token')} lost"] if (tokens := record.get("target_tokens_lost", 0)) else []
    text = "; ".join(lost) or "nothing cut"
    longest, limit = record.get("length_tokens", {}).get("max", 0), record.get("max_length") or 0
    figure = f"longest {plural(longest, 'token')}, limit {limit:,}; {text}"
    share = n_truncated / max(1, n_rows)
    note = f"{share:.0%} of {split} does not fit into {plural(limit, 'token')}" if share > MANY_TRUNCATED else ""
    remedy = "Raise data.max_length as far as the model allows, or shorten or split the texts."
    return CheckLine(f"lengths of {split}", figure, note=note, remedy=remedy)


def proven(certificate: Certificate, remedy: str) -> CheckLine:
    """Returns a certificate as a check line."""
    figure = f"{certificate.note} {certificate.figure:.2g} (limit {certificate.limit:.2g})"
    problem = None if certificate.passed else Problem(certificate.name, "", f"{figure}.", remedy)
    return CheckLine(certificate.name, figure, problem)
