"""Rules that depend on the task: keys, metrics and baselines it does not have, and rules for one task alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tunesmith.recipe import metric_roles
from tunesmith.recipe.metric_names import LABEL_METRICS, LOSS_METRICS
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import Fault, KeyPath
from tunesmith.recipe.task_sections import SequenceSection
from tunesmith.recipe.tasks import Key, missing_keys, refusal, task_settings


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


def baselines(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse baselines that the task does not have."""
    settings = task_settings(recipe)
    for name in dict.fromkeys(recipe.evaluate.baselines or ()):
        if name not in settings.baselines:
            remedy = f"Baselines of {settings.name}: {', '.join(settings.baselines)}."
            yield Fault(("evaluate", "baselines"), f"{name} is not a baseline of {settings.name}", remedy)
    if settings.task == "sft" and "chance" in (recipe.evaluate.baselines or ()) and not recipe.sft.labels:
        message = "random decisions (chance) need labels, and the answers are free text"
        yield Fault(("evaluate", "baselines"), message, "Remove chance, or list the answers: sft.labels.")


def sizes_and_scores(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse an empty score range and repeated Matryoshka dimensions."""
    own = recipe.embedding
    if own.score_range is not None and own.score_range[0] >= own.score_range[1]:
        low, high = own.score_range
        message = f"the lowest score ({low:g}) is not below the highest ({high:g})"
        yield Fault(("embedding", "score_range"), message, "For example [0, 5].")
    sizes = own.matryoshka_dimensions
    if len(set(sizes)) < len(sizes):
        yield Fault(("embedding", "matryoshka_dimensions"), "a size is listed twice", "Name each one once.")


def losses(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse losses for files that are not in ``data.also``, or for one joined table."""
    own = recipe.embedding
    for name in own.losses:
        if name not in recipe.data.also:
            remedy = f"Files: {', '.join(recipe.data.also) or 'none'}."
            yield Fault(("embedding", "losses", name), "is not a file of data.also", remedy)
    if own.losses and own.mix == "concatenate":
        yield Fault(("embedding", "losses"), "one table has one loss", "Write embedding.mix: proportional or round_robin.")


def trained_layers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse ``train_layers: head`` without a dense layer, because no parameter would be trained."""
    if recipe.train.train_layers == "head" and recipe.embedding.dense is None:
        message = "an embedding model has no head besides embedding.dense: nothing would be trained"
        yield Fault(("train", "train_layers"), message, "Write last N, all, or give embedding.dense.")


def reranker_data(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse a reranker without a retrieval test, or with a file as validation or test split."""
    if recipe.evaluate.retrieval is None:
        message = "is missing: a reranker is evaluated by the search results that it reorders"
        yield Fault(("evaluate", "retrieval"), message, "Name a folder in the BEIR layout.")
    for split in ("validation", "test"):
        if recipe.data.file(split) is not None:
            message = f"the {split} split of a reranker is a fraction of its pairs, not a file"
            yield Fault(("data", split), message, "Give a fraction such as 0.1, or remove the key.")


PROMPTED = ("prompt_tuning", "p_tuning", "prefix_tuning")
"""Adapter methods that put trained vectors before the first token of a sequence."""


def quantised(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse quantised weights without an adapter: 4 and 8 bits cannot be trained."""
    if recipe.quantisation is not None and recipe.adapter is None:
        name = recipe.quantisation if isinstance(recipe.quantisation, str) else recipe.quantisation.bnb_4bit_quant_type
        message = f"{name} weights cannot be trained, and there is no adapter"
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
    """Return the section that determines how the rows of a language model share sequences: the one named as the task."""
    section: SequenceSection = getattr(recipe, recipe.task)
    return section


def joined_prompts(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse several rows per sequence beside trained prompts, which stand before the first row only."""
    if recipe.adapter is None or recipe.adapter.method not in PROMPTED:
        return
    message = f"{recipe.adapter.method} puts trained vectors before a sequence, and only the first row in it would attend to them"
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


def answer_metrics(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse metrics that the answers, labels or generated texts, do not allow."""
    for path, metric in metric_roles.named_metrics(recipe).items():
        yield from answer_metric(recipe, path, metric)


def answer_metric(recipe: Recipe, path: KeyPath, metric: str) -> Iterator[Fault]:
    generation = recipe.evaluate.answers
    if recipe.sft.labels:
        if metric not in (*LABEL_METRICS, *LOSS_METRICS):
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
        path, example = ("evaluate", "answers", "pattern"), 'For example "#### (.*)".'
        try:
            if re.compile(generation.pattern).groups < 1:
                yield Fault(path, "has no group, so no part of the answer is selected", example)
        except re.error as error:
            yield Fault(path, f"is not a regular expression: {error}", example)
    if (generation.temperature is not None or generation.top_p is not None) and not generation.do_sample:
        message = "temperature and top_p apply only to sampling, and do_sample is false"
        yield Fault(("evaluate", "answers"), message, "Write do_sample: true, or remove them.")


def reward_functions(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse a run without a reward, and weights or a stop rule that have nothing to act on."""
    section = recipe.rewards
    if not section.reward_funcs:
        message = "no reward function is named"
        yield Fault(("rewards", "reward_funcs"), message, "For example: rewards: {reward_funcs: [rewards.py:my_reward]}.")
    elif section.reward_weights is not None and len(section.reward_weights) != len(section.reward_funcs):
        message = f"there are {len(section.reward_weights)} for {len(section.reward_funcs)} in reward_funcs"
        yield Fault(("rewards", "reward_weights"), message, "Give one for each, in their order.")
    if section.gold in section.reward_funcs:
        message = f"{section.gold} is trained on, too: a held-back reward shows what the trained ones overlook"
        yield Fault(("rewards", "gold"), message, "Name another function or run, or remove it.")
    if section.stop_at_turn and section.gold is None:
        yield Fault(("rewards", "stop_at_turn"), "there is no gold reward whose turn could be seen", "Name rewards.gold.")
    if section.gold is None and "gold_reward" in metric_roles.named_metrics(recipe).values():
        path = next(key for key, name in metric_roles.named_metrics(recipe).items() if name == "gold_reward")
        yield Fault(path, "there is no gold reward", "Name rewards.gold, or write reward.")


def rounds(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse rewards that no round reads, rounds without annotations, and rounds that leave no model for the next one."""
    section, rewards = recipe.rounds, recipe.rewards
    if section is None:
        if is_requested(recipe, ("rewards",)):
            message = "preferences are learnt from pairs; rewards are read where rounds sample answers, and there are no rounds"
            yield Fault(("rewards",), message, "Write rounds: {n: 2} and run tunesmith rounds, or write task: ppo.")
        return
    if section.annotate == "rewards" or is_requested(recipe, ("rewards",)):
        yield from reward_functions(recipe, base)
    if section.annotate == "rewards" and not section.compare:
        yield Fault(("rounds", "compare"), "nobody compares answers where rewards annotate them", "Remove the key.")
    elif not section.compare and rewards.reward_funcs:
        yield Fault(("rounds", "compare"), "the rewards give the verdict, and nobody compares answers", "Remove the key.")
    if recipe.train.save_strategy == "none":
        yield Fault(("train", "save_strategy"), "none: the next round starts from the model of the last one", "Write best.")


def minibatches(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse batches that do not divide the answers of an iteration, and score normalisation without scaling."""
    own, train = recipe.ppo, recipe.train
    parts = own.num_mini_batches * train.gradient_accumulation_steps
    if own.rollout_batch_size % parts:
        message = f"{own.rollout_batch_size} is not divided by num_mini_batches * gradient_accumulation_steps = {parts}"
        yield Fault(("ppo", "rollout_batch_size"), message, "Give a multiple of it.")
    elif train.per_device_train_batch_size not in (None, own.rollout_batch_size // parts):
        message = f"{train.per_device_train_batch_size} is not rollout_batch_size / (num_mini_batches * "
        message += f"gradient_accumulation_steps) = {own.rollout_batch_size // parts}"
        yield Fault(("train", "per_device_train_batch_size"), message, "Leave it out, or raise gradient_accumulation_steps.")
    if own.use_score_norm and not own.use_score_scaling:
        yield Fault(("ppo", "use_score_norm"), "has no effect without use_score_scaling", "Write use_score_scaling: true.")


def whole_groups(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse answers of a generation that are not divided into whole groups, and options that the algorithm does not read."""
    own, train = recipe.grpo, recipe.train
    steps, rows = own.steps_per_generation or train.gradient_accumulation_steps, train.per_device_train_batch_size
    if rows is not None and rows * steps % own.num_generations:
        message = f"{rows} * steps_per_generation {steps} = {rows * steps}, which num_generations {own.num_generations} "
        message += "does not divide: groups would be incomplete"
        remedy = "Leave it out, or give a number whose product is a multiple of num_generations."
        yield Fault(("train", "per_device_train_batch_size"), message, remedy)
    for name in UNREAD[own.algorithm]:
        if getattr(own, name) != type(own).model_fields[name].default:
            yield Fault(("grpo", name), f"has no effect with algorithm: {own.algorithm}", "Remove the key.")
    if own.reward_clip_range is not None and own.reward_clip_range[0] >= own.reward_clip_range[1]:
        yield Fault(("grpo", "reward_clip_range"), "the lower end is not below the upper one", "Give [lowest, highest].")


def sampled_rows(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse dropout of a policy, whose samples are scored without it, and a rule for incomplete batches, which it has not."""
    train = recipe.train
    if train.dropout:
        message = "the policy is trained without dropout: the probabilities of its samples are those that it is trained from"
        yield Fault(("train", "dropout"), message, "Remove the key.")
    if "dataloader_drop_last" in recipe.upstream:
        yield Fault(("upstream", "dataloader_drop_last"), "every iteration has whole batches", "Remove the key.")


# Algorithm of the section grpo -> options that it does not read.
UNREAD: Mapping[str, tuple[str, ...]] = {
    "grpo": ("normalize_advantages", "reward_clip_range"),
    "rloo": ("delta", "loss_type", "importance_sampling_level", "scale_rewards"),
}
LANGUAGE_RULES = (new_tokens, joined_prompts)

# Row of the table -> rules for that task alone.
RULES_OF_TASK: Mapping[str, tuple[Callable[[Recipe, Path], Iterator[Fault]], ...]] = {
    "embedding": (sizes_and_scores, losses, trained_layers),
    "reranker": (reranker_data,),
    "sft": (*LANGUAGE_RULES, labels, answer_metrics, answer_generation),
    "pretraining": LANGUAGE_RULES,
    "preference": (rounds,),
    "ppo": (reward_functions, minibatches, sampled_rows),
    "grpo": (reward_functions, whole_groups, sampled_rows),
}


def rules_of_task(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Apply the rules for the recipe's task alone."""
    for rule in RULES_OF_TASK.get(task_settings(recipe).name, ()):
        yield from rule(recipe, base)


RULES = (foreign_keys, several_label_columns, *metric_roles.RULES, baselines, quantised, rules_of_task)
