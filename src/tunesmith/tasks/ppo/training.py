"""Builds the trainer of a policy, its trial rollout, and its trial step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.models.inference import autocast
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.tasks.policies.preflight import TriedAnswers
from tunesmith.tasks.ppo.model import PpoSession, environment
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.policies.answers import Tokens
from tunesmith.training.policies.kl import KlController
from tunesmith.training.ppo.objective import Coefficients, PpoLoss
from tunesmith.training.ppo.rollouts import Rollout, ScoreScale, collect
from tunesmith.training.trainers.policies import StopAtTurn
from tunesmith.training.trainers.ppo import PpoTrainer, rollout_loss

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from tunesmith.training.schedule import Schedule


def trainer_spec(session: PpoSession, evaluate: EvaluateFn, seed: int) -> TrainerSpec:
    """Returns the trainer of the policy, which stops at the turn of gold if the recipe says so."""

    def make(arguments: TrainingArguments, _schedule: Schedule) -> PpoTrainer:
        trainer = PpoTrainer(
            model=session.model,
            args=arguments,
            evaluate_fn=evaluate,
            expected_loss=session.expected_loss,
            environment=environment(session, seed),
            n_rows=session.rows_per_epoch,
            row_ids=session.splits["train"].rows.row_ids,
        )
        if session.data.recipe.rewards.stop_at_turn:
            trainer.add_callback(StopAtTurn())
        return trainer

    return TrainerSpec(make)


def trial_rollout(session: PpoSession, rows: list[int]) -> tuple[Rollout, dict[str, float]]:
    """Samples answers to a few training prompts and scores them, as an iteration of the training does; returns also figures."""
    acting = environment(session, session.seed)
    section = session.section.model_copy(update={"rollout_batch_size": len(rows)})

    def score(places: Sequence[int], answers: Tokens) -> Array:
        return acting.score([rows[place] for place in places], answers)

    prompts = [acting.prompts[row] for row in rows]
    trial = replace(acting, section=section, prompts=prompts, score=score)
    rollout, _, figures = collect(session.model, trial, 0, KlController(section.kl_coef), ScoreScale())
    return replace(rollout, rows=tuple(rows[place] for place in rollout.rows)), figures


def trial_loss(session: PpoSession, rollout: Rollout) -> PpoLoss:
    """Computes the loss of the first batch of a rollout, with its graph."""
    section = session.section
    coefficients = Coefficients(section.cliprange, section.cliprange_value, section.vf_coef, section.entropy_coef)
    rows = list(range(min(len(rollout.rows), session.data.recipe.train.batch_rows)))
    acting = environment(session, session.seed)
    with autocast(session.fast_path.precision, session.model.device.type):
        return rollout_loss(session.model, acting, rollout, rows, coefficients, int(rollout.mask[rows].sum()))


def trial_parts(session: PpoSession) -> list[TrialPart]:
    """Returns the training prompts with the loss of sampled answers to them, for the trial step."""

    def compute_loss(items: list[int]) -> torch.Tensor:
        session.model.eval()  # as in training: nothing is dropped out
        return trial_loss(session, trial_rollout(session, items)[0]).total

    lengths = np.array([len(prompt) for prompt in session.splits["train"].prompts])
    return [TrialPart(lengths, compute_loss, session.model)]


def tried(session: PpoSession, rollout: Rollout) -> TriedAnswers:
    """Returns the answers of a trial rollout with the numbers that they were sampled with."""
    return TriedAnswers(rollout.rows, rollout.answers, environment(session, session.seed).sampling(0))
