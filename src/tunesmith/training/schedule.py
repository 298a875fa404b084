"""Plans the optimizer steps of a run: when to log, evaluate and save."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunesmith.recipe.batches import steps_per_epoch
from tunesmith.recipe.sections import TrainSection


@dataclass(frozen=True)
class Schedule:
    """The plan of a run in optimizer steps, counted from 1.

    Attributes:
        total_steps: optimizer steps of the whole run.
        steps_per_epoch: optimizer steps of one epoch.
        evaluate_at, log_at: increasing; the last entry is ``total_steps``.
        warmup_steps: steps of linear warm-up.
    """

    total_steps: int
    steps_per_epoch: int
    evaluate_at: tuple[int, ...]
    log_at: tuple[int, ...]
    warmup_steps: int


def plan_schedule(n_batches_per_epoch: int, train: TrainSection) -> Schedule:
    """Plans the steps for so many batches (per process) in an epoch.

    Evaluations and logs are spread evenly; with fewer steps than requested, there is one at each step.
    """
    n_steps = steps_per_epoch(n_batches_per_epoch, train)
    total = train.max_steps or max(1, math.ceil(n_steps * train.epochs))
    warmup = math.ceil(total * train.warmup_steps) if train.warmup_steps < 1 else int(train.warmup_steps)
    return Schedule(total, n_steps, spread(total, train.n_evaluations), spread(total, train.n_logs), warmup)


def spread(total: int, count: int) -> tuple[int, ...]:
    """Spreads ``count`` steps evenly over 1..total, the last of them ``total``; all steps if there are fewer."""
    return tuple(sorted({math.ceil(total * i / count) for i in range(1, count + 1)}))
