"""Builds the trainers, losses and evaluation of preference runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from transformers import TrainingArguments

from tunesmith.data.arrays import Array
from tunesmith.evaluation.outputs import metric_values
from tunesmith.models.inference import autocast
from tunesmith.models.language.reference import plain_forward
from tunesmith.models.language.token_losses import move_to
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.recipe.metric_names import LOSS
from tunesmith.tasks.preference.evaluation import split_metrics
from tunesmith.tasks.preference.model import PreferenceSession, make_trainer, training_tokens, trl_arguments
from tunesmith.tasks.preference.scoring import PreferenceSplit, outputs_of, score_answers, side_losses
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.sampling import interleaved_order
from tunesmith.training.schedule import Schedule
from tunesmith.training.trainers.preference import PreferenceTokens, PreferenceTrainer, item_batches
from tunesmith.training.trainers.preference_kinds import config_class

SAMPLE_ROWS = 8
WATCHED_ROWS = 8
"""Prompts that are answered at each evaluation during training."""
LossOf = Callable[[torch.nn.Module, PreferenceTokens, list[int]], torch.Tensor]


def trainer_spec(session: PreferenceSession, evaluate: EvaluateFn, _seed: int) -> TrainerSpec:
    """Returns TRL's trainer of the session's model on the training rows."""

    def make(arguments: TrainingArguments, _schedule: Schedule) -> PreferenceTrainer:
        return make_trainer(session, arguments, evaluate)

    @contextmanager
    def around() -> Iterator[None]:
        try:
            yield
        finally:
            plain_forward(session.model)

    arguments: Mapping[str, object] = trl_arguments(session)
    return TrainerSpec(make, config_class(session.losses.trainer), arguments, around)


def batch_loss(session: PreferenceSession, model: torch.nn.Module, tokens: PreferenceTokens, items: list[int]) -> torch.Tensor:
    """Computes TRL's loss of one batch, in the precision of the training."""
    device = next(model.parameters()).device
    batch = move_to(device, session.loss_trainer.build(tokens, items))
    with autocast(session.fast_path.precision, device.type):
        loss: torch.Tensor = session.loss_trainer.compute_loss(model, batch)
    return loss


def trial_parts(session: PreferenceSession) -> list[TrialPart]:
    """Returns the training rows with their loss, for the trial step."""

    def compute_loss(items: list[int]) -> torch.Tensor:
        return batch_loss(session, session.model, session.tokens, items)

    return [TrialPart(session.tokens.lengths, compute_loss, session.model)]


def evaluate_fn(session: PreferenceSession, max_rows: int | None) -> EvaluateFn:
    """Returns a function that computes a model's loss and metrics on validation, with the answers to a few prompts."""
    split = session.splits["validation"]
    split = split.with_sample(WATCHED_ROWS) if max_rows is None else split.first_rows(max_rows)
    assert session.loss_trainer is not None  # made now: that seeds the generators, which an evaluation leaves alone

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        scores = score_answers(session, model, split, session.generation)
        values = metric_values(outputs_of(scores, split, session.losses), split_metrics(session, split.split))
        return {**values, LOSS: mean_loss(session, model, split)}

    return evaluate


def mean_loss(session: PreferenceSession, model: torch.nn.Module, split: PreferenceSplit) -> float:
    """Computes TRL's loss on a split, weighted by the rows of each batch: a mean of batch means would depend on the last one."""
    tokens, size = training_tokens(split.rows, session.pad_id), session.data.recipe.train.batch_rows
    order = list(range(len(tokens)))
    if tokens.desirable is not None:
        order = interleaved_order(np.array(tokens.desirable), len(tokens) + 1, session.data.recipe.train.seed, 0).tolist()
    was_training, total = model.training, 0.0
    model.eval()
    with torch.no_grad():
        for places in item_batches(len(order), size):
            total += len(places) * float(batch_loss(session, model, tokens, [order[place] for place in places]))
    model.train(was_training)
    return total / len(order)


def sample_items(session: PreferenceSession) -> list[int]:
    """Returns positions of a few training rows from the shortest to the longest."""
    order = np.argsort(session.tokens.lengths, kind="stable")
    return [int(order[i]) for i in np.unique(np.linspace(0, len(order) - 1, SAMPLE_ROWS).astype(int))]


def sample_outputs(session: PreferenceSession, max_rows: int) -> Array:
    """Computes the summed losses of a few answers (n) in fp32."""
    side = session.tokens.chosen.take(sample_items(session))
    plain = replace(session, fast_path=replace(session.fast_path, precision="fp32"))
    return side_losses(plain, session.model, side, max_rows).sums
