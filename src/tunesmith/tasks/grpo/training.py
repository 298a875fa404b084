"""Builds the trainer of a policy that learns from groups of answers, and its trial step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.generation.sampling import sample_answers
from tunesmith.models.inference import autocast
from tunesmith.models.language.value_head import answer_tokens
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.tasks.grpo.model import GrpoSession, groups_of
from tunesmith.tasks.policies.model import reference_model
from tunesmith.tasks.policies.preflight import TriedAnswers
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.policies.answers import token_logprobs
from tunesmith.training.policies.kl import k3
from tunesmith.training.trainers.groups import TRAINERS, GroupTrainer
from tunesmith.training.trainers.policies import StopAtTurn

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from tunesmith.training.schedule import Schedule

SHARED_OPTIONS = (
    *("num_generations", "max_completion_length", "steps_per_generation", "num_iterations", "epsilon", "epsilon_high"),
    *("temperature", "mask_truncated_completions"),
)
OPTIONS = {
    "grpo": (*SHARED_OPTIONS, "delta", "loss_type", "importance_sampling_level", "scale_rewards"),
    "rloo": (*SHARED_OPTIONS, "normalize_advantages", "reward_clip_range"),
}
"""Algorithm -> options of the section that its class of arguments has; beta is set after upstream has built the trainer."""


def trainer_spec(session: GrpoSession, evaluate: EvaluateFn, seed: int) -> TrainerSpec:
    """Returns TRL's trainer of the policy, which stops at the turn of gold if the recipe says so."""
    from trl import GRPOConfig, RLOOConfig

    section = session.section

    def make(arguments: TrainingArguments, _schedule: Schedule) -> GroupTrainer:
        trainer = TRAINERS[section.algorithm](
            model=session.model,
            args=arguments,
            evaluate_fn=evaluate,
            expected_loss=session.expected_loss,
            groups=groups_of(session, seed),
        )
        if session.data.recipe.rewards.stop_at_turn:
            trainer.add_callback(StopAtTurn())
        return trainer

    own = {name: getattr(section, name) for name in OPTIONS[section.algorithm]}
    # Nothing but the temperature changes the distribution: then scores and samples are of one distribution.
    own |= {"beta": 0.0, "top_k": 0, "top_p": 1.0, "disable_dropout": False, "gradient_checkpointing": False}
    classes = {"grpo": GRPOConfig, "rloo": RLOOConfig}
    return TrainerSpec(make, classes[section.algorithm], own, lambda: without_fused_head(session))


@contextmanager
def without_fused_head(session: GrpoSession) -> Iterator[None]:
    """Removes, after the training, the forward passes that upstream puts before those of policy and reference."""
    try:
        yield
    finally:
        base = session.model.get_base_model() if hasattr(session.model, "get_base_model") else session.model
        for model in (base, session.reference):
            if model is not None:
                vars(model).pop("forward", None)


def try_groups(session: GrpoSession, rows: list[int]) -> TriedAnswers:
    """Samples a group of answers to each of a few training prompts, as the training does."""
    groups = groups_of(session, session.seed)
    positions = [row for row in rows for _ in range(session.section.num_generations)]
    sampling = groups.sampling(0)
    prompts = [groups.prompts[position] for position in positions]
    answers = sample_answers(session.policy, session.tokenizer, prompts, sampling, precision=groups.precision)
    return TriedAnswers(positions, answers, sampling)


def trial_loss(session: GrpoSession, items: list[int]) -> torch.Tensor:
    """Computes the loss of one sampled answer to each of some training prompts, with its graph, as in a first batch.

    One answer has no group: its advantage here is 1, which costs the same time and memory.
    """
    groups, section = groups_of(session, session.seed), session.section
    prompts = [groups.prompts[item] for item in items]
    answers = sample_answers(session.policy, session.tokenizer, prompts, groups.sampling(0), precision=groups.precision)
    groups.score(items, answers)

    def logprobs(model: Any) -> torch.Tensor:
        tokens = answer_tokens(model, prompts, answers, session.layout)
        return token_logprobs(tokens, answers, section.temperature)[1]

    with autocast(groups.precision, session.model.device.type):
        with reference_model(session) as model, torch.no_grad():
            of_reference = logprobs(model)
        ours = logprobs(session.policy)
        return (section.beta * k3(ours, of_reference) - torch.exp(ours - ours.detach())).mean()


def trial_parts(session: GrpoSession) -> list[TrialPart]:
    """Returns the training prompts with the loss of sampled answers to them, for the trial step."""
    lengths = np.array([len(prompt) for prompt in session.splits["train"].prompts])
    return [TrialPart(lengths, lambda items: trial_loss(session, items), session.model)]
