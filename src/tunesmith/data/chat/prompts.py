"""Loads prompts without answers: texts or messages to be answered, or plain texts whose beginnings are the prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.cells import is_missing, listed
from tunesmith.data.chat.formats import (
    DIALOGUE_TURN,
    ChatFormat,
    as_messages,
    context_columns,
    detect_chosen,
    detect_messages,
    detect_text,
    input_of,
    message_kind,
    parse_messages,
    undecided,
)
from tunesmith.data.chat.load import ConversationData, read_tables
from tunesmith.data.chat.messages import NotUsable, Turn, Turns, dialogue_turns, message_turns, read_tools, text_of, with_tools
from tunesmith.data.chat.rows import (
    WITHOUT_MESSAGES,
    WITHOUT_PROMPT,
    WITHOUT_TEXT,
    Conversations,
    build_conversations,
    cell_turns,
    split_conversations,
    with_context,
    with_input,
)
from tunesmith.data.column_names import plain_name
from tunesmith.data.columns import find_column, require_column
from tunesmith.data.split import limit_rows, take_shares
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection, Recipe

PROMPTS = ("prompt", "prompts", "question", "query", "instruction", "problem", "request")
"""Usual names of a column of prompts, the most specific first."""
CONTEXT = ("input", "system", "history", "tools")
"""Parts that belong to a prompt."""
NAMED = '"columns: {prompt: NAME}", {messages: NAME}, or {text: NAME} for texts that begin with the prompt'


def load_prompt_data(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> ConversationData:
    """Loads the prompts of a run, each with all cells of its row, and takes validation and test from train where asked."""
    notes: list[str] = []
    tables = read_tables(recipe, base, frames or {}, notes)
    row_format = detect_prompt_format(tables["train"], recipe.data.columns)
    notes.append(f"{tables['train'].source}: {row_format.sentence()}.")
    splits = {}
    for split, table in tables.items():
        has_columns = all(name in table.columns for name in row_format.columns.values())
        own = row_format if has_columns else detect_prompt_format(table, recipe.data.columns)
        if own.kind != row_format.kind:
            message = f"these are {own.sentence()}, and train has {row_format.sentence()}."
            raise DataError.one(table.source, message, "Give it the columns that train has.")
        splits[split] = usable_prompts(table, own, split, recipe.data.columns)
    take_shares(splits, recipe, base, split_conversations, notes)
    limit_rows(splits, recipe, notes)
    return ConversationData(splits["train"], splits.get("validation"), splits.get("test"), notes=tuple(notes))


def detect_prompt_format(table: Table, given: ColumnsSection) -> ChatFormat:
    """Finds the column of prompts: the recipe's, one with a usual name, one of lists of messages, or one of plain texts.

    The input of an instruction, and columns of system prompts, earlier turns and tools belong to the prompts.
    """
    detected = detect_prompts(table, given)
    if detected.kind == "text":
        return detected
    column = next(iter(detected.columns.values()))
    beside = input_of(table, column)
    context = context_columns(table, {*detected.columns.values(), given.id, given.group, given.split})
    return replace(detected, columns={**detected.columns, **({} if beside is None else {"input": beside}), **context})


def detect_prompts(table: Table, given: ColumnsSection) -> ChatFormat:
    """Finds the column of prompts by itself."""
    for part in ("prompt", "messages", "text"):
        name = getattr(given, part)
        if isinstance(name, str):
            column = require_column(table, name, part)
            return ChatFormat("text" if part == "text" else "prompt", {part: column}, "named in the recipe")
    names = {plain_name(name): name for name in reversed(table.columns)}
    for name in (names[plain] for plain in PROMPTS if plain in names):
        return ChatFormat("prompt", {"prompt": name}, f"since it is called {name!r}")
    messages = detect_chosen(table) or detect_messages(table)
    if messages is not None:
        return ChatFormat("prompt", dict(messages.columns), messages.reason)
    detected = detect_text(table)
    if detected is None:
        raise undecided(table, f"no column of {listed(table.columns)} is known to hold prompts", NAMED)
    return detected


def usable_prompts(table: Table, row_format: ChatFormat, split: str, given: ColumnsSection) -> Conversations:
    """Builds the rows that have a prompt; the others are left out and counted. Raises DataError if no row is left.

    The last turn of a row is an answer, empty here; one that the row has is left out.
    """
    part, column = next(iter(row_format.columns.items()))
    beside = {name: table.columns[row_format.columns[name]] for name in CONTEXT if name in row_format.columns}

    def read(i: int) -> list[Turns]:
        cell, context = table.columns[column][i], {name: cells[i] for name, cells in beside.items()}
        own = prompt_turns(with_input(cell, context.get("input")) if isinstance(cell, str) else cell, part)
        return [with_tools(with_context(own, context), read_tools(context.get("tools")))]

    group = None if given.group is None else find_column(table, given.group)
    return build_conversations(table, row_format, split, read, group=group)


def prompt_turns(cell: object, part: str) -> Turns:
    """Reads one prompt as turns, the last of them an empty answer; a plain text is one turn. Raises NotUsable."""
    if part == "text":
        return (Turn("text", text_of(cell, WITHOUT_TEXT)),)
    if is_missing(cell) or cell == []:
        raise NotUsable(WITHOUT_PROMPT)
    if isinstance(cell, str) and DIALOGUE_TURN.match(cell):
        turns = dialogue_turns(cell)
    else:
        value = parse_messages(cell) if part == "messages" else as_messages(cell)
        if part == "messages" and message_kind(value) is None:
            raise NotUsable(WITHOUT_MESSAGES)
        turns = message_turns(value) if message_kind(value) is not None else cell_turns(cell, "user")
    if turns[-1].role == "assistant":
        turns = turns[:-1]
    if all(turn.role == "assistant" or not turn.content.strip() for turn in turns):
        raise NotUsable(WITHOUT_PROMPT)
    return (*turns, Turn("assistant", ""))
