"""Reads the prompts and the reward functions of a run of ppo without torch."""

from __future__ import annotations

from functools import partial

from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.policies.data import check_rows, read
from tunesmith.tasks.task import TaskReading


def with_batches(recipe: Recipe) -> Recipe:
    """Fills in the rows of a batch, by TRL's rule.

    rollout_batch_size = per_device_train_batch_size * gradient_accumulation_steps * num_mini_batches
    """
    own, train = recipe.ppo, recipe.train
    rows = own.rollout_batch_size // (own.num_mini_batches * train.gradient_accumulation_steps)
    return recipe.model_copy(update={"train": train.model_copy(update={"per_device_train_batch_size": rows})})


READING = TaskReading(partial(read, "ppo", with_batches), check_rows)
