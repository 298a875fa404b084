"""Reads the prompts of a file or a table, with the columns of context that training reads before the turns of a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.chat.formats import context_columns, detect_messages, parse_messages
from tunesmith.data.chat.messages import NotUsable, Turns, message_turns, read_tools, with_tools
from tunesmith.data.chat.rows import cell_turns, first_prompt, instruction_turns, with_context
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.given import read_given, tell_notes
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.readers.payload import read_payload
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.models.chat.prompts import prompt_ids, without_answer
from tunesmith.models.chat.spans import unwritten_keys
from tunesmith.models.chat.template import NO_TEMPLATE, Template
from tunesmith.progress import Listener, silent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT_COLUMNS = ("prompt", "text", "instruction")
INPUT_COLUMNS = ("input", "context")
"""Columns of the input of an instruction."""


class RowPrompt(str):
    """The prompt of a row that has more than one text: a conversation, or columns of context.

    As a text it is the prompt alone.

    Attributes:
        turns: those that training makes of the row, without the answer; the first has the row's tools.
        context: names of the columns beside the prompt that ``turns`` hold.
    """

    turns: Turns
    context: tuple[str, ...]


def row_prompt(text: str, turns: Turns, context: Sequence[str] = ()) -> RowPrompt:
    prompt = RowPrompt(text)
    prompt.turns, prompt.context = turns, tuple(context)
    return prompt


def read_prompts(path: Path, listener: Listener = silent) -> list[str]:
    """Reads prompts: lines of a text file, or columns (see ``prompts_of``). Raises DataError if there are none."""
    if path.suffix != ".txt":
        return prompts_of(read_given(path, listener))
    decoded = decode(read_payload(path, str(path)))
    tell_notes(str(path), decoded.notes, listener)
    prompts = [line for line in split_lines(decoded.text) if line.strip()]
    if not prompts:
        raise DataError.one(str(path), "it has no prompts.")
    return prompts


def prompts_of(table: Table) -> list[str]:
    """Returns the prompts in the first column of ``PROMPT_COLUMNS``, else in a column of messages, whose last answer is left out.

    System prompts, earlier turns, tools and the input of an instruction are read from their columns as in training. Raises
    DataError if the table has no such column, or a row no usable prompt.
    """
    name = next((name for name in PROMPT_COLUMNS if name in table.columns), None)
    messages = detect_messages(table) if name is None else None
    if name is None and messages is None:
        columns = listed(PROMPT_COLUMNS)
        raise DataError.one(table.source, f"it has no column {columns}, or of messages.", f"Columns: {listed(table.columns)}.")
    name = name or next(iter(messages.columns.values() if messages else ()))
    context = {} if name == "text" else context_columns(table, {name})
    if name == "instruction" and (inputs := [column for column in INPUT_COLUMNS if column in table.columns]):
        context["input"] = inputs[0]
    prompts = []
    for i, cell in enumerate(table.columns[name]):
        if is_missing(cell):
            raise DataError.one(table.source, f"{table.place(i)} has no {name}.", "Fill it in, or leave the row out.")
        try:
            prompts.append(prompt_of_row(table, i, name, context))
        except NotUsable as reason:
            raise DataError.one(table.source, f"{table.place(i)} is {reason}.", "Correct it, or leave the row out.") from None
    return prompts


def prompt_of_row(table: Table, i: int, name: str, context: dict[str, str]) -> str:
    """Reads the prompt of one row: a text, or a ``RowPrompt``. Raises NotUsable."""
    cells = {part: table.columns[column][i] for part, column in context.items()}
    present = {part: column for part, column in context.items() if not is_missing(cells[part]) and cells[part] not in ("", [])}
    cell = table.columns[name][i]
    if name not in PROMPT_COLUMNS:
        turns: Turns = tuple(without_answer(message_turns(parse_messages(cell))))
    elif "input" in present:
        turns = instruction_turns(cell, cells["input"], "answer")[:-1]
    else:
        turns = cell_turns(cell, "user")
    if len(turns) == 1 and not present and name in PROMPT_COLUMNS:
        return turns[0].content
    turns = with_tools(with_context(turns, cells), read_tools(cells.get("tools")))
    return row_prompt(first_prompt(turns) if name not in PROMPT_COLUMNS else str(cell), turns, list(present.values()))


def row_ids(tokenizer: PreTrainedTokenizerBase, prompt: RowPrompt) -> list[int]:
    """Tokenises the prompt of a row as in training: by the tokenizer's chat template, or with the contents joined."""
    return prompt_ids(tokenizer, template_of(tokenizer), prompt.turns)


def unused_context(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[object], raw: bool) -> str:
    """Describes what the prompts of rows hold and the model does not read; empty if it reads everything.

    Args:
        raw: the prompts are used alone.
    """
    rows = [prompt for prompt in prompts if isinstance(prompt, RowPrompt)]
    if raw:
        names = [prompt.context for prompt in rows]
    else:
        names = unwritten_keys(tokenizer, template_of(tokenizer), [prompt.turns for prompt in rows])
    unused = list(dict.fromkeys(name for of_row in names for name in of_row))
    n_rows, why = sum(map(bool, names)), "with raw, prompts are used alone" if raw else "the chat template does not write them"
    return f"{listed(unused)} of {n_rows:,} of {plural(len(prompts), 'prompt')} not used: {why}" if unused else ""


def template_of(tokenizer: PreTrainedTokenizerBase) -> Template:
    """Returns the tokenizer's own chat template, which is saved with every run that was trained with one."""
    return Template("tokenizer", str(tokenizer.get_chat_template()), "tokenizer") if tokenizer.chat_template else NO_TEMPLATE
