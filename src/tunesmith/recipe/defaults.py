"""Sets defaults that depend on the size of the base model and on the number of training rows.

A small model underfits in the few epochs of fine-tuning, so it trains without dropout and with larger batches.
Measurements: docs/experiments.md.
"""

from __future__ import annotations

from tunesmith.recipe.sections import Recipe

SMALL_MODEL_BYTES = 200_000_000
"""Fifty million weights in fp32."""
MANY_ROWS = 4_000
BATCH_OF_MANY_ROWS = 64
BATCH_OF_ANSWERS = 8
"""Conversations are long, and data sets of a few hundred rows should still give a few dozen optimizer steps."""


def with_defaults(recipe: Recipe, model_bytes: int, n_rows: int) -> Recipe:
    """Fills in the defaults that can be set before the model is loaded.

    Args:
        model_bytes: size of the base model's weights; 0 if unknown, which counts as large.
        n_rows: training rows.
    """
    settled: dict[str, float] = {}
    if recipe.task == "sft" and recipe.train.per_device_train_batch_size is None:
        settled["per_device_train_batch_size"] = BATCH_OF_ANSWERS
    if 0 < model_bytes < SMALL_MODEL_BYTES:
        if recipe.train.dropout is None:
            settled["dropout"] = 0.0
        if recipe.train.per_device_train_batch_size is None and n_rows >= MANY_ROWS and recipe.task != "sft":
            settled["per_device_train_batch_size"] = BATCH_OF_MANY_ROWS
    if not settled:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=settled)})
