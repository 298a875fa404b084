"""Gives generated answers the rewards of a reward model's run, in the place of a reward function (``rewards.reward_funcs``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.preferences.dialogues import answer_turns, prompt_turns
from tunesmith.errors import RecipeError
from tunesmith.evaluation.rewards import Completions, Rewards, RewardSource, load_reward
from tunesmith.models.kind import is_reward_model
from tunesmith.recipe.files import locate
from tunesmith.recipe.reinforcement_sections import RewardsSection

if TYPE_CHECKING:
    from tunesmith.models.reward.saved import RewardModel

FUNCTIONS, GOLD = "rewards.reward_funcs", "rewards.gold"


@dataclass(frozen=True)
class RewardRun:
    """The reward model of a run; it is loaded at its first use.

    Attributes:
        reference: the folder of the run, as the recipe names it.
        key: the recipe key, for errors.
    """

    reference: str
    key: str
    folder: Path

    @cached_property
    def model(self) -> RewardModel:
        from tunesmith.models.reward.saved import load_reward_run

        return load_reward_run(self.folder)

    def rewards(self, answers: Completions) -> list[float | None]:
        """Returns the reward of each answer: as in the training of the reward model, and an answer that was cut has no end.

        Raises RecipeError for rewards that are not finite.
        """
        prompts = [prompt_turns(prompt) for prompt in answers.prompts]
        turns = [answer_turns(answer, prompt) for answer, prompt in zip(answers.completions, prompts, strict=True)]
        values = self.model.rewards(prompts, turns, finished=answers.finished)
        if not np.isfinite(values).all():
            raise RecipeError.one(
                f"{self.key} {self.reference}", "the model gives rewards that are not finite.", "Train it again."
            )
        return [float(value) for value in values]


def load_sources(section: RewardsSection, base: Path) -> Rewards:
    """Loads the rewards of a recipe: functions of files, and runs of task: reward. Raises RecipeError if there is no such."""
    sources = tuple(load_source(reference, base, FUNCTIONS) for reference in section.reward_funcs)
    weights: Sequence[float] = section.reward_weights if section.reward_weights is not None else [1.0] * len(sources)
    return Rewards(sources, tuple(weights), None if section.gold is None else load_source(section.gold, base, GOLD))


def load_source(reference: str, base: Path, key: str) -> RewardSource:
    """Returns the function of a file, or the reward model of a run. Raises RecipeError for a folder that is no such run."""
    folder = locate(reference, base)
    if is_reward_model(folder):
        return RewardRun(reference, key, folder)
    if folder.is_dir():
        message = f"{reference} is a folder, and no run of a reward model."
        raise RecipeError.one(key, message, "Name a finished run of task: reward, or file.py:name.")
    if ":" not in reference:
        message = f"{reference} is neither a finished run of task: reward nor a function of a file."
        raise RecipeError.one(key, message, "Name the folder of such a run, or file.py:name.")
    return load_reward(reference, base, key)
