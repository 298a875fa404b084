"""Reads the prompts and the reward functions of a policy's run without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.data.chat.load import ConversationData
from tunesmith.data.chat.prompts import load_prompt_data
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.checks.rows import dropped_rows, leakage
from tunesmith.data.split import at_most
from tunesmith.evaluation.rewards import Rewards
from tunesmith.models.reward.source import load_sources
from tunesmith.models.source import find_model
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import evaluated_on, read_as, require_validation
from tunesmith.recipe.reinforcement_sections import PolicySection
from tunesmith.recipe.resolved import with_defaults
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Finding
from tunesmith.tasks.task import Request, TaskData


@dataclass(frozen=True, kw_only=True)
class PolicyTaskData(TaskData):
    """The prompts of a recipe, with its reward functions.

    Attributes:
        section_name: the recipe's section of the method.
    """

    rows: ConversationData
    rewards: Rewards
    section_name: str

    @property
    def section(self) -> PolicySection:
        """Returns the section of the method."""
        section: PolicySection = getattr(self.recipe, self.section_name)
        return section

    @property
    def length_key(self) -> str:
        """Returns the key of the maximum answer length."""
        return f"{self.section_name}.{self.section.length_name}"

    @property
    def penalty_key(self) -> str:
        """Returns the key of the coefficient of the KL penalty."""
        return f"{self.section_name}.{self.section.penalty_name}"

    @property
    def evaluation_rows(self) -> dict[str, Conversations]:
        """Returns the evaluation splits, the main one last."""
        return {name: rows for name, rows in self.rows.named().items() if name != "train"}


def read(section_name: str, with_batches: Callable[[Recipe], Recipe], request: Request) -> PolicyTaskData:
    """Reads prompts, reward functions and the base model's files. Raises InputError if they cannot be used.

    Args:
        with_batches: fills in the rows of a batch.
    """
    recipe, base = request.loaded.recipe, request.loaded.base
    section = recipe.rewards
    rewards = load_sources(section, base)
    rows = load_prompt_data(recipe, base, request.frames)
    require_validation(rows.validation)
    cut: dict[str, Any] = {name: at_most(part, request.max_rows) for name, part in rows.named().items()}
    rows = replace(rows, **cut)
    source = find_model(recipe.model, base)
    recipe = with_defaults(settled(with_batches(recipe)), source.n_bytes, len(rows.train))
    findings = tuple(finding for finding in row_findings(rows) if finding is not None)
    return PolicyTaskData(
        recipe=recipe, source=source, base=base, findings=findings, rows=rows, rewards=rewards, section_name=section_name
    )


def row_findings(rows: ConversationData) -> Iterator[Finding | None]:
    """Finds rows that are not used, and evaluation prompts that are in train."""
    yield from dropped_rows(rows.named().values())
    others = [part for part in (rows.validation, rows.test) if part is not None]
    yield from leakage(rows.train, others, prompt_texts, "the prompt", "{count} have a prompt that is in train")


def prompt_texts(rows: Conversations) -> list[str]:
    """Returns the contents of each row's turns (N)."""
    return ["\n".join(turn.content for turn in turns).strip() for turns in rows.turns]


def settled(recipe: Recipe) -> Recipe:
    """Fills in no dropout, and with a stop at the turn of gold the metric that it keeps."""
    train, evaluate = recipe.train.model_copy(update={"dropout": 0.0}), recipe.evaluate
    if recipe.rewards.stop_at_turn and evaluate.checkpoint_metric is None:
        evaluate = evaluate.model_copy(update={"checkpoint_metric": "gold_reward"})
    return recipe.model_copy(update={"train": train, "evaluate": evaluate})


def check_rows(data: PolicyTaskData) -> Iterator[CheckLine]:
    """Checks the rows and the size of the evaluation split."""
    for rows in data.rows.named().values():
        n_left = sum(map(len, rows.left_out.values()))
        why = "; ".join(f"{len(ids):,} {reason}" for reason, ids in rows.left_out.items())
        yield CheckLine(
            f"rows of {rows.split}",
            f"{len(rows):,} used, {n_left:,} left out ({rows.source}; prompts: {rows.columns[0]}){': ' if why else ''}{why}",
        )
    yield from read_as(data.rows.notes)
    split, rows = list(data.evaluation_rows.items())[-1]
    yield evaluated_on(split, len(rows), "")
