"""Defaults that follow from the size of the base model and the number of training rows.

A small model underfits in the few epochs of fine-tuning: dropout slows it down, and it can take larger batches. The figures
behind both are in docs/experiments.md.
"""

from __future__ import annotations

from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import task_settings

SMALL_MODEL_BYTES = 200_000_000
"""Fifty million weights in fp32."""
MANY_ROWS = 4_000


def with_defaults(recipe: Recipe, model_bytes: int, n_rows: int) -> Recipe:
    """Fill in the batch size and the dropout that the recipe leaves open and that are known before the model is loaded.

    Args:
        model_bytes: size of the base model's weights; 0 where it is unknown, which counts as large.
        n_rows: training rows.
    """
    task, is_small = task_settings(recipe), 0 < model_bytes < SMALL_MODEL_BYTES
    defaults: dict[str, float] = {}
    if recipe.train.per_device_train_batch_size is None:
        large_batch = task.small_model_batch_rows if is_small and n_rows >= MANY_ROWS else None
        batch_rows = large_batch or task.batch_rows
        if batch_rows is not None:
            defaults["per_device_train_batch_size"] = batch_rows
    if recipe.train.dropout is None and is_small:
        defaults["dropout"] = 0.0
    if not defaults:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=defaults)})
