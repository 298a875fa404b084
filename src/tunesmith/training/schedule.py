"""Plans the optimizer steps of a run: when to log, evaluate and save."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError
from tunesmith.recipe.sections import Recipe, TrainSection


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


def batches_per_epoch(n_rows: int, recipe: Recipe) -> int:
    """Returns the batches of one epoch in each process. Raises RecipeError if incomplete ones are dropped and none is left."""
    size, drops = recipe.train.batch_rows * recipe.parallel.processes, bool(recipe.upstream.get("dataloader_drop_last"))
    if drops and n_rows < size:
        message = f"no whole batch of {plural(size, 'row')} is left of {plural(n_rows, 'training row')}."
        remedy = (
            f"Leave it out, or write train.per_device_train_batch_size: {max(1, n_rows // recipe.parallel.processes)} or less."
        )
        raise RecipeError.one("upstream.dataloader_drop_last", message, remedy)
    return n_rows // size if drops else -(-n_rows // size)


def plan_schedule(n_batches_per_epoch: int, train: TrainSection) -> Schedule:
    """Plans the steps for so many batches (per process) in an epoch.

    Evaluations and logs are spread evenly; with fewer steps than requested, there is one at each step.
    """
    steps_per_epoch = max(1, math.ceil(n_batches_per_epoch / train.gradient_accumulation_steps))
    total = train.max_steps or max(1, math.ceil(steps_per_epoch * train.epochs))
    warmup = math.ceil(total * train.warmup_steps) if train.warmup_steps < 1 else int(train.warmup_steps)
    return Schedule(total, steps_per_epoch, spread(total, train.n_evaluations), spread(total, train.n_logs), warmup)


def spread(total: int, count: int) -> tuple[int, ...]:
    """Spreads ``count`` steps evenly over 1..total, the last of them ``total``; all steps if there are fewer."""
    return tuple(sorted({math.ceil(total * i / count) for i in range(1, count + 1)}))
