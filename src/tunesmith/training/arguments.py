"""Converts the recipe to upstream's TrainingArguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import RecipeError
from tunesmith.machine import device_name
from tunesmith.models.fast.path import FastPath
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import task_settings
from tunesmith.training.schedule import Schedule

if TYPE_CHECKING:
    from transformers import TrainingArguments

SETTINGS = "train / upstream"
"""The place of an error about settings of which upstream names no single one."""


def learning_rate(recipe: Recipe, n_parameters: int) -> float:
    """Returns the recipe's learning rate, or the task's default for the size of the model and the trained layers."""
    if recipe.train.learning_rate is not None:
        return recipe.train.learning_rate
    rates, only_head = task_settings(recipe).learning_rates, recipe.train.train_layers == "head"
    return rates.rate(n_parameters, with_adapter=recipe.adapter is not None, only_head=only_head)


def training_arguments(
    recipe: Recipe,
    schedule: Schedule,
    fast_path: FastPath,
    checkpoints: Path,
    seed: int,
    rate: float,
    arguments_class: type[TrainingArguments],
    own_arguments: Mapping[str, object],
) -> TrainingArguments:
    """Builds upstream's arguments of a run. Callbacks trigger logs, evaluations and saves, so upstream's intervals are off.

    Args:
        arguments_class, own_arguments: the trainer's class of arguments, and arguments that only this class has.
    """
    train = recipe.train
    own: dict[str, Any] = {
        "output_dir": str(checkpoints), "max_steps": schedule.total_steps, "learning_rate": rate,
        "per_device_train_batch_size": train.batch_rows,
        "per_device_eval_batch_size": train.per_device_eval_batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation_steps, "weight_decay": train.weight_decay,
        "warmup_steps": schedule.warmup_steps, "lr_scheduler_type": train.lr_scheduler_type, "optim": train.optim,
        "max_grad_norm": train.max_grad_norm, "seed": seed, "report_to": train.report_to,
        "run_name": train.run_name or Path(recipe.output).name, "bf16": fast_path.precision == "bf16",
        "use_cpu": device_name() == "cpu",
        "logging_strategy": "no", "eval_strategy": "no", "save_strategy": "no", "logging_nan_inf_filter": False,
        "disable_tqdm": True, "remove_unused_columns": False, "dataloader_pin_memory": device_name() == "cuda",
        "restore_callback_states_from_checkpoint": True, "label_names": ["labels"], "save_total_limit": None,
    }  # fmt: skip
    require_no_fp16_on_cpu(recipe)
    require_choices(recipe, arguments_class)
    if recipe.upstream.get("use_liger_kernel") and find_spec("liger_kernel") is None:
        raise RecipeError.one("upstream.use_liger_kernel", "liger-kernel is not installed.", "Run: pip install liger-kernel")
    try:
        return arguments_class(**(own | dict(own_arguments) | recipe.upstream))
    except (TypeError, ValueError, ImportError, OSError) as error:
        raise RecipeError.one(SETTINGS, f"transformers refuses these settings: {str(error).splitlines()[0]}") from error


def require_no_fp16_on_cpu(recipe: Recipe) -> None:
    """Raises RecipeError for fp16 on a CPU: upstream accepts it and then trains in fp32 without a warning."""
    if recipe.upstream.get("fp16") and device_name() == "cpu":
        raise RecipeError.one(
            "upstream.fp16",
            "there is no GPU here, and on a CPU fp16 is silently ignored.",
            "Leave it out: the fast path chooses the precision.",
        )


def require_choices(recipe: Recipe, arguments_class: type[TrainingArguments]) -> None:
    """Raises RecipeError for a name that the field's own list of choices lacks: upstream itself takes it and ignores it."""
    for field in fields(arguments_class):
        choices, value = field.metadata.get("choices"), recipe.upstream.get(field.name)
        if choices and value is not None and value not in [*choices]:
            message = f"transformers has no {field.name} {value!r}."
            raise RecipeError.one(f"upstream.{field.name}", message, f"Write one of {', '.join(map(str, choices))}.")
