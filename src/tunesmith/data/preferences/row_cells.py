"""Reads the prompt and the answers of one row of preference data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tunesmith.data.cells import first_present, is_missing, listed
from tunesmith.data.chat.formats import are_dialogues, parse_messages
from tunesmith.data.chat.messages import NotUsable, Turn, Turns, read_tools, with_tools
from tunesmith.data.chat.rows import with_context, with_input
from tunesmith.data.preferences.dialogues import answer_turns, prompt_turns, same_turns, split_answer, split_dialogue
from tunesmith.data.preferences.formats import OBJECT_PROMPT, PreferenceFormat
from tunesmith.data.table import Table

WITHOUT_PROMPT, EMPTY_PROMPT = "without a prompt", "with an empty prompt"
WITHOUT_ANSWER, EMPTY_ANSWER = "without an answer", "with an empty answer"
OTHER_PROMPTS = "whose two answers follow different prompts"
NO_TURNS = "with a list of prompts and one of answers of different lengths"
SHARE_REPEATED = 0.9
"""Share of a column's answers that begin with their prompt, from which on the prompt is no part of them."""


@dataclass(frozen=True)
class Cells:
    """The cells of a table by part."""

    table: Table
    row_format: PreferenceFormat

    def cell(self, part: str, i: int) -> Any:
        name = self.row_format.columns.get(part)
        return None if name is None else self.table.columns[name][i]

    def column(self, part: str) -> Sequence[Any]:
        return self.table.columns[self.row_format.columns[part]]

    @cached_property
    def answer_parts(self) -> tuple[str, ...]:
        return tuple(part for part in ("chosen", "rejected", "completion", "second") if part in self.row_format.columns)

    @cached_property
    def dialogues(self) -> frozenset[str]:
        """Returns the parts whose texts are whole dialogues."""
        return frozenset(part for part in self.answer_parts if are_dialogues(self.column(part)))

    @cached_property
    def repeating(self) -> frozenset[str]:
        """Returns the parts whose texts nearly all begin with their prompt."""
        return frozenset(part for part in self.answer_parts if "prompt" in self.row_format.columns and self.repeats_prompt(part))

    def repeats_prompt(self, part: str) -> bool:
        texts = [
            (prompt.strip(), answer.lstrip())
            for prompt, answer in zip(self.column("prompt"), self.column(part), strict=True)
            if isinstance(prompt, str) and isinstance(answer, str) and prompt.strip() and answer.strip()
        ]
        return bool(texts) and sum(answer.startswith(prompt) for prompt, answer in texts) >= SHARE_REPEATED * len(texts)

    @cached_property
    def are_turns(self) -> bool:
        """Tells whether a row has a list of prompts, and lists of the answers to each, as in lmsys-arena-human-preference-55k."""
        parts = ("prompt", *self.answer_parts)
        return "prompt" in self.row_format.columns and all(
            (sample := first_present(self.column(part))) and all(texts_of_list(cell) is not None for cell in sample)
            for part in parts
        )

    def notes(self) -> list[str]:
        """Says which answers are read without the prompt that they begin with."""
        names = listed(self.row_format.columns[part] for part in self.answer_parts if part in self.repeating - self.dialogues)
        return [f"{self.table.source}: answers ({names}) begin with the prompt, which is left out of them."] if names else []

    def prompt(self, i: int) -> Turns:
        """Returns the prompt of a row with its context before it; empty without a column. Raises NotUsable for an empty cell."""
        own: Turns = ()
        if "prompt" in self.row_format.columns:
            cell = self.prompt_cell(i)
            if is_missing(cell) or cell == []:
                raise NotUsable(WITHOUT_PROMPT)
            own = prompt_turns(cell)
            if all(turn.role == "assistant" or turn.is_empty for turn in own):
                raise NotUsable(EMPTY_PROMPT)
        return self.in_context(own, i)

    def prompt_cell(self, i: int) -> Any:
        """Returns the prompt of a row: the text of an object, or an instruction with its input."""
        cell = self.cell("prompt", i)
        if isinstance(cell, Mapping) and cell.keys() & {*OBJECT_PROMPT}:
            cell = next((cell[key] for key in OBJECT_PROMPT if not is_missing(cell.get(key))), None)
        return with_input(cell, self.cell("input", i)) if isinstance(cell, str) and not is_missing(cell) else cell

    def in_context(self, turns: Turns, i: int) -> Turns:
        """Puts the system prompt, the history and the tools of a row before its turns."""
        if not turns:
            return ()
        context = with_context(turns, {part: self.cell(part, i) for part in ("system", "history")})
        return with_tools(context, read_tools(self.cell("tools", i)))

    def answer(self, cell: object, prompt: Turns) -> Turns:
        """Reads an answer. Raises NotUsable for a missing or an empty one."""
        if cell is None or cell == []:
            raise NotUsable(WITHOUT_ANSWER)
        return not_empty(answer_turns(cell, prompt))

    def one_answer(self, i: int, part: str) -> tuple[Turns, Turns]:
        """Reads the prompt and an answer of a row; the prompt of a dialogue is all before its last answer. Raises NotUsable."""
        cell = self.cell(part, i)
        if cell is None or cell == [] or (is_missing(cell) and not isinstance(cell, str)):
            raise NotUsable(WITHOUT_ANSWER)
        if self.are_turns:
            prompt, answer = split_lists(self.cell("prompt", i), cell)
            return self.in_context(prompt, i), not_empty(answer)
        prompt = self.prompt(i)
        if not prompt or part in self.dialogues:
            before, answer = split_dialogue(cell, is_dialogue=part in self.dialogues)
            return self.in_context(before, i), not_empty(answer)
        if part in self.repeating and isinstance(cell, str):
            cell = cell.lstrip().removeprefix(str(self.cell("prompt", i)).strip()).lstrip()
        before, answer = split_answer(cell, prompt)
        return before, not_empty(answer)

    def two_answers(self, i: int, parts: tuple[str, str]) -> tuple[Turns, Turns, Turns]:
        """Reads the prompt and two answers of a row. Raises NotUsable, also if they follow different prompts."""
        (prompt, first), (other, second) = (self.one_answer(i, part) for part in parts)
        if not same_turns(prompt, other):
            raise NotUsable(OTHER_PROMPTS)
        return prompt, first, second


def not_empty(answer: Turns) -> Turns:
    """Returns an answer. Raises NotUsable for an empty one."""
    if answer[-1].is_empty:
        raise NotUsable(EMPTY_ANSWER)
    return answer


def texts_of_list(cell: object) -> list[str] | None:
    """Returns the texts of a list, also one that is JSON; None for anything else. A missing text is empty."""
    items = parse_messages(cell)
    is_list = isinstance(items, list | tuple) and items and all(item is None or isinstance(item, str) for item in items)
    return [item or "" for item in items] if is_list else None


def split_lists(prompts: object, answers: object) -> tuple[Turns, Turns]:
    """Splits a dialogue that is a list of prompts and one of their answers at the last answer. Raises NotUsable."""
    asked, answered = texts_of_list(prompts), texts_of_list(answers)
    if not asked or not answered or len(asked) != len(answered):
        raise NotUsable(NO_TURNS)
    turns = [
        Turn(role, text)
        for two in zip(asked, answered, strict=True)
        for role, text in zip(("user", "assistant"), two, strict=True)
    ]
    return tuple(turns[:-1]), tuple(turns[-1:])
