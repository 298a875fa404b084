"""Plans rounds of preference learning: reads the recipe, its rewards and its prompts, and makes or finds the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import plural
from tunesmith.data.chat.prompts import load_prompt_data
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.checks.leakage import find_leaks
from tunesmith.data.preferences.sampled import shown_prompt
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.rewards import Rewards
from tunesmith.models.reward.source import load_sources
from tunesmith.preflight.static import require_validation
from tunesmith.progress import Event, Listener
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.reinforcement_sections import RewardsSection, RoundsSection
from tunesmith.recipe.sections import Recipe
from tunesmith.run_folder import locate_output
from tunesmith.tasks.preference.data import check_options, require_trl
from tunesmith.training.losses.preference_choice import choose_losses
from tunesmith.workflows.several_runs import Workflow, origin_of, require_same_origin, write_origin

if TYPE_CHECKING:
    from tunesmith.generation.sampling import Sampling

ROUNDS = Workflow(
    "the rounds were", "data/round-*/*", ("output", "rounds.n"), "Set it back, or choose another output: output=FOLDER."
)


@dataclass(frozen=True)
class Plan:
    """Rounds to be run.

    Attributes:
        folder: the recipe's output.
        rewards: those of the recipe; None without any.
        prompts: split -> prompts; ``test`` are the held-out ones.
        template: the chat template that every round names; None: the recipe's.
        notes: messages for the user.
    """

    loaded: LoadedRecipe
    folder: Path
    section: RoundsSection
    rewards: Rewards | None
    prompts: Mapping[str, Conversations]
    template: str | None
    notes: tuple[str, ...]
    listener: Listener

    @property
    def recipe(self) -> Recipe:
        return self.loaded.recipe

    @property
    def seed(self) -> int:
        return self.recipe.train.seed

    @property
    def is_compared(self) -> bool:
        """Tells whether a person gives the verdicts."""
        return self.rewards is None and self.section.compare

    def place(self, number: int) -> Path:
        """Returns the folder of a round's data."""
        return self.folder / "data" / f"round-{number}"

    def run(self, number: int) -> Path:
        return self.folder / f"round-{number}"

    def recipe_from(self, number: int) -> Recipe:
        """Returns the recipe of a training that starts from the model after a round; 0 is the recipe's model."""
        recipe = self.recipe
        preference = recipe.preference.model_copy(update={"chat_template": self.template})
        change: dict[str, Any] = {"rounds": None, "rewards": RewardsSection(), "preference": preference}
        if number:
            change["model"] = recipe.model.model_copy(update={"name": str(self.run(number).absolute()), "revision": None})
        return recipe.model_copy(update=change)

    def sampling(self, *seed: int) -> Sampling:
        from tunesmith.generation.sampling import Sampling

        return Sampling(self.section.response_length, self.section.temperature, seed)


def plan_of(loaded: LoadedRecipe, listener: Listener) -> Plan:
    """Reads everything that the rounds need, and makes their folder. Raises InputError before anything is written."""
    recipe, base, section = loaded.recipe, loaded.base, loaded.recipe.rounds
    if section is None:
        message = "the recipe has no section rounds."
        raise RecipeError.one(str(loaded.path or "the recipe"), message, "Write rounds: {n: 2}, and task: preference.")
    require_trl(recipe)
    check_options(recipe, choose_losses(recipe.preference))
    rewards = load_sources(recipe.rewards, base) if recipe.rewards.reward_funcs else None
    data = load_prompt_data(recipe, base)
    require_validation(data.validation)
    if data.test is None:
        message = "there are no held-out prompts, on which each round is compared with the one before."
        raise DataError.one("data.test", message, "Give a fraction, such as 0.2, or a file of prompts.")
    from tunesmith.tasks.preference.policy import beginnings, policy_tokenizer

    tokenizer, template = policy_tokenizer(recipe, base, data.train)
    prompts = {name: beginnings(rows, tokenizer, section.prompt_tokens) for name, rows in data.named().items()}
    prompts, leaks = without_leaks(prompts)
    folder, origin = locate_output(recipe.output).final, origin_of(loaded, ROUNDS)
    require_same_origin(folder, ROUNDS, origin)
    write_origin(folder, origin)
    named = template.name if template.source == "named" else recipe.preference.chat_template
    for note in (*data.notes, *leaks):
        listener(Event("note", note))
    return Plan(loaded, folder, section, rewards, prompts, named, tuple(leaks), listener)


def without_leaks(prompts: Mapping[str, Conversations]) -> tuple[dict[str, Conversations], list[str]]:
    """Leaves the held-out prompts out of train and validation, and notes how many there were, also of nearly the same ones."""
    kept, notes = dict(prompts), list[str]()
    held = [shown_prompt(turns) for turns in prompts["test"].turns]
    for name in ("train", "validation"):
        rows = prompts[name]
        leaks = find_leaks(held, [shown_prompt(turns) for turns in rows.turns])
        same = {leak.position for leak in leaks if leak.is_exact}
        kept[name] = rows.take([i for i in range(len(rows)) if i not in same], name)
        if same:
            notes.append(
                f"{plural(len(same), 'prompt')} of {name} {'is' if len(same) == 1 else 'are'} held out and left out here"
            )
        if len(leaks) > len(same):
            notes.append(f"{len(leaks) - len(same):,} of {plural(len(rows), 'prompt')} of {name} are nearly held-out ones")
        if not len(kept[name]):
            raise DataError.one(f"data.{name}", "every prompt of it is a held-out one (data.test).", "Hold other prompts out.")
    return kept, notes
