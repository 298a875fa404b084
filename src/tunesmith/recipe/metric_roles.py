"""The metrics that a recipe names, by their roles: one leads the verdict, one selects the checkpoint, one stops early."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from tunesmith.recipe.metric_names import ALIASES, BINARY_METRICS, DIRECTIONS, LOSS, metric_title, split_dimension
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import Fault
from tunesmith.recipe.tasks import TASKS, Key, TaskSettings, primary_metric, task_settings

METRIC, CHECKPOINT, STOPPING = ("evaluate", "metric"), ("evaluate", "checkpoint_metric"), ("train", "early_stopping", "metric")


def named_metrics(recipe: Recipe) -> dict[Key, str]:
    """Return recipe key -> the metric that it names, for the roles that the recipe gives a metric."""
    stopping = recipe.train.early_stopping
    names = {
        METRIC: recipe.evaluate.metric if task_settings(recipe).has_key(METRIC) else None,
        CHECKPOINT: recipe.evaluate.checkpoint_metric,
        STOPPING: None if stopping is None else stopping.metric,
    }
    return {key: name for key, name in names.items() if name is not None}


def checkpoint_metric(recipe: Recipe, leading: str) -> str:
    """Return the metric that selects the checkpoint: the recipe's, else that of the task, else the one that leads the verdict."""
    return recipe.evaluate.checkpoint_metric or _during_training(recipe, leading)


def stopping_metric(recipe: Recipe, leading: str) -> str:
    """Return the metric that stops training early: the recipe's, else that of the task, else the one that leads the verdict."""
    stopping = recipe.train.early_stopping
    named = None if stopping is None else stopping.metric
    return named or _during_training(recipe, leading)


def _during_training(recipe: Recipe, leading: str) -> str:
    """Return the metric that follows the training where no role names one."""
    return leading if recipe.evaluate.metric else task_settings(recipe).checkpoint_metric or leading


def has_own_metrics(recipe: Recipe) -> bool:
    """Return whether the recipe has metrics whose names are known only after a call: of a function, or of evaluators."""
    return recipe.evaluate.function is not None or bool(recipe.evaluate.evaluators)


def reported_metrics(recipe: Recipe) -> tuple[str, ...]:
    """Return the metrics of predictions that are computed: the task's, and further ones where the recipe names them."""
    settings, named = task_settings(recipe), {split_dimension(name)[0] for name in named_metrics(recipe).values()}
    if recipe.evaluate.positive_class is not None:
        named |= set(BINARY_METRICS)
    return (*settings.metrics, *(name for name in settings.named_metrics if name in named))


def comparable_metric(recipe: Recipe) -> str:
    """Return the leading metric for comparisons of saved predictions: the task's default in place of a function's."""
    leading = primary_metric(recipe)
    return leading if task_settings(recipe).has_metric(leading) else task_settings(recipe).default_metric


def is_higher_better(recipe: Recipe, name: str) -> bool:
    """Return whether larger values of a metric are better; of the user's own by ``evaluate.lower_is_better``."""
    return DIRECTIONS.get(split_dimension(name)[0], name not in recipe.evaluate.lower_is_better)


def known_roles(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse metrics that the task does not have, and dimensions that are not trained.

    Names that a function may return are checked when it was called, see ``evaluation.own_metrics``.
    """
    settings, sizes = task_settings(recipe), recipe.embedding.matryoshka_dimensions
    for key, name in named_metrics(recipe).items():
        base_name, dimension = split_dimension(name)
        is_loss = name == LOSS and key != METRIC
        if not (is_loss or settings.has_metric(name) or (has_own_metrics(recipe) and base_name not in DIRECTIONS)):
            remedy = "Did you mean loss?" if name == "eval_loss" and key != METRIC else suggest_metric(name, settings)
            yield Fault(key, f'"{name}" is not a metric of {settings.task}', remedy)
        elif dimension is not None and dimension not in sizes:
            message = f"{metric_title(name)} is not computed"
            shown = ", ".join(map(str, sizes)) or "none"
            yield Fault(key, message, f"embedding.matryoshka_dimensions: {shown}. Add it there, or write {base_name}.")


def own_metrics(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse settings of a function that is not there, and an empty range."""
    section = recipe.evaluate
    if not task_settings(recipe).has_key(("evaluate", "function")):
        return
    if section.function is None and section.function_range is not None:
        yield Fault(("evaluate", "function_range"), "there is no function", "Name it: evaluate.function: file.py:name.")
    if not has_own_metrics(recipe) and section.lower_is_better:
        message = "the directions of all metrics of tunesmith are known, and there is no function"
        yield Fault(("evaluate", "lower_is_better"), message, "Remove the key, or name evaluate.function: file.py:name.")
    if section.function_range is not None and section.function_range[0] >= section.function_range[1]:
        low, high = section.function_range
        message = f"the lowest value ({low:g}) is not below the highest ({high:g})"
        yield Fault(("evaluate", "function_range"), message, "For example [0, 1].")
    for name in section.lower_is_better:
        if name in DIRECTIONS:
            yield Fault(
                ("evaluate", "lower_is_better"), f"{name} is a metric of tunesmith, whose direction is known", "Remove it."
            )


RULES = (known_roles, own_metrics)


def suggest_metric(name: str, settings: TaskSettings) -> str:
    """Return a sentence for a name that is not a metric of the task: similar metrics, or all that it has."""
    own = (*settings.metrics, *settings.named_metrics)
    plain = name.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("eval_").removeprefix("val_")
    candidates = [alias for alias in (plain, *ALIASES.get(plain, ())) if alias in own] or get_close_matches(plain, own, 1, 0.7)
    if candidates:
        return f"Did you mean {' or '.join(candidates)}?"
    other = next(
        (row.task for row in TASKS.values() if row.task != settings.task and plain in (*row.metrics, *row.named_metrics)), None
    )
    note = f"{plain} is a metric of the task {other}. " if other else ""
    return f"{note}Metrics of {settings.task}: {', '.join(own)}."
