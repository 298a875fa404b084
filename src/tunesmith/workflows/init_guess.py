"""Loads the rows of a guessed recipe, also while questions about its columns are open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.table import Columns
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.draft import Question
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import Recipe


@dataclass(frozen=True)
class Guess:
    """The task and columns of a table, before its rows are read as examples.

    Attributes:
        questions: decisions that only the user can make; the guess assumes the first answer of each.
    """

    task: str
    task_reason: str
    columns: Columns
    questions: tuple[Question, ...]
    separator: str | None = None
    separator_reason: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The roles that the questions are about."""
        return tuple(question.part for question in self.questions)


def load_guessed(guess: Guess, split_sources: dict[str, Any], train: str) -> LabelledData | None:
    """Loads the rows as a run does; None if a question is open and its first answer leads to an error.

    Raises DataError if no question is open, or if another file than ``train`` has an error whatever the answer.
    """
    first, *others = (dict(zip(guess.parts, names, strict=True)) for names in product(*(q.names for q in guess.questions)))
    try:
        return load_labelled_data(recipe_of(guess, split_sources, first), Path())
    except DataError as error:
        if not guess.questions:
            raise
        problems = outside(train, error)
    common = problems
    for answer in others if problems else ():
        try:
            load_labelled_data(recipe_of(guess, split_sources, answer), Path())
        except DataError as error:
            found = outside(train, error)
            common = [problem for problem in common if problem in found]
            problems = problems if found else []
        else:
            return None
    if problems:
        raise DataError(common or problems)
    return None


def outside(source: str, error: DataError) -> list[Problem]:
    """Returns the problems of other files than this one."""
    return [problem for problem in error.problems if problem.where != source and not problem.where.startswith(f"{source}, ")]


def recipe_of(guess: Guess, split_sources: dict[str, Any], answer: Mapping[str, str]) -> Recipe:
    """Builds the recipe of a guess with an answer to its questions: part -> column."""
    columns = {part: getattr(guess.columns, part) for part in ("text", "pair", "id", "group", "split")}
    label = list(guess.columns.label)
    columns |= {"label": label[0] if len(label) == 1 else label or None, **answer}
    section = {**split_sources, "columns": {part: name for part, name in columns.items() if name is not None}}
    if guess.separator:
        section["label_separator"] = guess.separator
    return recipe_from_mapping({"task": guess.task, "data": section}, "init")
