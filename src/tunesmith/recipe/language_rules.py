"""Rules between keys of language models: what belongs to them alone, and what they do not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.recipe.metric_names import BASELINES, LOSSES, METRICS
from tunesmith.recipe.sections import AnswersSection, DiagnoseSection, PretrainingSection, Recipe, SequenceSection, SftSection
from tunesmith.recipe.source import Fault, KeyPath

LANGUAGE = ("sft", "pretraining")
OWN_COLUMNS = ("prompt", "completion", "messages")
OF_LABELS = ("accuracy", "macro_f1", "micro_f1", "mcc", "log_loss", "calibration_error")


def only_language_models(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Keys that only language models have."""
    if recipe.task in LANGUAGE:
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
            message = f"{path[-1]} is of language models; the task is {recipe.task}"
            yield Fault(path, message, "Remove the key, or write task: sft or pretraining.")


def not_language_models(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Keys that language models do not have."""
    if recipe.task not in LANGUAGE:
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
            yield Fault(path, "language models have no such setting", "Remove the key.")
    if recipe.evaluate.tune_threshold and "tune_threshold" in recipe.evaluate.model_fields_set:
        yield Fault(("evaluate", "tune_threshold"), "answers have no threshold to tune", "Remove the key.")
    for name in recipe.evaluate.baselines or ():
        if name not in BASELINES[recipe.task]:
            remedy = f"Known: {', '.join(BASELINES[recipe.task])}."
            yield Fault(("evaluate", "baselines"), f"{name} is no baseline of {recipe.task}", remedy)


def other_task(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Keys of the one task of language models in a recipe of the other."""
    if recipe.task == "sft" and recipe.pretraining != PretrainingSection():
        yield Fault(("pretraining",), "pretraining is of another task; this is sft", "Remove the key.")
    if recipe.task != "pretraining":
        return
    own: dict[KeyPath, bool] = {
        ("sft",): recipe.sft != SftSection(),
        ("evaluate", "answers"): recipe.evaluate.answers != AnswersSection(),
        **{("data", "columns", part): getattr(recipe.data.columns, part) is not None for part in OWN_COLUMNS},
    }
    for path, was_given in own.items():
        if was_given:
            yield Fault(path, "plain texts have no questions and answers", "Remove the key, or write task: sft.")


def quantised(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Weights in 4 or 8 bits cannot be trained themselves."""
    if recipe.quantisation is not None and recipe.adapter is None:
        message = f"{recipe.quantisation} weights cannot be trained themselves, and there is no adapter"
        yield Fault(("quantisation",), message, "Add adapter: {method: lora}, or remove the key.")


def new_tokens(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Tokens that are none, or whose vectors would never be learnt."""
    named: KeyPath = ("model", "new_tokens")
    if any(not token.strip() for token in recipe.model.new_tokens):
        yield Fault(named, "a token is an empty text", "")
    layers = recipe.train.train_layers
    if recipe.model.new_tokens and recipe.adapter is None and isinstance(layers, str) and layers.startswith("last"):
        message = f"train_layers: {layers} freezes the token vectors, so that new ones would not be learnt"
        yield Fault(named, message, "Write train_layers: all, or add an adapter.")


PROMPTED = ("prompt_tuning", "p_tuning", "prefix_tuning")


def sequences(recipe: Recipe) -> SequenceSection:
    """How the rows of this task, one of `LANGUAGE`, share sequences."""
    return recipe.sft if recipe.task == "sft" else recipe.pretraining


def joined_prompts(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Learnt prompts stand before the first row of a sequence only."""
    if recipe.adapter is None or recipe.adapter.method not in PROMPTED:
        return
    message = f"{recipe.adapter.method} puts learnt tokens before a sequence, and only the first row in it would see them"
    for key in ("packing", "padding_free"):
        if recipe.task in LANGUAGE and getattr(sequences(recipe), key):
            yield Fault((recipe.task, key), message, f"Write {recipe.task}.{key}: false, or another adapter.")


def labels(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Labels that cannot be told apart, or are no choice."""
    named: KeyPath = ("sft", "labels")
    listed = recipe.sft.labels
    if recipe.task != "sft" or not listed:
        return
    if len(listed) == 1:
        yield Fault(named, "one label leaves nothing to choose", "Name all labels.")
    if len(set(listed)) < len(listed):
        yield Fault(named, "a label is listed twice", "Name each one once.")
    if any(not label.strip() for label in listed):
        yield Fault(named, "a label is an empty text", "")
    begun = [(one, other) for one in listed for other in listed if one.strip() and one != other and other.startswith(one)]
    for short, longer in begun[:1]:
        message = f'"{short}" is how "{longer}" begins, so that a model that writes it may not have finished'
        yield Fault(named, message, "Rename one of them, here and in the data.")


def answers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """How answers are judged, against what there is to judge."""
    if recipe.task != "sft":
        return
    metric, asked = recipe.evaluate.metric, recipe.evaluate.answers
    path: KeyPath = ("evaluate", "metric")
    if recipe.sft.labels:
        if metric is not None and metric not in (*OF_LABELS, *LOSSES):
            remedy = f"There are: {', '.join((*OF_LABELS, *LOSSES))}."
            yield Fault(path, f"answers that are labels are not judged by {metric}", remedy)
    elif metric in OF_LABELS:
        yield Fault(path, f"{metric} is of labels, and sft.labels names none", "Name them, or use exact_match.")
    elif metric == "function" and asked.function is None:
        yield Fault(path, "there is no function", "Name it: evaluate.answers.function: file.py:name.")
    elif asked.rows == 0 and metric in METRICS["sft"] and metric not in LOSSES:
        yield Fault(path, f"{metric} judges answers, and answers.rows is 0", "Raise evaluate.answers.rows.")
    if asked.pattern is not None:
        yield from broken_pattern(asked.pattern)
    if (asked.temperature is not None or asked.top_p is not None) and not asked.do_sample:
        message = "temperature and top_p are of drawn tokens, and do_sample is false"
        yield Fault(("evaluate", "answers"), message, "Write do_sample: true, or remove them.")


def broken_pattern(pattern: str) -> Iterator[Fault]:
    """A regular expression that cannot be read, or has no group."""
    path: KeyPath = ("evaluate", "answers", "pattern")
    try:
        found = re.compile(pattern)
    except re.error as error:
        yield Fault(path, f"is no regular expression: {error}", 'For example "#### (.*)".')
        return
    if found.groups < 1:
        yield Fault(path, "has no group, so it does not say what counts", 'For example "#### (.*)".')


RULES = (only_language_models, not_language_models, other_task, quantised, new_tokens, joined_prompts, labels, answers)
