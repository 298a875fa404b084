"""Checks rules between keys of language models: keys that apply only to them, and keys that do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.recipe.metric_names import BASELINES, LOSS_METRICS, METRICS
from tunesmith.recipe.sections import AnswersSection, DiagnoseSection, PretrainingSection, Recipe, SequenceSection, SftSection
from tunesmith.recipe.source import Fault, KeyPath

LANGUAGE_TASKS = ("sft", "pretraining")
OWN_COLUMNS = ("prompt", "completion", "messages")
LABEL_METRICS = ("accuracy", "macro_f1", "micro_f1", "mcc", "log_loss", "calibration_error")


def only_language_models(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses keys of language models in recipes of other tasks."""
    if recipe.task in LANGUAGE_TASKS:
        return
    evaluate, columns = recipe.evaluate, recipe.data.columns
    own: dict[KeyPath, bool] = {
        ("sft",): recipe.sft != SftSection(),
        ("pretraining",): recipe.pretraining != PretrainingSection(),
        ("quantisation",): recipe.quantisation is not None,
        ("model", "new_tokens"): bool(recipe.model.new_tokens),
        ("model", "rope_parameters"): recipe.model.rope_parameters is not None,
        ("evaluate", "answers"): evaluate.answers != AnswersSection(),
        ("evaluate", "stride"): evaluate.stride is not None,
        ("evaluate", "context_lengths"): bool(evaluate.context_lengths),
        ("evaluate", "general"): evaluate.general is not None,
        **{("data", "columns", part): getattr(columns, part) is not None for part in OWN_COLUMNS},
    }
    for path, was_given in own.items():
        if was_given:
            message = f"`{path[-1]}` applies only to language models, and the task is {recipe.task}"
            yield Fault(path, message, "Remove the key, or write task: sft or pretraining.")


