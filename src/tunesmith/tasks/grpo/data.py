"""Reads the prompts and the reward functions of a run of grpo without torch."""

from __future__ import annotations

from functools import partial

from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.policies.data import check_rows, read
from tunesmith.tasks.task import TaskReading

ANSWERS_OF_GENERATION = 32
"""Answers of a generation where the recipe gives no batch size; at least one group a batch."""


def with_batches(recipe: Recipe) -> Recipe:
    """Fills in the rows of a batch, whole groups, and the batches of a generation, as TRL's trainers do.

    answers of a generation = per_device_train_batch_size * steps_per_generation
    """
    own, train = recipe.grpo, recipe.train
    steps = own.steps_per_generation or train.gradient_accumulation_steps
    groups = max(1, ANSWERS_OF_GENERATION // (own.num_generations * steps))
    rows = train.per_device_train_batch_size or groups * own.num_generations
    update = {
        "train": train.model_copy(update={"per_device_train_batch_size": rows}),
        "grpo": own.model_copy(update={"steps_per_generation": steps}),
    }
    return recipe.model_copy(update=update)


READING = TaskReading(partial(read, "grpo", with_batches), check_rows)
