"""Sentence embeddings: what the loss is given, one fit, and how vectors steer it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.data.pairs.rows import DOCUMENT, QUERY, RANKED, EmbeddingRows
from tunesmith.models.embedding.encoder import SentenceEncoder, tokenize_texts
from tunesmith.models.encode import used_token_ids
from tunesmith.models.fast.length_groups import use_length_groups, use_whole_batches
from tunesmith.models.inference import autocast
from tunesmith.progress import Listener
from tunesmith.recipe.sections import Recipe
from tunesmith.training.fit import Fit, FitPlan
from tunesmith.training.fit import fit as run_fit
from tunesmith.training.losses.embedding_choice import LossChoice
from tunesmith.training.signals import StopRequest
from tunesmith.training.trainers.embedding import EmbeddingTrainer, TrainingSet, dataset_of, names_of, set_name

TSDAE = "DenoisingAutoEncoderLoss"
SAME_OR_NOT = ("ContrastiveLoss", "OnlineContrastiveLoss")
OWN_PASSES = frozenset({"ContrastiveTensionLoss", "ContrastiveTensionLossInBatchNegatives", TSDAE})
"""Losses that copy the model or use more of it than its vectors: batches stay whole, and all words are trained."""
Measure = Callable[[Any], dict[str, float]]


@dataclass(frozen=True)
class Part:
    """Training rows with their loss.

    Attributes:
        labels: (N) what the loss compares the rows with; None where it needs nothing.
        loss: the module, with the model in it.
    """

    rows: EmbeddingRows
    labels: list[Any] | None
    choice: LossChoice
    loss: Any


@dataclass(frozen=True)
class Prepared:
    """What a fit is given besides the recipe.

    Attributes:
        parts: the rows of ``data.train``, then those of ``data.also`` that have a loss of their own.
        expected_loss: of the first step, which later ones are held against.
    """

    encoder: SentenceEncoder
    parts: tuple[Part, ...]
    expected_loss: float

    @property
    def rows(self) -> EmbeddingRows:
        return self.parts[0].rows

    @property
    def choice(self) -> LossChoice:
        return self.parts[0].choice


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
    said = {first: encoder.prompt_for(*QUERY), **dict.fromkeys(others, encoder.prompt_for(*DOCUMENT))}
    return {name: prompt for name, prompt in said.items() if prompt}


def reached_ids(encoder: SentenceEncoder, parts: Sequence[Part]) -> np.ndarray | None:
    """Every token id that training meets; None where the model is none of plain text."""
    if not encoder.is_plain:
        return None
    texts = []
    for part in parts:
        prompts = prompts_of(encoder, part.rows)
        for name, side in zip(names_of(part.rows), part.rows.sides, strict=True):
            texts += [prompts.get(name, "") + text for text in dict.fromkeys(side)]
    return used_token_ids(tokenize_texts(encoder.model, texts), encoder.model.tokenizer.pad_token_id)


def rows_of_a_pass(parts: Sequence[Part], recipe: Recipe) -> int:
    """How many rows a pass has: all, in whole batches of each part; in turns, as many of each as the smallest has."""
    size = recipe.train.batch_rows
    n_batches = [-(-len(part.rows) // size) for part in parts]
    if len(parts) == 1:
        return len(parts[0].rows)
    return size * (len(parts) * min(n_batches) if recipe.embedding.mix == "round_robin" else sum(n_batches))


def fit(
    prepared: Prepared, recipe: Recipe, measure: Measure, metric: str, folder: Path, log: Path, seed: int, request: StopRequest,
    listener: Listener, *, resume: bool, smoke: bool,
) -> Fit:  # fmt: skip
    """Train the model in place on the training rows; it ends with the weights of its best evaluation.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    encoder, parts = prepared.encoder, prepared.parts
    own_passes = any(part.choice.name in OWN_PASSES for part in parts)
    in_groups = encoder.is_plain and encoder.fast_path.fast and not own_passes and not recipe.embedding.adaptive_layers
    plan = FitPlan(
        recipe, rows_of_a_pass(parts, recipe), trainer_of(prepared, measure, seed), metric, True, folder, log, encoder.fast_path,
        seed, reached=None if own_passes else reached_ids(encoder, parts), body=body_of(encoder), smoke=smoke,
        arguments=arguments_of(encoder, parts, recipe),
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


def arguments_of(encoder: SentenceEncoder, parts: Sequence[Part], recipe: Recipe) -> tuple[type[Any], Mapping[str, Any]]:
    """Upstream's class of arguments, and those it has beside the usual ones."""
    from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

    prompts: dict[str, Any] = {set_name(i): prompts_of(encoder, part.rows) for i, part in enumerate(parts)}
    if len(parts) == 1:
        prompts = prompts[set_name(0)]
    own = {"batch_sampler": parts[0].choice.sampler, "prompts": prompts if any(prompts.values()) else None}
    mixed = {"multi_dataset_batch_sampler": recipe.embedding.mix} if len(parts) > 1 else {}
    return SentenceTransformerTrainingArguments, own | mixed


def trainer_of(prepared: Prepared, measure: Measure, seed: int) -> Callable[[Any, Any], EmbeddingTrainer]:
    """What makes the trainer of a model on the training rows; ``measure`` steers it."""

    def make(arguments: Any, _schedule: Any) -> EmbeddingTrainer:
        sets = [
            TrainingSet(dataset_of(part.rows, part.choice.name, part.labels, seed), part.loss, part.choice.sampler,
                        part.choice.name == TSDAE)
            for part in prepared.parts
        ]  # fmt: skip
        return EmbeddingTrainer(
            model=prepared.encoder.model, args=arguments, sets=sets, measure=measure, expected_loss=prepared.expected_loss
        )

    return make


def loss_on(prepared: Prepared, rows: EmbeddingRows, labels: list[Any] | None, batch_rows: int) -> float:
    """The mean loss of batches of rows in their order, in evaluation mode; NaN where they have another shape than train's."""
    first = prepared.parts[0]
    is_alike = (rows.shape.kind, len(rows.sides)) == (first.rows.shape.kind, len(first.rows.sides))
    if not is_alike or first.choice.name in OWN_PASSES:
        return math.nan
    model, total, judged = prepared.encoder.model, 0.0, replace(first, rows=rows, labels=labels)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(rows), batch_rows):
            positions = list(range(start, min(start + batch_rows, len(rows))))
            total += len(positions) * float(batch_loss(prepared.encoder, judged, positions))
    model.train(was_training)
    return total / len(rows)


def batch_loss(encoder: SentenceEncoder, part: Part, positions: list[int]) -> torch.Tensor:
    """The loss of one batch, by the model's mode and the kernels' precision."""
    device = next(encoder.model.parameters()).device
    prompts, features = prompts_of(encoder, part.rows), []
    for name, side in zip(names_of(part.rows), part.rows.sides, strict=True):
        made = encoder.model.preprocess([side[i] for i in positions], prompt=prompts.get(name))
        features.append({key: value.to(device) if hasattr(value, "to") else value for key, value in made.items()})
    if part.choice.name in (TSDAE, "ContrastiveTensionLoss"):
        features = [features[0], dict(features[0])]
    targets = None if part.labels is None else torch.tensor([part.labels[i] for i in positions], device=device)
    with autocast(encoder.fast_path.precision, device.type):
        found = part.loss(features, targets)
    return torch.stack(list(found.values())).sum() if isinstance(found, dict) else found
