"""Sentence embeddings: what the loss is given, one fit, and how vectors steer it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.data.embedding_rows import RANKED, EmbeddingRows
from tunesmith.events import Listener
from tunesmith.losses.embedding_choice import LossChoice
from tunesmith.models.encode import met_in_training
from tunesmith.models.inference import autocast
from tunesmith.models.length_groups import use_length_groups, use_whole_batches
from tunesmith.models.sentence_encoder import SentenceEncoder, tokens_of
from tunesmith.recipe.sections import Recipe
from tunesmith.training.fit import Fit, FitPlan
from tunesmith.training.fit import fit as run_fit
from tunesmith.training.signals import StopRequest
from tunesmith.training.vector_trainer import EmbeddingTrainer, dataset_of, names_of

TSDAE = "DenoisingAutoEncoderLoss"
SAME_OR_NOT = ("ContrastiveLoss", "OnlineContrastiveLoss")
OWN_PASSES = frozenset({"ContrastiveTensionLoss", "ContrastiveTensionLossInBatchNegatives", TSDAE})
"""Losses that copy the model or use more of it than its vectors: batches stay whole, and all words are trained."""
Measure = Callable[[Any], dict[str, float]]


@dataclass(frozen=True)
class Prepared:
    """What a fit is given besides the recipe.

    Attributes:
        labels: (N) what the loss compares the training rows with; None where it needs nothing.
        loss: the module, with the model in it.
        expected_loss: of the first step, which later ones are held against.
    """

    encoder: SentenceEncoder
    rows: EmbeddingRows
    labels: list[Any] | None
    choice: LossChoice
    loss: Any
    expected_loss: float


def labels_of(rows: EmbeddingRows, loss: str, classes: tuple[str, ...], is_same: list[int] | None) -> list[Any] | None:
    """What the loss compares each row with: class ids, 1 for the same and 0 for different, scores, or a teacher's numbers.

    Args:
        classes: of the training rows, in the order of their ids.
        is_same: (N), for the losses that know same and different only.
    """
    if rows.target is None:
        return None
    if loss in SAME_OR_NOT:
        return is_same
    if classes:
        return [classes.index(name) for name in rows.target]
    return [list(value) if isinstance(value, tuple) and len(value) > 1 else one(value) for value in rows.target]


def one(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def prompts_of(encoder: SentenceEncoder, rows: EmbeddingRows) -> dict[str, str]:
    """Text column -> what is put before it: the query's prompt before the first, the document's before the others."""
    if rows.shape.kind not in RANKED:
        return {}
    first, *others = names_of(rows)
    said = {first: encoder.prompt_for("query"), **dict.fromkeys(others, encoder.prompt_for("document", "passage", "corpus"))}
    return {name: prompt for name, prompt in said.items() if prompt}


def reached_ids(encoder: SentenceEncoder, rows: EmbeddingRows, loss: str) -> np.ndarray | None:
    """Every token id that training meets; None where the loss has passes of its own, or the model is none of plain text."""
    if loss in OWN_PASSES or not encoder.is_plain:
        return None
    prompts = prompts_of(encoder, rows)
    texts = [
        prompts.get(name, "") + text
        for name, side in zip(names_of(rows), rows.sides, strict=True)
        for text in dict.fromkeys(side)
    ]
    return met_in_training(tokens_of(encoder.model, texts), encoder.model.tokenizer.pad_token_id)


def fit(
    prepared: Prepared, recipe: Recipe, measure: Measure, metric: str, folder: Path, log: Path, seed: int, request: StopRequest,
    listener: Listener, *, resume: bool, smoke: bool,
) -> Fit:  # fmt: skip
    """Train the model in place on the training rows; it ends with the weights of its best evaluation.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    encoder, rows, choice = prepared.encoder, prepared.rows, prepared.choice
    in_groups = (
        encoder.is_plain and encoder.kernels.fast and choice.name not in OWN_PASSES and not recipe.embedding.adaptive_layers
    )
    plan = FitPlan(
        recipe, len(rows), trainer_of(prepared, measure, seed), metric, True, folder, log, encoder.kernels,
        seed, reached=reached_ids(encoder, rows, choice.name), body=body_of(encoder), smoke=smoke,
        arguments=arguments_of(encoder, rows, choice),
    )  # fmt: skip
    if in_groups:
        use_length_groups(encoder.model)
    try:
        return run_fit(encoder.model, plan, request, listener, resume=resume)
    finally:
        use_whole_batches(encoder.model)


def body_of(encoder: SentenceEncoder) -> Any:
    """The transformer that the kernels are for; the whole model where there is none."""
    return encoder.model[0].model if encoder.is_plain else encoder.model


def arguments_of(encoder: SentenceEncoder, rows: EmbeddingRows, choice: LossChoice) -> tuple[type[Any], Mapping[str, Any]]:
    """Upstream's class of arguments, and those it has beside the usual ones."""
    from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

    return SentenceTransformerTrainingArguments, {"batch_sampler": choice.sampler, "prompts": prompts_of(encoder, rows) or None}


def trainer_of(prepared: Prepared, measure: Measure, seed: int) -> Callable[[Any, Any], EmbeddingTrainer]:
    """What makes the trainer of a model on the training rows; ``measure`` steers it."""
    rows, choice = prepared.rows, prepared.choice

    def make(arguments: Any, _schedule: Any) -> EmbeddingTrainer:
        return EmbeddingTrainer(
            model=prepared.encoder.model, args=arguments, train_dataset=dataset_of(rows, choice.name, prepared.labels, seed),
            loss=prepared.loss, measure=measure, expected_loss=prepared.expected_loss, denoise=choice.name == TSDAE,
        )  # fmt: skip

    return make


def loss_on(prepared: Prepared, rows: EmbeddingRows, labels: list[Any] | None, batch_rows: int) -> float:
    """The mean loss of batches of rows in their order, in evaluation mode; NaN where they have another shape than train's."""
    if (
        rows.shape.kind != prepared.rows.shape.kind
        or prepared.choice.name in OWN_PASSES
        or len(rows.sides) != len(prepared.rows.sides)
    ):
        return math.nan
    model, total = prepared.encoder.model, 0.0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(rows), batch_rows):
            part = list(range(start, min(start + batch_rows, len(rows))))
            total += len(part) * float(batch_loss(prepared, rows, labels, part))
    model.train(was_training)
    return total / len(rows)


def batch_loss(prepared: Prepared, rows: EmbeddingRows, labels: list[Any] | None, positions: list[int]) -> torch.Tensor:
    """The loss of one batch, by the model's mode and the kernels' precision."""
    encoder, loss = prepared.encoder, prepared.loss
    device = next(encoder.model.parameters()).device
    prompts = prompts_of(encoder, rows)
    features = []
    for name, side in zip(names_of(rows), rows.sides, strict=True):
        made = encoder.model.preprocess([side[i] for i in positions], prompt=prompts.get(name))
        features.append({key: value.to(device) if hasattr(value, "to") else value for key, value in made.items()})
    if prepared.choice.name in (TSDAE, "ContrastiveTensionLoss"):
        features = [features[0], dict(features[0])]
    targets = None if labels is None else torch.tensor([labels[i] for i in positions], device=device)
    with autocast(encoder.kernels.precision, device.type):
        found = loss(features, targets)
    return torch.stack(list(found.values())).sum() if isinstance(found, dict) else found