def not_language_models(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses keys that do not apply to language models."""
    if recipe.task not in LANGUAGE_TASKS:
        return
    columns, data = recipe.data.columns, recipe.data
    foreign: dict[KeyPath, bool] = {
        ("train", "class_weights"): recipe.train.class_weights != "none",
        ("data", "label_separator"): data.label_separator is not None,
        ("data", "columns", "annotators"): columns.annotators is not None,
        ("data", "columns", "pair"): columns.pair is not None,
        ("diagnose",): recipe.diagnose != DiagnoseSection(),
    }
    for path, was_given in foreign.items():
        if was_given:
            yield Fault(path, "does not apply to language models", "Remove the key.")
    if recipe.evaluate.tune_threshold and "tune_threshold" in recipe.evaluate.model_fields_set:
        yield Fault(("evaluate", "tune_threshold"), "language models have no decision threshold", "Remove the key.")
    for name in recipe.evaluate.baselines or ():
        if name not in BASELINES[recipe.task]:
            remedy = f"Known: {', '.join(BASELINES[recipe.task])}."
            yield Fault(("evaluate", "baselines"), f"{name} is not a baseline of {recipe.task}", remedy)


def other_task(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses keys of sft in a pretraining recipe, and the reverse."""
    if recipe.task == "sft" and recipe.pretraining != PretrainingSection():
        yield Fault(
            ("pretraining",), "`pretraining` applies only to the task pretraining, and the task is sft", "Remove the key."
        )
    if recipe.task != "pretraining":
        return
    own: dict[KeyPath, bool] = {
        ("sft",): recipe.sft != SftSection(),
        ("evaluate", "answers"): recipe.evaluate.answers != AnswersSection(),
        **{("data", "columns", part): getattr(recipe.data.columns, part) is not None for part in OWN_COLUMNS},
    }
    for path, was_given in own.items():
        if was_given:
            yield Fault(
                path, "applies only to prompts and answers, and the task is pretraining", "Remove the key, or write task: sft."
            )


def quantised(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Requires an adapter for quantized weights, which cannot be trained."""
    if recipe.quantisation is not None and recipe.adapter is None:
        message = f"{recipe.quantisation} weights cannot be trained, and there is no adapter"
        yield Fault(("quantisation",), message, "Add adapter: {method: lora}, or remove the key.")


def new_tokens(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses empty tokens, and new tokens whose embeddings would not be trained."""
    named: KeyPath = ("model", "new_tokens")
    if any(not token.strip() for token in recipe.model.new_tokens):
        yield Fault(named, "a token is empty", "")
    layers = recipe.train.train_layers
    if recipe.model.new_tokens and recipe.adapter is None and isinstance(layers, str) and layers.startswith("last"):
        message = f"train_layers: {layers} freezes the token embeddings, so the new ones would not be trained"
        yield Fault(named, message, "Write train_layers: all, or add an adapter.")


PROMPTED = ("prompt_tuning", "p_tuning", "prefix_tuning")


def sequences(recipe: Recipe) -> SequenceSection:
    """Returns the section with packing and padding_free of the recipe's task, one of `LANGUAGE_TASKS`."""
    return recipe.sft if recipe.task == "sft" else recipe.pretraining


def joined_prompts(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses packing with prompt-tuning methods, whose virtual tokens precede only the first row of a sequence."""
    if recipe.adapter is None or recipe.adapter.method not in PROMPTED:
        return
    message = (
        f"{recipe.adapter.method} prepends trained virtual tokens to a sequence, and only its first row would attend to them"
    )
    for key in ("packing", "padding_free"):
        if recipe.task in LANGUAGE_TASKS and getattr(sequences(recipe), key):
            yield Fault((recipe.task, key), message, f"Set {recipe.task}.{key}: false, or use another adapter.")


def labels(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses labels that are ambiguous, empty or fewer than two."""
    named: KeyPath = ("sft", "labels")
    listed = recipe.sft.labels
    if recipe.task != "sft" or not listed:
        return
    if len(listed) == 1:
        yield Fault(named, "a single label leaves nothing to predict", "Name all labels.")
    if len(set(listed)) < len(listed):
        yield Fault(named, "a label is listed twice", "List each one once.")
    if any(not label.strip() for label in listed):
        yield Fault(named, "a label is empty", "")
    prefixes = [(short, longer) for short in listed for longer in listed if short.strip() and short != longer]
    for short, longer in [pair for pair in prefixes if pair[1].startswith(pair[0])][:1]:
        message = f'"{short}" is a prefix of "{longer}", so a generated answer would be ambiguous'
        yield Fault(named, message, "Rename one of them, here and in the data.")


def answers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Checks that the metric fits the answers, and that the generation options fit together."""
    if recipe.task != "sft":
        return
    metric, generation = recipe.evaluate.metric, recipe.evaluate.answers
    path: KeyPath = ("evaluate", "metric")
    if recipe.sft.labels:
        if metric is not None and metric not in (*LABEL_METRICS, *LOSS_METRICS):
            remedy = f"There are: {', '.join((*LABEL_METRICS, *LOSS_METRICS))}."
            yield Fault(path, f"answers that are labels are not evaluated by {metric}", remedy)
    elif metric in LABEL_METRICS:
        yield Fault(
            path,
            f"{metric} applies only to labels, and sft.labels is empty",
            "List the labels in sft.labels, or use exact_match.",
        )
    elif metric == "function" and generation.function is None:
        yield Fault(path, "there is no function that computes it", "Set evaluate.answers.function: file.py:name.")
    elif generation.rows == 0 and metric in METRICS["sft"] and metric not in LOSS_METRICS:
        yield Fault(path, f"{metric} needs generated answers, and answers.rows is 0", "Raise evaluate.answers.rows.")
    if generation.pattern is not None:
        yield from broken_pattern(generation.pattern)
    if (generation.temperature is not None or generation.top_p is not None) and not generation.do_sample:
        message = "temperature and top_p apply only to sampling, and do_sample is false"
        yield Fault(("evaluate", "answers"), message, "Set do_sample: true, or remove them.")


def broken_pattern(pattern: str) -> Iterator[Fault]:
    """Refuses a regular expression that is invalid or has no group."""
    path: KeyPath = ("evaluate", "answers", "pattern")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        yield Fault(path, f"is not a valid regular expression: {error}", 'For example "#### (.*)".')
        return
    if compiled.groups < 1:
        yield Fault(path, "has no group, so it extracts nothing from an answer", 'For example "#### (.*)".')


RULES = (only_language_models, not_language_models, other_task, quantised, new_tokens, joined_prompts, labels, answers)
