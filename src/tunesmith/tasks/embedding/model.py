"""Loads an embedding model with its losses, and measures the lengths of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.load import EmbeddingData
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.evaluation.embedding_tests import prompts_of_sides, same_or_not
from tunesmith.machine import device_name, quiet_libraries, seed_everything
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder, text_transformer, tokenize_texts
from tunesmith.models.embedding.model import load_trainable, prepare_training
from tunesmith.models.encode import length_record, used_token_ids
from tunesmith.models.source import find_model
from tunesmith.progress import Clock
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.sections import ModelSection, Recipe
from tunesmith.tasks.embedding.data import EmbeddingTaskData, own_section
from tunesmith.tasks.task import Session, SplitLengths
from tunesmith.training.losses.embedding_build import GUIDED, build_loss
from tunesmith.training.losses.embedding_choice import LossChoice
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.trainers.embedding import names_of

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

TSDAE = "DenoisingAutoEncoderLoss"
SAME_OR_NOT = ("ContrastiveLoss", "OnlineContrastiveLoss")
OWN_PASSES = frozenset({"ContrastiveTensionLoss", "ContrastiveTensionLossInBatchNegatives", TSDAE})
"""Losses that copy the model or use more than its embeddings: batches stay whole, and all token embeddings are trained."""


@dataclass(frozen=True)
class Part:
    """Training rows with their loss.

    Attributes:
        labels: (N) targets of the loss; None for a loss without targets.
        loss: the module, with the model in it.
    """

    rows: EmbeddingRows
    labels: list[Any] | None
    choice: LossChoice
    loss: torch.nn.Module


@dataclass(frozen=True, kw_only=True)
class EmbeddingSession(Session):
    """An embedding model of one seed.

    Attributes:
        parts: the rows of ``data.train``, then those of ``data.also`` that have a loss of their own.
    """

    data: EmbeddingTaskData = field()
    encoder: SentenceEncoder
    parts: tuple[Part, ...]

    @property
    def body(self) -> torch.nn.Module:
        return text_transformer(self.encoder.model) or self.encoder.model


def prepare(data: EmbeddingTaskData, clock: Clock) -> EmbeddingTaskData:
    """Returns the data with mined hard negatives if the recipe requests them."""
    if data.recipe.embedding.hard_negatives is None:
        return data
    from tunesmith.tasks.embedding.hard_negatives import with_hard_negatives

    with clock.phase("hard negatives"):
        quiet_libraries()
        seed_everything(data.recipe.train.seed)
        return with_hard_negatives(data)


def load(data: EmbeddingTaskData, seed: int, earlier: EmbeddingSession | None = None) -> EmbeddingSession:
    """Loads the base model and builds its losses; new weights of either are drawn by this seed."""
    recipe, rows = data.recipe, data.rows
    data.clock.part("loading")
    seed_everything(seed)
    encoder = load_trainable(data.source, recipe)
    n_batches = sum(batches_per_epoch(len(part), recipe) for part in (rows.train, *rows.also))
    prepare_training(encoder, recipe, plan_schedule(n_batches, recipe.train).total_steps)
    sections = [recipe.embedding, *(own_section(recipe, part) for part in rows.also)]
    parts = []
    for part, choice, section in zip((rows.train, *rows.also), (data.choice, *data.also), sections, strict=True):
        guide = load_guide(data) if choice.name in GUIDED else None
        loss = build_loss(encoder.model, choice.name, part, section, encoder.dimension, guide)
        parts.append(Part(part, labels_for(data, part, choice.name, part.classes), choice, loss.to(device_name())))
    data.clock.part("tokenising")
    return EmbeddingSession(
        data=data,
        model=encoder.model,
        fast_path=encoder.fast_path,
        rows_per_epoch=rows_per_epoch(parts, recipe),
        metric=data.metric,
        expected_loss=float("nan"),
        lengths=lengths(rows, encoder) if earlier is None else earlier.lengths,
        used_token_ids=training_token_ids(encoder, parts) if earlier is None else earlier.used_token_ids,
        encoder=encoder,
        parts=tuple(parts),
    )


def has_own_passes(parts: Sequence[Part]) -> bool:
    """Tells whether a loss copies the model or runs it in another way."""
    return any(part.choice.name in OWN_PASSES for part in parts)


def training_token_ids(encoder: SentenceEncoder, parts: Sequence[Part]) -> Array | None:
    """Returns every token id in the training batches; None if the embeddings of all tokens are trained."""
    if has_own_passes(parts) or not encoder.is_plain:
        return None
    texts = []
    for part in parts:
        prompts = prompts_of(encoder, part.rows)
        for name, side in zip(names_of(part.rows), part.rows.sides, strict=True):
            texts += [prompts.get(name, "") + text for text in dict.fromkeys(side)]
    return used_token_ids(tokenize_texts(encoder.model, texts), encoder.model.tokenizer.pad_token_id)


def load_guide(data: EmbeddingTaskData) -> SentenceTransformer:
    """Loads the model that detects false in-batch negatives."""
    named = data.recipe.embedding.guide
    source = data.source if named is None else find_model(ModelSection(name=named), data.base)
    return load_encoder(source, data.recipe.data.max_length, fast=False).model


def labels_for(data: EmbeddingTaskData, rows: EmbeddingRows, loss: str, classes: tuple[str, ...]) -> list[Any] | None:
    """Returns the targets of the loss: class ids, 1 for the same and 0 for different, scores, or a teacher's numbers.

    Args:
        classes: class names of the training rows, in the order of their ids.
    """
    if rows.target is None:
        return None
    if loss in SAME_OR_NOT:
        return same_or_not(rows, data.rows.named_classes)
    if classes:
        return [classes.index(name) for name in rows.target]
    return [
        list(value) if isinstance(value, tuple) and len(value) > 1 else value[0] if isinstance(value, tuple) else value
        for value in rows.target
    ]


def rows_per_epoch(parts: Sequence[Part], recipe: Recipe) -> int:
    """Returns the rows of one epoch.

    ``proportional`` uses all rows, in whole batches of each part; ``round_robin`` stops when the smallest part is used up.
    """
    size = recipe.train.batch_rows
    n_batches = [-(-len(part.rows) // size) for part in parts]
    if len(parts) == 1:
        return len(parts[0].rows)
    return size * (len(parts) * min(n_batches) if recipe.embedding.mix == "round_robin" else sum(n_batches))


def prompts_of(encoder: SentenceEncoder, rows: EmbeddingRows) -> dict[str, str]:
    """Returns text column -> prompt, for the columns that have one."""
    prompts = zip(names_of(rows), prompts_of_sides(encoder, rows.format.kind, len(rows.sides)), strict=True)
    return {name: prompt for name, prompt in prompts if prompt}


def lengths(rows: EmbeddingData, encoder: SentenceEncoder) -> dict[str, SplitLengths]:
    """Returns the lengths of each split's texts; nothing where the model reads no plain text."""
    return {name: split_lengths(part, encoder) for name, part in rows.named().items()} if encoder.is_plain else {}


def split_lengths(rows: EmbeddingRows, encoder: SentenceEncoder) -> SplitLengths:
    """Returns the lengths of one split; a row loses tokens where one of its texts does."""
    prompts = prompts_of_sides(encoder, rows.format.kind, len(rows.sides))
    texts = [prompt + text for prompt, side in zip(prompts, rows.sides, strict=True) for text in side]
    encoded = tokenize_texts(encoder.model, texts, count_cut=True)
    cut = (encoded.full_lengths > encoded.lengths).reshape(len(rows.sides), -1)
    n_cut = int(cut.any(axis=0).sum())
    by_column = {column: int(n) for column, n in zip(rows.format.texts, cut.sum(axis=1), strict=True)}
    record = length_record(encoded) | {"rows_truncated": n_cut, "rows_truncated_by_column": by_column}
    return SplitLengths(len(rows), n_cut, record)
