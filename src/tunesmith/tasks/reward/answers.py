"""Reads answers of any kind, alone or in pairs, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.chat.load import detect_and_note as detect_chat
from tunesmith.data.chat.load import read_rows as read_chat_rows
from tunesmith.data.chat.messages import Turns
from tunesmith.data.preferences.conversions import pairs_of_judged
from tunesmith.data.preferences.formats import Roles, chosen_rejected, detect_preference_format
from tunesmith.data.preferences.pairs import usable_preferences
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection, Recipe

SPLIT = "test"


@dataclass(frozen=True)
class Answers:
    """The answers of a file (n).

    Attributes:
        row_ids: the position of each answer's row in the source.
        names: ``chosen`` or ``rejected`` for the answers of pairs; empty for single answers.
        dropped: reason -> positions of left-out rows.
    """

    row_ids: tuple[int, ...]
    prompts: tuple[Turns, ...]
    answers: tuple[Turns, ...]
    dropped: Mapping[str, Sequence[int]]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.row_ids)


def recipe_for(table: Table, columns: ColumnsSection | Mapping[str, Any] | None, task: str = "reward") -> Recipe:
    """Returns a recipe for reading the rows of a table. Raises RecipeError for an unknown part."""
    given = columns.model_dump(exclude_none=True) if isinstance(columns, ColumnsSection) else dict(columns or {})
    return recipe_from_mapping({"task": task, "data": {"train": table.source, "columns": given}}, "columns")


def read_pairs_of(table: Table, recipe: Recipe, notes: list[str]) -> PreferencePairs:
    """Reads the pairs of a table in its own format; judged answers become pairs within each prompt.

    Args:
        notes: gets sentences about how the rows are read, and what is left out.
    """
    given = recipe.data.columns
    row_format = detect_preference_format(table, given)
    rows = usable_preferences(table, row_format, SPLIT, labels=recipe.data.labels, group=given.group, notes=notes)
    return pairs_of_judged(rows, notes) if isinstance(rows, JudgedAnswers) else rows


def read_answers(table: Table, columns: ColumnsSection | Mapping[str, Any] | None) -> Answers:
    """Reads the answers of pairs, of prompts with one answer each, or of conversations. Raises DataError for plain texts."""
    recipe = recipe_for(table, columns)
    if chosen_rejected(Roles(table, recipe.data.columns)) is not None:
        pairs = read_pairs_of(table, recipe, [])
        return answers_of_pairs(pairs)
    chats = recipe_for(table, columns, "sft")
    row_format = detect_chat(table, chats, [])
    if row_format.kind == "text":
        message = "these are plain texts, and a reward is that of an answer."
        raise DataError.one(table.source, message, "Give prompts and answers, or conversations that end with one.")
    rows = read_chat_rows(table, row_format, SPLIT, chats, [])
    prompts, answers = tuple(turns[:-1] for turns in rows.turns), tuple(turns[-1:] for turns in rows.turns)
    return Answers(rows.row_ids, prompts, answers, rows.left_out)


def answers_of_pairs(pairs: PreferencePairs) -> Answers:
    """Returns both answers of each pair, one after the other."""
    both = tuple(answer for two in zip(pairs.chosen, pairs.rejected, strict=True) for answer in two)
    twice = [i for i in range(len(pairs)) for _ in range(2)]
    row_ids, prompts = tuple(pairs.row_ids[i] for i in twice), tuple(pairs.prompts[i] for i in twice)
    return Answers(row_ids, prompts, both, pairs.left_out, ("chosen", "rejected") * len(pairs))


def read_answer_file(source: str, base: Path) -> Answers:
    """Reads the answers of a file that a recipe names. Raises DataError if it holds none."""
    return read_answers(read_table(source, base=base, split=SPLIT), None)
