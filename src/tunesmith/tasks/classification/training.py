"""Builds the trainer, loss and evaluation of classifiers and regressions."""

from __future__ import annotations

import numpy as np
import torch
from transformers import TrainingArguments

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.outputs import metric_values
from tunesmith.models.equivalence import fp32_logits, spread_rows
from tunesmith.models.inference import autocast, pad_batch
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.tasks.classification.evaluation import split_metrics
from tunesmith.tasks.classification.model import LabelledSession
from tunesmith.tasks.classification.scoring import predict
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.epoch_logits import allocate
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.schedule import Schedule
from tunesmith.training.trainers.rows import RowTrainer


def trainer_spec(session: LabelledSession, evaluate: EvaluateFn, _seed: int) -> TrainerSpec:
    """Returns the trainer of the session's model on the training rows."""
    tokens, train = session.tokens, session.tokens.encoded["train"]
    n_classes = tokens.labels.n if tokens.labels.problem_type == SINGLE else 0

    def make(arguments: TrainingArguments, schedule: Schedule) -> RowTrainer:
        return RowTrainer(
            model=session.model,
            args=arguments,
            encoded=train,
            pad_id=tokens.pad_id,
            fast_path=session.fast_path,
            loss=tokens.loss,
            evaluate_fn=evaluate,
            expected_loss=tokens.expected_loss,
            steps_per_epoch=schedule.steps_per_epoch,
            epoch_logits=allocate(schedule.total_steps // schedule.steps_per_epoch, len(train), n_classes),
        )

    return TrainerSpec(make)


def model_checks(session: LabelledSession) -> list[CheckLine]:
    """Returns a line about how the head starts, and one about what the model is trained on first."""
    lines, plan = [CheckLine("head", session.head)], session.distillation_plan
    if plan is not None:
        lines.append(CheckLine("distillation", f"{plan.words}, with the outputs of a linear model of embeddings"))
    return lines


def trial_parts(session: LabelledSession) -> list[TrialPart]:
    """Returns the training rows with their loss, for the trial step."""
    tokens, train, model = session.tokens, session.tokens.encoded["train"], session.model

    def compute_loss(positions: list[int]) -> torch.Tensor:
        device, rows = next(model.parameters()).device, train.take(positions)
        batch = {name: tensor.to(device) for name, tensor in pad_batch(rows, np.arange(len(rows)), tokens.pad_id).items()}
        with autocast(session.fast_path.precision, device.type):
            outputs = model(**batch)
        return tokens.loss(outputs, torch.tensor(rows.labels, device=device))

    return [TrialPart(train.lengths, compute_loss, model, is_bucketed=session.fast_path.bucketed)]


def evaluate_fn(session: LabelledSession, max_rows: int | None) -> EvaluateFn:
    """Returns a function that computes a model's loss and metrics on validation, or on a few rows of it."""
    rows = session.tokens.encoded["validation"]
    rows = rows if max_rows is None else spread_rows(rows, max_rows)

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        outputs = predict(model, rows, session)
        assert outputs.losses is not None
        return {"loss": float(outputs.losses.mean()), **metric_values(outputs, split_metrics(session, rows.split))}

    return evaluate


def sample_outputs(session: LabelledSession, max_rows: int) -> Array:
    """Computes the logits (n, K) of a few training rows from the shortest to the longest, in fp32."""
    return fp32_logits(session.model, spread_rows(session.tokens.encoded["train"]), session.tokens.pad_id, max_rows)
