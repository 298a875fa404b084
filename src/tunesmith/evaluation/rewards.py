"""Loads the reward functions of a recipe, calls them with TRL's arguments, and checks what they return."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.function_file import failure_words, load_function
from tunesmith.evaluation.metrics.own_function import is_number, shown
from tunesmith.recipe.files import locate

RETURNS = "It gets prompts, completions and the columns of the rows, and returns a list of one finite number for each completion."
OWN_ARGUMENTS = ("prompts", "completions", "completion_ids")


@dataclass(frozen=True)
class Completions:
    """Answers with what reward functions read of them.

    Attributes:
        prompts, completions: (N) texts, or lists of messages where the prompts are such lists.
        completion_ids: (N) the tokens of each answer.
        columns: column of the rows -> (N) its cells.
        finished: (N) whether an answer ended, or was cut at the largest length; None: all ended. Functions do not get it.
    """

    prompts: Sequence[Any]
    completions: Sequence[Any]
    completion_ids: Sequence[Sequence[int]]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    finished: Sequence[bool] | None = None

    def __len__(self) -> int:
        return len(self.completions)

    def arguments(self) -> dict[str, Any]:
        """Returns everything as keyword arguments; a column with the name of one of TRL's arguments is left out."""
        own = dict(zip(OWN_ARGUMENTS, (self.prompts, self.completions, self.completion_ids), strict=True))
        return {**self.columns, **own}


def completions_of(
    prompts: Sequence[Any],
    texts: Sequence[str],
    ids: Sequence[Sequence[int]],
    cells: Sequence[Mapping[str, Any]],
    finished: Sequence[bool],
) -> Completions:
    """Returns answers as reward functions read them: lists of one message where the prompts are lists of messages.

    Args:
        prompts, texts, ids, finished: (N) see ``Completions``.
        cells: (N) the cells of the row of each prompt.
    """
    completions: list[Any] = list(texts)
    if prompts and isinstance(prompts[0], list):
        completions = [[{"role": "assistant", "content": text}] for text in texts]
    columns = {name: [row.get(name) for row in cells] for name in (cells[0] if cells else ())}
    return Completions(prompts, completions, ids, columns, finished)


class RewardSource(Protocol):
    """What gives answers their rewards: a user's function, or the reward model of a run."""

    @property
    def reference(self) -> str: ...
    @property
    def key(self) -> str: ...
    def rewards(self, answers: Completions) -> list[float | None]: ...


@dataclass(frozen=True)
class RewardFunction:
    """A user's reward function.

    Attributes:
        reference: ``file.py:name``, as the recipe names it.
        key: the recipe key, for errors.
        parameters: the names of its parameters; None if it takes all keyword arguments.
    """

    call: Callable[..., object]
    reference: str
    key: str
    file: Path
    parameters: frozenset[str] | None

    def rewards(self, answers: Completions) -> list[float | None]:
        """Calls the function; None is an answer that it does not apply to.

        Raises RecipeError with file and line if it fails, or returns something else than one finite number an answer.
        """
        place = f"{self.key} {self.reference}"
        given = answers.arguments()
        if self.parameters is not None:
            given = {name: value for name, value in given.items() if name in self.parameters}
        what = f"on {plural(len(answers), 'completion')}"
        try:
            returned = self.call(**given)
        except (Exception, SystemExit) as error:
            raise RecipeError.one(place, f"the function failed {what}: {failure_words(error, self.file)}.") from error
        return checked_rewards(returned, len(answers), place, what)


def checked_rewards(returned: object, n: int, place: str, what: str) -> list[float | None]:
    """Returns the rewards as floats. Raises RecipeError unless there is one finite number, or None, for each completion."""
    if hasattr(returned, "tolist"):  # an array or a tensor
        returned = returned.tolist()
    if not isinstance(returned, list | tuple):
        raise RecipeError.one(place, f"the function returned {shown(returned)} {what}.", RETURNS)
    if len(returned) != n:
        raise RecipeError.one(place, f"the function returned {plural(len(returned), 'reward')} {what}.", RETURNS)
    returned = [value.item() if getattr(value, "shape", None) == () else value for value in returned]  # tensors of one number
    for i, value in enumerate(returned):
        if value is not None and not is_number(value):
            raise RecipeError.one(place, f"the function returned {shown(value)} for completion {i} {what}.", RETURNS)
        if value is not None and not math.isfinite(value):
            message = f"the function returned {float(value)} for completion {i} {what}, which is not finite."
            raise RecipeError.one(place, message, RETURNS)
    return [None if value is None else float(value) for value in returned]


@dataclass(frozen=True)
class Rewards:
    """The rewards of a recipe: the weighted sum of functions that is trained on, and the gold one that is only measured."""

    functions: tuple[RewardSource, ...]
    weights: tuple[float, ...]
    gold: RewardSource | None = None

    def proxy(self, answers: Completions) -> Array:
        """Computes the reward of each answer (N): the weighted sum over the functions that apply to it, as TRL's trainers do.

        Raises RecipeError for an answer that no function applies to, and as ``RewardFunction.rewards``.
        """
        table = [function.rewards(answers) for function in self.functions]
        for i, of_answer in enumerate(zip(*table, strict=True)):
            if all(value is None for value in of_answer):
                message = f"every function returned None for completion {i}: it has no reward."
                raise RecipeError.one("rewards.reward_funcs", message, RETURNS)
        values = np.array([[0.0 if value is None else value for value in of_function] for of_function in table])
        weighted: Array = np.array(self.weights) @ values
        return weighted

    def gold_scores(self, answers: Completions) -> Array | None:
        """Computes the gold reward of each answer (N); None without one. Raises RecipeError where it does not apply to one."""
        if self.gold is None:
            return None
        values = self.gold.rewards(answers)
        if None in values:
            message = f"the function returned None for completion {values.index(None)}; every answer has a gold reward."
            raise RecipeError.one(f"{self.gold.key} {self.gold.reference}", message, RETURNS)
        return np.array(values, dtype=np.float64)


def load_reward(reference: str, base: Path, key: str) -> RewardFunction:
    """Loads ``file.py:name``. Raises RecipeError if there is no such function, or its parameters cannot be filled."""
    call = load_function(reference, base, key, f"Give file.py:name, a function. {RETURNS}")
    parameters = inspect.signature(call).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = None if takes_all else frozenset(parameter.name for parameter in parameters)
    return RewardFunction(call, reference, key, locate(reference.rpartition(":")[0], base), names)
