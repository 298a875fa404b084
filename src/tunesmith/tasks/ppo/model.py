"""Loads the policy with its value head and its reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunesmith.machine import device_name
from tunesmith.models.language.model import CAUSAL, SEQ2SEQ
from tunesmith.models.language.value_head import ActorCritic, own_body
from tunesmith.recipe.reinforcement_sections import PpoSection
from tunesmith.tasks.policies.data import PolicyTaskData
from tunesmith.tasks.policies.model import (
    PolicySession,
    completions,
    load_policy,
    prepared_policy,
    reference_model,
    session_parts,
)
from tunesmith.training.ppo.rollouts import Environment


@dataclass(frozen=True, kw_only=True)
class PpoSession(PolicySession):
    """A policy of one seed; ``model`` is the policy with its value head."""

    model: ActorCritic = field()

    @property
    def section(self) -> PpoSection:
        return self.data.recipe.ppo

    @property
    def policy(self) -> Any:
        return self.model.policy


def load(data: PolicyTaskData, seed: int, _earlier: PpoSession | None = None) -> PpoSession:
    """Loads the base model as policy and as reference, with a value head and, by this seed, an adapter."""
    own, loaded = data.recipe.ppo, load_policy(data, seed, (CAUSAL, SEQ2SEQ))
    size = own.rollout_batch_size
    rows_per_epoch = -(-len(loaded.splits["train"]) // size) * size * own.num_ppo_epochs
    critic = own_body(loaded.loaded.model) if own.value_head == "separate" else None
    policy = prepared_policy(data, loaded, rows_per_epoch)
    actor = ActorCritic(policy, loaded.layout, critic)
    return PpoSession(
        model=actor.to(device_name()),
        rows_per_epoch=rows_per_epoch,
        new_weights=tuple(name for name, _ in actor.named_parameters() if name.startswith("value_head")),
        **session_parts(data, loaded, policy, seed),
    )


def environment(session: PpoSession, seed: int) -> Environment:
    """Returns what the policy acts in: the training prompts and their rewards."""
    split = session.splits["train"]
    return Environment(
        section=session.section,
        tokenizer=session.tokenizer,
        prompts=split.prompts,
        score=lambda rows, answers: session.data.rewards.proxy(completions(session, split, rows, answers)),
        reference=lambda: reference_model(session),
        batch_rows=session.data.recipe.train.batch_rows,
        seed=seed,
        precision=session.fast_path.precision,
    )
