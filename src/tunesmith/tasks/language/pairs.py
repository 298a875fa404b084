"""Tokenises the rows of encoder-decoders: conversations as prompt and answer, plain texts as pairs of a denoising objective."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunesmith.data.cells import plural
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import RecipeError
from tunesmith.models.chat.render import Rendered, render
from tunesmith.models.chat.targets import PairLimits, render_targets, require_completion
from tunesmith.models.chat.template import NO_TEMPLATE, Template
from tunesmith.models.language.denoising import Denoising, bare_texts, make_denoising
from tunesmith.models.language.masking import FIXED_EPOCH
from tunesmith.models.language.model import Objective
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.task_rules import sequences
from tunesmith.tasks.language.data import GENERAL
from tunesmith.training.trainers.pairs import TrainingPairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FP16_OVERFLOWS = frozenset({"longt5", "mt5", "switch_transformers", "t5", "umt5"})
"""Model types whose activations exceed the range of fp16: they were pretrained in bf16."""


def require_pair_settings(recipe: Recipe, objective: Objective, family: str) -> None:
    """Raises RecipeError for settings that encoder-decoders do not have, and for those that only they have."""
    section, own = sequences(recipe), {"sft.max_target_length": recipe.sft.max_target_length}
    own |= {f"pretraining.{name}": getattr(recipe.pretraining, name) for name in ("noise_density", "mean_noise_span_length")}
    if not objective.has_encoder:
        for key, value in own.items():
            if value is not None:
                message = f"it is of encoder-decoders, and {recipe.model.name} is a {objective.name} language model ({family})."
                raise RecipeError.one(key, message, "Remove it.")
        return
    refuse_fp16(recipe, family)
    for key in ("packing", "padding_free"):
        if getattr(section, key):
            message = f"{recipe.model.name} is an encoder-decoder ({family}), whose rows are not joined."
            raise RecipeError.one(f"{recipe.task}.{key}", message, "Leave it out.")
    require_completion(recipe.sft.loss_on, recipe.sft.long_rows)


def refuse_fp16(recipe: Recipe, family: str) -> None:
    """Raises RecipeError for training in fp16 where the activations of the model type exceed its range."""
    if recipe.upstream.get("fp16") and family in FP16_OVERFLOWS:
        message = (
            f"models of type {family} were pretrained in bf16, and their activations overflow in fp16: the loss becomes NaN."
        )
        raise RecipeError.one("upstream.fp16", message, "Remove it: the fast path takes bf16 where the GPU has it, else fp32.")


def denoising_of(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> Denoising:
    """Makes the denoising of plain texts. Raises an error if the tokenizer has no tokens for it, or too few."""
    section = recipe.pretraining
    denoising = make_denoising(tokenizer, section.noise_density, section.mean_noise_span_length)
    denoising.require_sentinels(max_length or 1)
    return denoising


def render_pairs(
    recipe: Recipe, rows: Conversations, tokenizer: PreTrainedTokenizerBase, template: Template, limits: PairLimits
) -> Rendered:
    """Returns a split as inputs and targets, but the plain texts of train as windows, whose spans are drawn in each epoch."""
    if rows.kind != "text":
        return render_targets(tokenizer, rows, template, limits)
    long_rows = "split" if rows.split == GENERAL else recipe.sft.long_rows
    windows = render(tokenizer, rows, NO_TEMPLATE, limits.max_length, "all", long_rows, masked=True)
    return windows if rows.split == "train" else denoised(recipe, windows, tokenizer)


def denoised(recipe: Recipe, windows: Rendered, tokenizer: PreTrainedTokenizerBase) -> Rendered:
    """Returns windows of plain texts as inputs and targets, with the spans that are removed in every evaluation."""
    denoising = denoising_of(recipe, tokenizer, windows.max_length)
    texts = bare_texts(windows.input_ids, tokenizer)
    pairs = [denoising.pair(ids, recipe.train.seed, FIXED_EPOCH, entry) for entry, ids in enumerate(texts)]
    sources, targets = tuple(source for source, _ in pairs), tuple(target for _, target in pairs)
    return replace(windows, input_ids=sources, labels=targets, end_ids=(int(tokenizer.eos_token_id),), has_targets=True)


def training_pairs(recipe: Recipe, rows: Rendered, tokenizer: PreTrainedTokenizerBase) -> TrainingPairs:
    """Returns the training rows; spans of plain texts are drawn anew in each epoch."""
    packs = [(i,) for i in range(len(rows.input_ids))]
    pairs = TrainingPairs(rows.row_ids, rows.input_ids, rows.labels, packs, tokenizer.pad_token_id)
    if rows.has_targets:
        return pairs
    denoising = denoising_of(recipe, tokenizer, rows.max_length)
    return replace(pairs, input_ids=bare_texts(rows.input_ids, tokenizer), denoising=denoising, seed=recipe.train.seed)


def target_limit(recipe: Recipe, positions: int | None) -> int | None:
    """Returns the largest number of tokens of a target: the recipe's, else the decoder's number of positions.

    Raises RecipeError if the recipe asks for more.
    """
    requested = recipe.sft.max_target_length
    if requested is not None and positions is not None and requested > positions:
        message = (
            f"{plural(requested, 'token', 'is', 'are')} requested, but the decoder has only {plural(positions, 'position')}."
        )
        raise RecipeError.one("sft.max_target_length", message, f"Give at most {positions}.")
    return positions if requested is None else requested
