"""Loads the policy and its reference, and gives the trainer its groups of prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunesmith.machine import device_name
from tunesmith.recipe.reinforcement_sections import GrpoSection
from tunesmith.tasks.policies.data import PolicyTaskData
from tunesmith.tasks.policies.model import PolicySession, completions, load_policy, prepared_policy, session_parts
from tunesmith.training.trainers.groups import Groups

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class GrpoSession(PolicySession):
    """A policy of one seed."""

    model: PreTrainedModel = field()

    @property
    def section(self) -> GrpoSection:
        return self.data.recipe.grpo


def load(data: PolicyTaskData, seed: int, _earlier: GrpoSession | None = None) -> GrpoSession:
    """Loads the base model as policy and as reference, and by this seed an adapter."""
    own, loaded = data.recipe.grpo, load_policy(data, seed)
    answers = data.recipe.train.batch_rows * (own.steps_per_generation or 1)
    n_generations = -(-len(loaded.splits["train"]) // (answers // own.num_generations))
    rows_per_epoch = n_generations * answers * own.num_iterations
    policy = prepared_policy(data, loaded, rows_per_epoch)
    return GrpoSession(model=policy.to(device_name()), rows_per_epoch=rows_per_epoch, **session_parts(data, loaded, policy, seed))


def groups_of(session: GrpoSession, seed: int) -> Groups:
    """Returns the training prompts with their rewards, as the trainer samples answers to them."""
    split = session.splits["train"]
    return Groups(
        section=session.section,
        tokenizer=session.tokenizer,
        prompts=split.prompts,
        row_ids=split.rows.row_ids,
        score=lambda rows, answers: session.data.rewards.proxy(completions(session, split, rows, answers)),
        reference=session.reference,
        batch_rows=session.data.recipe.train.batch_rows,
        n_rows=session.rows_per_epoch,
        seed=seed,
        precision=session.fast_path.precision,
    )
