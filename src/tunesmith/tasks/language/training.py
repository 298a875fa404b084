"""Builds the trainers, losses and evaluation of language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from transformers import TrainingArguments

from tunesmith.data.arrays import Array
from tunesmith.evaluation.outputs import metric_values
from tunesmith.models.fast.supervised_loss import supervised_loss
from tunesmith.models.inference import autocast
from tunesmith.models.language.masking import FIXED_EPOCH
from tunesmith.models.language.seq2seq import pair_loss, pair_losses
from tunesmith.models.language.token_losses import move_to, token_losses
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.recipe.metric_names import LOSS_METRICS
from tunesmith.tasks.language.evaluation import split_metrics
from tunesmith.tasks.language.model import LanguageSession
from tunesmith.tasks.language.scoring import score_split
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.guarded import TrainerKeywords
from tunesmith.training.schedule import Schedule
from tunesmith.training.trainers.pairs import PairTrainer, TrainingPairs
from tunesmith.training.trainers.tokens import CausalTrainer, MaskedTrainer, TrainingTokens, batch_of

SAMPLE_ROWS = 8
WATCHED_ROWS = 16
"""Rows whose answers are generated at each evaluation during training, unless a metric of them selects or stops."""


def trainer_spec(session: LanguageSession, evaluate: EvaluateFn, _seed: int) -> TrainerSpec:
    """Returns the trainer of the session's model on the training rows: TRL's for causal models, transformers' for others."""

    def make(arguments: TrainingArguments, _schedule: Schedule) -> CausalTrainer | MaskedTrainer | PairTrainer:
        usual: TrainerKeywords = {
            "model": session.model,
            "args": arguments,
            "evaluate_fn": evaluate,
            "expected_loss": session.expected_loss,
            "processing_class": session.tokenizer,
        }
        smoothing = session.data.recipe.train.label_smoothing_factor
        if isinstance(session.tokens, TrainingPairs):
            return PairTrainer(**usual, tokens=session.tokens, smoothing=smoothing)
        if session.objective.shifts_labels:
            fast_path, head_alone = session.fast_path, session.head_alone
            return CausalTrainer(**usual, tokens=session.tokens, fast_path=fast_path, head_alone=head_alone, smoothing=smoothing)
        return MaskedTrainer(
            **usual,
            tokens=session.tokens,
            specials=np.array(session.tokenizer.all_special_ids),
            probability=session.data.recipe.pretraining.mlm_probability,
            mask_id=session.tokenizer.mask_token_id,
            vocab_size=len(session.tokenizer),
        )

    return TrainerSpec(make, *arguments_of(session))


def arguments_of(session: LanguageSession) -> tuple[type[TrainingArguments], Mapping[str, object]]:
    """Returns upstream's class of arguments, and arguments that only this class has."""
    if not session.objective.shifts_labels:
        return TrainingArguments, {}
    from trl import SFTConfig

    rows_are_tokens = {"dataset_kwargs": {"skip_prepare_dataset": True}}
    return SFTConfig, {"max_length": None, "packing": False, "gradient_checkpointing": False, **rows_are_tokens}


def trial_parts(session: LanguageSession) -> list[TrialPart]:
    """Returns the training rows with their loss, for the trial step."""
    model = session.model

    def compute_loss(items: list[int]) -> torch.Tensor:
        device = next(model.parameters()).device
        with autocast(session.fast_path.precision, device.type):
            if isinstance(session.tokens, TrainingPairs):
                return pair_loss(model, move_to(device, session.tokens.batch(model, items)))
            batch = move_to(device, batch_of(session.tokens, items))
            if session.objective.shifts_labels:
                smoothing = session.data.recipe.train.label_smoothing_factor
                return supervised_loss(model, batch, head_alone=session.head_alone, smoothing=smoothing)
            loss: torch.Tensor = model(**batch).loss
            return loss

    return [TrialPart(session.tokens.lengths, compute_loss, model, is_bucketed=session.fast_path.bucketed)]


def evaluate_fn(session: LanguageSession, max_rows: int | None) -> EvaluateFn:
    """Returns a function that computes a model's loss and metrics on validation, with the answers of a few rows.

    No windows slide during training. All answers are generated if a metric of them has a role in the training.
    """
    split, settings = session.splits["validation"], replace(session.generation, stride=None)
    if max_rows is not None:
        split = split.first_rows(max_rows)
    elif set(session.roles) <= set(LOSS_METRICS) and not settings.labels:
        split = split.with_sample(WATCHED_ROWS)

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        return metric_values(score_split(session, model, split, settings), split_metrics(session, split.split))

    return evaluate


def sample_positions(tokens: TrainingTokens) -> list[int]:
    """Returns positions of a few sequences from the shortest to the longest."""
    order = np.argsort([len(ids) for ids in tokens.input_ids], kind="stable")
    return [int(order[i]) for i in np.unique(np.linspace(0, len(order) - 1, SAMPLE_ROWS).astype(int))]


def sample_rows(session: LanguageSession) -> list[list[int]]:
    """Returns the token ids of a few training sequences from the shortest to the longest."""
    return [session.tokens.input_ids[i].tolist() for i in sample_positions(session.tokens)]


def sample_outputs(session: LanguageSession, max_rows: int) -> Array:
    """Computes the summed loss of a few training sequences (n), all their tokens counted, in fp32."""
    if isinstance(session.tokens, TrainingPairs):
        positions = sample_positions(session.tokens)
        pairs = session.tokens.pairs(positions, [FIXED_EPOCH] * len(positions))
        return pair_losses(session.model, *pairs, session.pad_id, max_rows=max_rows).sums
    ids = [session.tokens.input_ids[i] for i in sample_positions(session.tokens)]
    is_masked = session.objective.needs_masking
    return token_losses(session.model, ids, ids, session.pad_id, "fp32", masked=is_masked, max_rows=max_rows).sums
