"""Counts the batches and the optimizer steps of one epoch."""

from __future__ import annotations

from tunesmith.errors import RecipeError
from tunesmith.recipe.sections import Recipe, TrainSection


def batches_per_epoch(n_rows: int, recipe: Recipe) -> int:
    """Returns the batches of one epoch in each process. Raises RecipeError if incomplete ones are dropped and none is left."""
    n_batches = count_batches(n_rows, recipe)
    if n_rows and not n_batches:
        message = f"no whole batch is left (training rows: {n_rows:,}, rows of a batch: {rows_of_step(recipe):,})."
        remedy = (
            f"Leave it out, or write train.per_device_train_batch_size: {max(1, n_rows // recipe.parallel.processes)} or less."
        )
        raise RecipeError.one("upstream.dataloader_drop_last", message, remedy)
    return n_batches


def count_batches(n_rows: int, recipe: Recipe) -> int:
    """Returns the batches of so many rows in each process; 0 if incomplete ones are dropped and none is left."""
    size = rows_of_step(recipe)
    return n_rows // size if recipe.upstream.get("dataloader_drop_last") else -(-n_rows // size)


def rows_of_step(recipe: Recipe) -> int:
    """Returns the rows of one batch in all processes together."""
    return recipe.train.batch_rows * recipe.parallel.processes


def steps_per_epoch(n_batches: int, train: TrainSection) -> int:
    """Returns the optimizer steps of one epoch of so many batches (per process), at least 1."""
    return max(1, -(-n_batches // train.gradient_accumulation_steps))
