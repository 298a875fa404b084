"""Rules for recipes of language models (sft and pretraining)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.recipe.metric_names import LABEL_METRICS, LOSS_METRICS
from tunesmith.recipe.sections import Recipe, SequenceSection
from tunesmith.recipe.source import Fault, KeyPath
from tunesmith.recipe.tasks import task_settings

PROMPTED = ("prompt_tuning", "p_tuning", "prefix_tuning")
"""Adapter methods that put trained vectors before the first token of a sequence."""


def quantised(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse quantised weights without an adapter: 4 and 8 bits cannot be trained."""
    if recipe.quantisation is not None and recipe.adapter is None:
        message = f"{recipe.quantisation} weights cannot be trained, and there is no adapter"
        yield Fault(("quantisation",), message, "Add adapter: {method: lora}, or remove the key.")


def new_tokens(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse empty new tokens, and new tokens whose embeddings would stay frozen."""
    path: KeyPath = ("model", "new_tokens")
    if any(not token.strip() for token in recipe.model.new_tokens):
        yield Fault(path, "a token is empty", "")
    layers = recipe.train.train_layers
    if recipe.model.new_tokens and recipe.adapter is None and isinstance(layers, str) and layers.startswith("last"):
        message = f"train_layers: {layers} freezes the token embeddings, so new ones would not be trained"
        yield Fault(path, message, "Write train_layers: all, or add an adapter.")


def sequences(recipe: Recipe) -> SequenceSection:
    """Return the section that says how the rows of a language model share sequences: the one named as the task."""
    section: SequenceSection = getattr(recipe, recipe.task)
    return section


def joined_prompts(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse several rows per sequence beside trained prompts, which stand before the first row only."""
    if recipe.adapter is None or recipe.adapter.method not in PROMPTED:
        return
    message = f"{recipe.adapter.method} puts trained vectors before a sequence, and only the first row in it would see them"
    for key in ("packing", "padding_free"):
        if getattr(sequences(recipe), key):
            yield Fault((recipe.task, key), message, f"Write {recipe.task}.{key}: false, or another adapter.")


def labels(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse answer labels that a model could not choose between: one, repeated, empty, or the beginning of another."""
    path: KeyPath = ("sft", "labels")
    names = recipe.sft.labels
    if not names:
        return
    if len(names) == 1:
        yield Fault(path, "one label leaves nothing to choose", "Name all labels.")
    if len(set(names)) < len(names):
        yield Fault(path, "a label is listed twice", "Name each one once.")
    if any(not name.strip() for name in names):
        yield Fault(path, "a label is an empty text", "")
    prefixes = ((name, other) for name in names for other in names if name.strip() and name != other and other.startswith(name))
    for short, longer in [*prefixes][:1]:
        message = f'"{short}" is the beginning of "{longer}", so a model that generates it may not have finished'
        yield Fault(path, message, "Rename one of them, here and in the data.")


def answer_metric(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse a metric that the answers, labels or generated texts, do not allow."""
    metric, generation = recipe.evaluate.metric, recipe.evaluate.answers
    path: KeyPath = ("evaluate", "metric")
    if recipe.sft.labels:
        if metric is not None and metric not in (*LABEL_METRICS, *LOSS_METRICS):
            remedy = f"Metrics of labels: {', '.join((*LABEL_METRICS, *LOSS_METRICS))}."
            yield Fault(path, f"{metric} does not apply to answers that are labels", remedy)
    elif metric in LABEL_METRICS:
        yield Fault(path, f"{metric} is a metric of labels, and sft.labels names none", "Name them, or use exact_match.")
    elif metric == "function" and generation.function is None:
        yield Fault(path, "there is no function", "Name it: evaluate.answers.function: file.py:name.")
    elif generation.rows == 0 and metric in task_settings(recipe).metrics and metric not in LOSS_METRICS:
        yield Fault(path, f"{metric} compares generated answers, and answers.rows is 0", "Raise evaluate.answers.rows.")


def answer_generation(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse a pattern that is not a regular expression with a group, and sampling options without sampling."""
    generation = recipe.evaluate.answers
    if generation.pattern is not None:
        yield from broken_pattern(generation.pattern)
    if (generation.temperature is not None or generation.top_p is not None) and not generation.do_sample:
        message = "temperature and top_p apply only to sampling, and do_sample is false"
        yield Fault(("evaluate", "answers"), message, "Write do_sample: true, or remove them.")


def broken_pattern(pattern: str) -> Iterator[Fault]:
    """Refuse a text that is not a regular expression, or has no group."""
    path: KeyPath = ("evaluate", "answers", "pattern")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        yield Fault(path, f"is not a regular expression: {error}", 'For example "#### (.*)".')
        return
    if compiled.groups < 1:
        yield Fault(path, "has no group, so no part of the answer is selected", 'For example "#### (.*)".')


RULES = (quantised, new_tokens, joined_prompts)
SFT_RULES = (*RULES, labels, answer_metric, answer_generation)
