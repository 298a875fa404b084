"""Reads the prompts and the reward functions of a policy's run without torch."""

from __future__ import annotations

from collections.abc import Iterator
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
from tunesmith.recipe.resolved import with_defaults
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Finding
from tunesmith.tasks.task import Request, TaskData, TaskReading


@dataclass(frozen=True, kw_only=True)
class PpoTaskData(TaskData):
    """The prompts of a recipe, with its reward functions."""

    rows: ConversationData
    rewards: Rewards

    @property
    def evaluation_rows(self) -> dict[str, Conversations]:
        """Returns the evaluation splits, the main one last."""
        return {name: rows for name, rows in self.rows.named().items() if name != "train"}


def read(request: Request) -> PpoTaskData:
    """Reads prompts, reward functions and the base model's files. Raises InputError if they cannot be used."""
    recipe, base = request.loaded.recipe, request.loaded.base
    section = recipe.rewards
    rewards = load_sources(section, base)
    rows = load_prompt_data(recipe, base, request.frames)
    require_validation(rows.validation)
    cut: dict[str, Any] = {name: at_most(part, request.max_rows) for name, part in rows.named().items()}
    rows = replace(rows, **cut)
    source = find_model(recipe.model, base)
    recipe = with_defaults(with_batches(recipe), source.n_bytes, len(rows.train))
    findings = tuple(finding for finding in row_findings(rows) if finding is not None)
    return PpoTaskData(recipe=recipe, source=source, base=base, findings=findings, rows=rows, rewards=rewards)


def row_findings(rows: ConversationData) -> Iterator[Finding | None]:
    """Finds rows that are not used, and evaluation prompts that are in train."""
    yield from dropped_rows(rows.named().values())
    others = [part for part in (rows.validation, rows.test) if part is not None]
    yield from leakage(rows.train, others, prompt_texts, "the prompt", "{count} have a prompt that is in train")


def prompt_texts(rows: Conversations) -> list[str]:
    """Returns the contents of each row's turns (N)."""
    return ["\n".join(turn.content for turn in turns).strip() for turns in rows.turns]


def with_batches(recipe: Recipe) -> Recipe:
    """Fills in the rows of a batch, by TRL's rule, no dropout, and with a stop at the turn of gold the metric that it keeps.

    rollout_batch_size = per_device_train_batch_size * gradient_accumulation_steps * num_mini_batches
    """
    own, train = recipe.ppo, recipe.train
    rows = own.rollout_batch_size // (own.num_mini_batches * train.gradient_accumulation_steps)
    settled = train.model_copy(update={"per_device_train_batch_size": rows, "dropout": 0.0})
    evaluate = recipe.evaluate
    if recipe.rewards.stop_at_turn and evaluate.checkpoint_metric is None:
        evaluate = evaluate.model_copy(update={"checkpoint_metric": "gold_reward"})
    return recipe.model_copy(update={"train": settled, "evaluate": evaluate})


def check_rows(data: PpoTaskData) -> Iterator[CheckLine]:
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


READING = TaskReading(read, check_rows)
