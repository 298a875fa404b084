"""Trains a policy by proximal policy optimisation: an optimizer step of upstream's trainer is a minibatch of sampled answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer

from tunesmith.models.inference import autocast
from tunesmith.models.language.value_head import ActorCritic
from tunesmith.training.guarded import TrainerKeywords
from tunesmith.training.policies.answers import token_logprobs
from tunesmith.training.policies.kl import KlController
from tunesmith.training.ppo.objective import Coefficients, NewTokens, OldTokens, PpoLoss, entropy, ppo_loss
from tunesmith.training.ppo.rollouts import (
    Environment,
    Rollout,
    ScoreScale,
    collect,
    minibatch_rows,
    restored_state,
    state_record,
)
from tunesmith.training.sampling import Positions
from tunesmith.training.trainers.policies import PolicyTrainer
from tunesmith.training.weights import load_trained, save_trained

STATE = "ppo.json"
POSITION = "position"


class AnswerTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose batches are parts of a rollout: ``part_loss`` computes the loss in place of a model's own."""

    def part_loss(self) -> torch.Tensor:
        """Computes the loss of the part that is due, with its graph."""
        raise NotImplementedError

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Computes the loss in evaluation mode, in which nothing is dropped out, and its gradients."""
        model.eval()
        if callable(getattr(self.optimizer, "train", None)):
            self.optimizer.train()
        with autocast(self.precision, self.args.device.type):
            loss = self.part_loss()
        self.accelerator.backward(loss)
        detached: torch.Tensor = loss.detach()
        return detached


class PpoTrainer(PolicyTrainer, AnswerTrainer):
    """A guarded trainer of an actor and critic.

    An iteration samples answers with the current policy and takes ``num_ppo_epochs * num_mini_batches`` optimizer steps on them.
    Everything random depends on the seed and the step alone, and the answers with their old log-probabilities are part of each
    checkpoint, so that a training resumed between two minibatches goes on with the same bits.

    Args:
        n_rows: items of an epoch, see ``tasks.ppo.model``; upstream's trainer counts its steps by them.
        row_ids: (N) of the training prompts.
    """

    def __init__(
        self, *, environment: Environment, n_rows: int, row_ids: Sequence[int], **upstream: Unpack[TrainerKeywords]
    ) -> None:
        section = environment.section
        self.environment, self.row_ids, self.precision = environment, row_ids, environment.precision
        self.coefficients = Coefficients(section.cliprange, section.cliprange_value, section.vf_coef, section.entropy_coef)
        self.controller = KlController(section.kl_coef, section.kl_target, section.kl_horizon)
        self.scale, self.n_rows = ScoreScale(), n_rows
        self.rollout: Rollout | None = None
        self.n_steps = section.num_ppo_epochs * section.num_mini_batches
        super().__init__(train_dataset=Positions(n_rows), data_collator=positions, **upstream)

    def _get_train_sampler(self, train_dataset: Dataset[int] | None = None) -> Sampler[int]:
        return SequentialSampler(range(self.n_rows))

    @property
    def actor(self) -> ActorCritic:
        model: ActorCritic = self.model
        return model

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        """Collects the next rollout if it is due, and returns the row ids of the prompts of the part that is due."""
        iteration, step = divmod(self.state.global_step, self.n_steps)
        if self.rollout is None or self.rollout.iteration != iteration:
            self.rollout = self.next_rollout(iteration)
        rows = minibatch_rows(self.environment.section, self.args.seed, iteration, step)
        size, place = self.args.train_batch_size, len(self.step_losses)
        self.due, self.n_tokens = rows[place * size : (place + 1) * size], int(self.rollout.mask[rows].sum())
        return [self.row_ids[self.rollout.rows[row]] for row in self.due]

    def next_rollout(self, iteration: int) -> Rollout:
        """Collects a rollout, and adapts the coefficient of the penalty to its divergence."""
        with self.failing_rewards():
            rollout, self.scale, figures = collect(self.actor, self.environment, iteration, self.controller, self.scale)
        self.controller = self.controller.updated(figures["kl"], len(rollout.rows))
        # The loss of a value that is always 0: rewards of any size are no divergence.
        at_zero = 0.5 * self.coefficients.vf_coef * float((rollout.targets[rollout.mask] ** 2).mean())
        self.expected_loss = max(1.0, self.expected_loss if np.isfinite(self.expected_loss) else 0.0, at_zero)
        self.figures.append(figures)
        return rollout

    def part_loss(self) -> torch.Tensor:
        assert self.rollout is not None
        loss = rollout_loss(self.actor, self.environment, self.rollout, self.due, self.coefficients, self.n_tokens)
        parts = {"policy_loss": loss.policy, "value_loss": loss.value, "entropy": loss.entropy, "clip_fraction": loss.clipped}
        error = loss.ratio_error
        if self.step_losses:  # a further part of the same minibatch
            earlier = self.figures.pop()
            parts, error = {name: earlier[name] + value for name, value in parts.items()}, max(error, earlier["ratio_error"])
        self.figures.append({**parts, "ratio_error": error})
        return loss.total

    def _save(self, output_dir: str | None = None, state_dict: Mapping[str, torch.Tensor] | None = None) -> None:
        save_trained(self.model, Path(output_dir or self.args.output_dir), exist_ok=True)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        load_trained(self.model, Path(resume_from_checkpoint))

    def save_own_state(self, checkpoint: Path) -> None:
        """Saves also the answers of the iteration, the coefficient of the penalty, and the scale of the rewards."""
        super().save_own_state(checkpoint)
        state = {**state_record(self.controller, self.scale), "figures": self.figures, "expected_loss": self.expected_loss}
        (checkpoint / STATE).write_text(json.dumps(state), encoding="utf-8")
        if self.rollout is not None:
            self.rollout.save(checkpoint)

    def own_state_bytes(self) -> int:
        section = self.environment.section
        return 32 * section.rollout_batch_size * section.response_length

    def resume(self, checkpoint: Path) -> Any:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        self.controller, self.scale = restored_state(state, self.controller)
        self.figures, self.expected_loss = state["figures"], state["expected_loss"]
        self.rollout = Rollout.load(checkpoint, self.actor.device)
        return super().resume(checkpoint)


def positions(numbers: Sequence[int]) -> dict[str, torch.Tensor]:
    """Builds a batch of the numbers of its items; what it trains on follows from the step."""
    return {POSITION: torch.tensor(numbers)}


def rollout_loss(
    actor: ActorCritic, environment: Environment, rollout: Rollout, rows: Sequence[int], coefficients: Coefficients, n_tokens: int
) -> PpoLoss:
    """Computes the loss of some rows of a rollout, divided by the tokens of their minibatch."""
    index, answers = torch.tensor(rows), [rollout.answers[row] for row in rows]
    tokens = actor([environment.prompts[rollout.rows[row]] for row in rows], answers)
    every, logprobs = token_logprobs(tokens, answers, environment.section.temperature)
    index = index.to(rollout.mask.device)
    mask = rollout.mask[index]
    tables = (rollout.logprobs, rollout.values, rollout.advantages, rollout.targets)
    old = OldTokens(*(table[index][mask] for table in tables))
    return ppo_loss(NewTokens(logprobs, tokens.values, entropy(every)), old, coefficients, n_tokens)
