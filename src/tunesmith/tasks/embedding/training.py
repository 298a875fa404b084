"""Builds the trainer, losses and evaluation of sentence embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.data.split import spread_positions
from tunesmith.evaluation.embedding_tests import RowsTest, metrics_of_test, truncated_outputs
from tunesmith.evaluation.outputs import metric_values
from tunesmith.models.embedding.encoder import SentenceEncoder
from tunesmith.models.fast.length_groups import length_groups
from tunesmith.models.inference import autocast
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.recipe.metric_names import split_dimension
from tunesmith.tasks.embedding.model import OWN_PASSES, TSDAE, EmbeddingSession, Part, has_own_passes, labels_for, prompts_of
from tunesmith.tasks.embedding.own_metrics import OwnMetrics, named_evaluators, unchanged_padding
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.trainers.embedding import EmbeddingTrainer, TrainingSet, dataset_of, names_of, set_name

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from tunesmith.training.schedule import Schedule

SAMPLE_TEXTS = 8


def trainer_spec(session: EmbeddingSession, evaluate: EvaluateFn, seed: int) -> TrainerSpec:
    """Returns upstream's trainer of the session's model on the training rows."""
    from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

    encoder = session.encoder
    in_groups = encoder.is_plain and encoder.fast_path.fast and not has_own_passes(session.parts)
    in_groups = in_groups and not session.data.recipe.embedding.adaptive_layers

    def make(arguments: TrainingArguments, _schedule: Schedule) -> EmbeddingTrainer:
        sets = [
            TrainingSet(
                dataset_of(part.rows, part.choice.name, part.labels, seed),
                part.loss,
                part.choice.sampler,
                denoise=part.choice.name == TSDAE,
            )
            for part in session.parts
        ]
        return EmbeddingTrainer(
            model=encoder.model, args=arguments, sets=sets, evaluate_fn=evaluate, expected_loss=session.trial_loss
        )

    around = partial(length_groups, encoder.model) if in_groups else nullcontext
    return TrainerSpec(make, SentenceTransformerTrainingArguments, own_arguments(session), around)


def own_arguments(session: EmbeddingSession) -> Mapping[str, Any]:
    """Returns the arguments that only upstream's trainer for embeddings has."""
    parts = session.parts
    prompts: dict[str, Any] = {set_name(i): prompts_of(session.encoder, part.rows) for i, part in enumerate(parts)}
    if len(parts) == 1:
        prompts = prompts[set_name(0)]
    own = {"batch_sampler": parts[0].choice.sampler, "prompts": prompts if any(prompts.values()) else None}
    return own | ({"multi_dataset_batch_sampler": session.data.recipe.embedding.mix} if len(parts) > 1 else {})


def trial_parts(session: EmbeddingSession) -> list[TrialPart]:
    """Returns the training rows by loss, for the trial step, with the characters of all texts of each row."""
    parts = []
    for part in session.parts:
        sizes = np.array([sum(map(len, texts)) for texts in zip(*part.rows.sides, strict=True)])
        parts.append(TrialPart(sizes, partial(batch_loss, session.encoder, part), part.loss, part.choice.name))
    return parts


def evaluate_fn(session: EmbeddingSession, max_rows: int | None) -> EvaluateFn:
    """Returns a function that computes the model's loss and metrics on validation, or on a few rows of it."""
    data, test, rows = session.data, session.data.tests["validation"], session.data.rows.validation
    assert rows is not None
    if max_rows is not None:
        positions = spread_positions(len(rows), max_rows)
        rows = rows.take(positions, rows.split)
        assert isinstance(test, RowsTest)
        test = test.take(positions)
    train = data.rows.train
    is_known = set(train.classes) >= set(rows.classes) and rows.format.kind == train.format.kind
    labels = labels_for(data, rows, data.choice.name, train.classes) if is_known else None
    part = replace(session.parts[0], rows=rows, labels=labels)

    own = OwnMetrics(data.recipe, data.function)
    metrics, evaluators = own.added(metrics_of_test(test), test), named_evaluators(data.recipe)
    named = (split_dimension(name)[1] for name in session.roles)
    sizes = [size for size in dict.fromkeys(named) if size is not None]

    def evaluate(_model: torch.nn.Module) -> dict[str, float]:
        vectors = test.vectors(session.encoder)
        outputs = own.measured(truncated_outputs(test, vectors, sizes), test, vectors, session.encoder, evaluators)
        loss = mean_loss(session, part) if is_known else math.nan
        return {"loss": loss, **metric_values(outputs, metrics)}

    return evaluate


def mean_loss(session: EmbeddingSession, part: Part) -> float:
    """Computes the mean loss in evaluation mode, in batches in order; NaN for rows of another format than train's."""
    train = session.parts[0].rows
    is_alike = (part.rows.format.kind, len(part.rows.sides)) == (train.format.kind, len(train.sides))
    if not is_alike or part.choice.name in OWN_PASSES:
        return math.nan
    model, total, batch_rows = session.encoder.model, 0.0, session.data.recipe.train.batch_rows
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(part.rows), batch_rows):
            positions = list(range(start, min(start + batch_rows, len(part.rows))))
            total += len(positions) * float(batch_loss(session.encoder, part, positions))
    model.train(was_training)
    return total / len(part.rows)


def batch_loss(encoder: SentenceEncoder, part: Part, positions: list[int]) -> torch.Tensor:
    """Computes the loss of one batch, in the model's mode and in the fast path's precision."""
    device = next(encoder.model.parameters()).device
    prompts, features = prompts_of(encoder, part.rows), []
    for name, side in zip(names_of(part.rows), part.rows.sides, strict=True):
        tokens = encoder.model.preprocess([side[i] for i in positions], prompt=prompts.get(name))
        features.append({key: value.to(device) if hasattr(value, "to") else value for key, value in tokens.items()})
    if part.choice.name in (TSDAE, "ContrastiveTensionLoss"):
        features = [features[0], dict(features[0])]
    targets = None if part.labels is None else torch.tensor([part.labels[i] for i in positions], device=device)
    with autocast(encoder.fast_path.precision, device.type):
        loss = part.loss(features, targets)
    return torch.stack(list(loss.values())).sum() if isinstance(loss, dict) else loss


def sample_texts(rows: EmbeddingRows) -> list[str]:
    """Returns a few texts from the shortest to the longest."""
    texts = sorted({text for side in rows.sides for text in side}, key=len)
    return [texts[i] for i in np.unique(np.linspace(0, len(texts) - 1, SAMPLE_TEXTS).astype(int))]


def plain_vectors(encoder: SentenceEncoder, texts: list[str], max_rows: int = SAMPLE_TEXTS) -> Array:
    """Computes embeddings (N, D) in fp32 with upstream's ``encode``, in batches of at most so many texts."""
    with unchanged_padding(encoder.model):
        return np.asarray(encoder.model.encode(texts, batch_size=max_rows, show_progress_bar=False), dtype=np.float32)


def sample_outputs(session: EmbeddingSession, max_rows: int) -> Array:
    """Computes the embeddings (n, D) of a few training texts from the shortest to the longest, in fp32."""
    return plain_vectors(session.encoder, sample_texts(session.data.rows.train), max_rows)
