"""Fills in the defaults that follow from the model and the rows, and writes the resolved recipe.

A small model underfits in the few epochs of fine-tuning: dropout slows it down, and it can take larger batches. Three epochs of
a few hundred rows are too few optimizer steps to learn from them. The figures are in docs/experiments.md and
docs/decisions/training-length.md.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from math import ceil, inf
from typing import Any

import yaml

from tunesmith.recipe.batches import count_batches, steps_per_epoch
from tunesmith.recipe.section import Section
from tunesmith.recipe.sections import DEFAULT_EPOCHS, Recipe
from tunesmith.recipe.source import RecipeDumper
from tunesmith.recipe.tasks import refusal, task_settings

_WIDTH = 118
# PyYAML writes these unescaped and reads them back differently; a text with one of them is written in ASCII.
_LINE_BREAKS = "\x85\u2028\u2029\ufeff"


def resolved_yaml(recipe: Recipe) -> str:
    """Write the recipe as YAML that loads back to an equal recipe, with a comment for each key.

    A key that another one disables (``num_train_epochs`` beside ``max_steps``, ``tune_threshold`` in a regression) becomes a
    comment, because giving both is refused.
    """
    unused: dict[tuple[str, ...], str] = {}
    if recipe.train.max_steps is not None:
        unused["train", "num_train_epochs"] = "max_steps sets the length of training"
    settings, switch = task_settings(recipe), ("evaluate", "tune_threshold")
    if not settings.has_key(switch):  # on by default, and refused where it is written
        unused[switch] = refusal(switch, settings).message
    return "\n".join(["# The resolved recipe: every default filled in.", *_section_lines(recipe, (), unused)]) + "\n"


def _section_lines(section: Section, path: tuple[str, ...], unused: dict[tuple[str, ...], str]) -> Iterator[str]:
    indent = "  " * len(path)
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if not path:
            yield ""
        mark = f"{indent}# "
        help_text = field.description or ""
        yield from textwrap.wrap(help_text, _WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False)
        if (*path, key) in unused:
            yield f"{indent}# {key}: not used, {unused[*path, key]}"
        elif isinstance(value, Section):
            yield f"{indent}{key}:"
            yield from _section_lines(value, (*path, key), unused)
        else:
            yield indent + _value_line(key, value)
    for key, value in (section.model_extra or {}).items():
        yield indent + _value_line(key, value)


def _value_line(key: str, value: object) -> str:
    """Write one key and its value; lists and maps in one line, which YAML reads at any indentation."""
    style: dict[str, Any] = {"Dumper": RecipeDumper, "sort_keys": False, "width": inf, "default_flow_style": True}
    dumped: str = yaml.dump({key: value}, allow_unicode=True, **style)
    if any(character in dumped for character in _LINE_BREAKS):
        dumped = yaml.dump({key: value}, allow_unicode=False, **style)
    return dumped.strip().removeprefix("{").removesuffix("}")


SMALL_MODEL_BYTES = 200_000_000
"""Fifty million weights in fp32."""
MANY_ROWS = 4_000


MAX_EPOCHS = 100
"""Epochs that a floor of optimizer steps leads to at most."""


def with_defaults(recipe: Recipe, model_bytes: int, n_rows: int) -> Recipe:
    """Fill in what the recipe leaves open and is known before the model is loaded: the batch size, the dropout, the epochs.

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
    settled = _with_train(recipe, defaults)
    return _with_train(settled, {"num_train_epochs": default_epochs(settled, n_rows)}) if _has_open_length(recipe) else settled


def with_default_epochs(recipe: Recipe) -> Recipe:
    """Return the recipe with 3 epochs, without the floor of optimizer steps, where it gives no length of training."""
    return _with_train(recipe, {"num_train_epochs": DEFAULT_EPOCHS}) if _has_open_length(recipe) else recipe


def default_epochs(recipe: Recipe, n_rows: int) -> float:
    """Return the epochs of a recipe that gives none: 3, or more where those are less than the task's ``min_steps``."""
    needed = ceil(task_settings(recipe).min_steps / steps_per_epoch(count_batches(n_rows, recipe), recipe.train))
    return max(DEFAULT_EPOCHS, float(min(MAX_EPOCHS, needed)))


def _has_open_length(recipe: Recipe) -> bool:
    return recipe.train.num_train_epochs is None and recipe.train.max_steps is None


def _with_train(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=dict(values))}) if values else recipe
