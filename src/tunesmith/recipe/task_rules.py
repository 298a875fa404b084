"""Rules that read the table of tasks: keys, metrics and baselines that the recipe's task does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tunesmith.recipe import embedding_rules, language_rules
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import Fault
from tunesmith.recipe.tasks import Key, missing_keys, refusal, suggest_metric, task_settings

# Row of the table -> rules for that task alone.
RULES_OF_TASK: Mapping[str, tuple[Callable[[Recipe, Path], Iterator[Fault]], ...]] = {
    "embedding": embedding_rules.RULES,
    "reranker": embedding_rules.RERANKER_RULES,
    "sft": language_rules.SFT_RULES,
    "pretraining": language_rules.RULES,
}


def foreign_keys(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse keys that belong to other tasks."""
    settings = task_settings(recipe)
    for key in missing_keys(settings):
        if is_requested(recipe, key):
            refused = refusal(key, settings)
            yield Fault(key, refused.message, refused.remedy)


def is_requested(recipe: Recipe, key: Key) -> bool:
    """Return whether a key differs from its default. A switch that is on by default counts if it is written and on."""
    section = recipe
    for name in key[:-1]:
        section = getattr(section, name)
    value, default = getattr(section, key[-1]), type(section).model_fields[key[-1]].default
    if default is True:
        return bool(value) and key[-1] in section.model_fields_set
    return bool(value != default)


def several_label_columns(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse a list of label columns where a row has one label."""
    settings = task_settings(recipe)
    if isinstance(recipe.data.columns.label, list) and not settings.has_key(("data", "label_separator")):
        message = f"several label columns apply only to classification, and the task is {settings.task}"
        yield Fault(("data", "columns", "label"), message, "Name one column, or write task: classification.")


def metric_and_baselines(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse a metric and baselines that the task does not have."""
    settings, metric = task_settings(recipe), recipe.evaluate.metric
    if metric is not None and settings.has_key(("evaluate", "metric")) and not settings.has_metric(metric):
        message = f'"{metric}" is not a metric of {settings.task}'
        yield Fault(("evaluate", "metric"), message, suggest_metric(metric, settings))
    for name in dict.fromkeys(recipe.evaluate.baselines or ()):
        if name not in settings.baselines:
            remedy = f"Baselines of {settings.name}: {', '.join(settings.baselines)}."
            yield Fault(("evaluate", "baselines"), f"{name} is not a baseline of {settings.name}", remedy)


def rules_of_task(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Apply the rules for the recipe's task alone."""
    for rule in RULES_OF_TASK.get(task_settings(recipe).name, ()):
        yield from rule(recipe, base)


RULES = (foreign_keys, several_label_columns, metric_and_baselines, rules_of_task)
