"""Builds the trainer of a policy, its evaluation on validation, and its trial step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.evaluation.outputs import Outputs, metric_values
from tunesmith.generation.sampling import Sampling
from tunesmith.models.inference import autocast
from tunesmith.models.language.token_losses import token_losses
from tunesmith.models.language.value_head import ActorCritic
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.recipe.metric_names import LOSS, STANDARD_ERROR
from tunesmith.tasks.ppo.evaluation import GOLD, KL, REWARD, actor_outputs, metrics
from tunesmith.tasks.ppo.model import PpoSession, environment
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.ppo.kl import KlController
from tunesmith.training.ppo.objective import Coefficients, PpoLoss
from tunesmith.training.ppo.rollouts import Rollout, ScoreScale, Tokens, collect
from tunesmith.training.trainers.ppo import PpoTrainer, StopAtTurn, rollout_loss

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from tunesmith.training.schedule import Schedule

SAMPLE_ROWS = 8


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


def evaluate_fn(session: PpoSession, max_rows: int | None) -> EvaluateFn:
    """Returns a function that computes a policy's metrics on validation; its loss is the penalty minus the reward."""
    split = session.splits["validation"]
    if max_rows is not None:
        split = split.first_rows(max_rows)
    of_split = next(each for each in metrics(session) if each.split == "validation")

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        assert isinstance(model, ActorCritic)
        outputs = actor_outputs(session, model, split)
        values = metric_values(outputs, of_split)
        return {LOSS: session.section.kl_coef * values[KL] - values[REWARD], **values, **standard_errors(outputs)}

    return evaluate


def standard_errors(outputs: Outputs) -> dict[str, float]:
    """Returns the standard errors of the mean rewards, by which a turn is told from chance."""
    scores = {name: outputs.row_scores[name] for name in (REWARD, GOLD) if name in outputs.row_scores}
    return {
        f"{name}{STANDARD_ERROR}": float(row.std(ddof=1) / np.sqrt(len(row))) if len(row) > 1 else 0.0
        for name, row in scores.items()
    }


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


def trial_sampling(session: PpoSession) -> Sampling:
    """Returns how the answers of ``trial_rollout`` are sampled."""
    return environment(session, session.seed).sampling(0)


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


def sample_ids(session: PpoSession) -> list[np.ndarray]:
    """Returns a few training prompts from the shortest to the longest."""
    prompts = session.splits["train"].prompts
    order = np.argsort([len(ids) for ids in prompts], kind="stable")
    chosen = np.unique(np.linspace(0, len(order) - 1, SAMPLE_ROWS).astype(int))
    return [np.array(prompts[int(order[i])]) for i in chosen]


def sample_outputs(session: PpoSession, max_rows: int) -> Array:
    """Computes the summed loss of a few training prompts (n) by the policy, in fp32."""
    ids = sample_ids(session)
    return token_losses(session.model.policy, ids, ids, session.pad_id, "fp32", max_rows=max_rows).sums
