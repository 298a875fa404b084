"""Builds the usable rows of a language model's data as turns of roles, and the reasons of left-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.data.cells import is_missing, listed, plain_class_name
from tunesmith.data.chat.formats import CONTENT_KEYS, MESSAGE_KEYS, ChatFormat, ChatKind, message_kind, parse_messages
from tunesmith.data.records import SourceRows
from tunesmith.data.split import SplitKeys, split_positions
from tunesmith.data.table import Table, unread_rows
from tunesmith.errors import DataError

ROLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "bot", "model", "ai"),
    "tool": ("tool", "function", "observation", "function_response"),
}
ROLES: Mapping[str, str] = {name: role for role, names in ROLE_NAMES.items() for name in names}
"""Name of a role in data sets -> role."""
INPUT_HEADING = "\n\n### Input:\n"
"""Separates an instruction from its input, as Alpaca's own prompt does; so a template can tell the two apart."""
LOST_KEYS = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking", "images", "audio")
"""Parts of a message that are not in its content and would be lost."""

WITHOUT_TEXT, WITHOUT_PROMPT, WITHOUT_ANSWER = "without a text", "without a prompt", "without an answer"
NOT_ANSWERED = "whose last turn is not the assistant's"
WITHOUT_MESSAGES = "without a readable list of messages"
UNKNOWN_ROLE = "with a role that is not known"
NOT_TEXT = "with a message that is not text"
UNKNOWN_LABEL = "with a label that sft.labels does not name"


class NotUsable(ValueError):
    """A row cannot be used; the message is the reason, equal for all rows of one kind."""


@dataclass(frozen=True)
class Turn:
    """One message.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``; ``text`` for a plain text.
    """

    role: str
    content: str


Turns = tuple[Turn, ...]


@dataclass(frozen=True)
class Conversations(SourceRows):
    """The usable rows of one split of a language model's run; the instances of one seed task share their row id.

    Attributes:
        columns: the columns that were read.
        turns: the turns of each row. A plain text is one turn of the role ``text``.
        rows: the raw cells of each row.
    """

    kind: ChatKind
    columns: tuple[str, ...]
    turns: tuple[Turns, ...]
    rows: tuple[Mapping[str, Any], ...] = ()

    def take(self, positions: Sequence[int], split: str) -> Conversations:
        part = super().take(positions, split)
        rows = tuple(self.rows[i] for i in positions) if self.rows else ()
        return replace(part, turns=tuple(self.turns[i] for i in positions), rows=rows)


def last_answer(turns: Turns) -> str:
    return turns[-1].content


def first_prompt(turns: Turns) -> str:
    """Returns the first turn of the user, else the first turn."""
    return next((turn.content for turn in turns if turn.role == "user"), turns[0].content)


def usable_conversations(
    table: Table, row_format: ChatFormat, split: str, *, labels: Sequence[str] = (), group: str | None = None
) -> Conversations:
    """Builds the rows of a table that have a prompt and an answer, or are a text. Raises DataError if no row is left.

    Left out and counted are rows without a text, a prompt or an answer, whose last turn is not the assistant's, and whose list
    of messages cannot be read, has an unknown role, or holds something other than text. Contents stay as they are.

    Args:
        labels: the allowed answers; empty allows all. Whole numbers mean labels by position where no label is a number.
        group: the column of groups.
    """
    names = label_names(table, row_format, labels)
    positions: list[int] = []
    turns: list[Turns] = []
    reasons = unread_rows(table)
    for i in range(len(table)):
        try:
            conversations = read_conversations(table, row_format, i, names)
        except NotUsable as reason:
            reasons.setdefault(str(reason), []).append(table.row_ids[i])
        else:
            turns += conversations
            positions += [i] * len(conversations)
    if not turns:
        counted = "; ".join(f"{len(ids):,} {reason}" for reason, ids in reasons.items())
        message = f"none of {len(table):,} rows can be used ({counted})."
        raise DataError.one(table.source, message, f"They were read as {row_format.sentence()}.")
    return Conversations(
        split,
        table.source,
        tuple(table.row_ids[i] for i in positions),
        row_format.kind,
        tuple(row_format.columns.values()),
        tuple(turns),
        rows=tuple({name: column[i] for name, column in table.columns.items()} for i in positions),
        groups=read_groups(table, group, positions),
        left_out={reason: tuple(ids) for reason, ids in reasons.items()},
        rows_read=table.rows_read or len(table),
        sha256=table.sha256,
    )


def read_conversations(table: Table, row_format: ChatFormat, i: int, names: Mapping[str, str]) -> list[Turns]:
    """Reads a row's conversations; ``names`` (answer -> label) replaces answers. Raises NotUsable if one is not usable."""
    cells = {part: table.columns[name][i] for part, name in row_format.columns.items()}
    conversations = read_turns(cells, row_format.kind)
    for turns in conversations:
        if turns[-1].role == "text":
            continue
        if turns[-1].role != "assistant":
            raise NotUsable(NOT_ANSWERED)
        if not turns[-1].content.strip():
            raise NotUsable(WITHOUT_ANSWER)
        if all(turn.role == "assistant" or not turn.content.strip() for turn in turns):
            raise NotUsable(WITHOUT_PROMPT)
        if names and last_answer(turns).strip() not in names:
            raise NotUsable(UNKNOWN_LABEL)
    if not names:
        return conversations
    return [(*turns[:-1], Turn("assistant", names[last_answer(turns).strip()])) for turns in conversations]


def read_groups(table: Table, group: str | None, positions: Sequence[int]) -> tuple[str, ...] | None:
    """Reads the group of each row; without a column, the conversations of one source row are a group."""
    if group is not None:
        return tuple(str(table.columns[group][i]) for i in positions)
    return None if len(set(positions)) == len(positions) else tuple(str(table.row_ids[i]) for i in positions)


Cells = Mapping[str, Any]
"""The cells of one row by part, see ``ChatFormat``."""


def require(cell: object, reason: str) -> None:
    """Raises NotUsable for a missing cell."""
    if is_missing(cell):
        raise NotUsable(reason)


def text_of(cell: object, reason: str = "") -> str:
    """Returns a cell as text. Raises NotUsable for a list or an object, and with that reason for a missing one."""
    if reason:
        require(cell, reason)
    if isinstance(cell, list | tuple | Mapping):
        raise NotUsable(NOT_TEXT)
    return str(cell)


def read_turns(cells: Cells, kind: ChatKind) -> list[Turns]:
    """Reads the turns of one row; each instance of a seed task is a conversation of its own. Raises NotUsable."""
    if kind == "text":
        return [(Turn("text", text_of(cells["text"], WITHOUT_TEXT)),)]
    if kind == "labelled":
        prompt = text_of(cells["text"], WITHOUT_PROMPT)
        require(cells["label"], WITHOUT_ANSWER)
        return [(Turn("user", prompt), Turn("assistant", plain_class_name(cells["label"])))]
    if kind == "prompt_completion":  # each a text or a list of messages
        for part, reason in (("prompt", WITHOUT_PROMPT), ("completion", WITHOUT_ANSWER)):
            require(None if cells[part] == [] else cells[part], reason)
        return [(*cell_turns(cells["prompt"], "user"), *cell_turns(cells["completion"], "assistant"))]
    if kind != "alpaca":
        messages = parse_messages(cells["messages"])
        if message_kind(messages) is None:
            raise NotUsable(WITHOUT_MESSAGES)
        return [message_turns(messages)]
    if "instances" not in cells:
        return [instruction_turns(cells["instruction"], cells.get("input"), cells["completion"])]
    instances = parse_messages(cells["instances"])
    if not isinstance(instances, list | tuple) or not instances:
        raise NotUsable(WITHOUT_ANSWER)
    return [instruction_turns(cells["instruction"], item.get("input"), item.get("output")) for item in instances]


def cell_turns(cell: object, role: str) -> Turns:
    """Reads a cell as its list of messages, or as one turn of that role."""
    value = parse_messages(cell)
    return message_turns(value) if message_kind(value) is not None else (Turn(role, text_of(cell)),)


def instruction_turns(instruction: object, context: object, answer: object) -> Turns:
    prompt = text_of(instruction, WITHOUT_PROMPT) + ("" if is_missing(context) else f"{INPUT_HEADING}{text_of(context)}")
    return (Turn("user", prompt), Turn("assistant", text_of(answer, WITHOUT_ANSWER)))


def message_turns(messages: Sequence[Mapping[str, Any]]) -> Turns:
    """Reads a list of messages. A missing content is an empty turn, which a check reports.

    Raises NotUsable for an unknown role, or content that is not text.
    """
    key = next(key for key in MESSAGE_KEYS if all(key in message for message in messages))
    turns = []
    for message in messages:
        role, content = ROLES.get(str(message[key]).strip().casefold()), message.get(CONTENT_KEYS[key])
        if role is None:
            raise NotUsable(UNKNOWN_ROLE)
        if any(message.get(lost) for lost in LOST_KEYS) or isinstance(content, Mapping):
            raise NotUsable(NOT_TEXT)
        if isinstance(content, list | tuple):
            if not all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content):
                raise NotUsable(NOT_TEXT)
            content = "".join(part["text"] for part in content)
        turns.append(Turn(role, "" if content is None else str(content)))
    return tuple(turns)


def label_names(table: Table, row_format: ChatFormat, labels: Sequence[str]) -> dict[str, str]:
    """Maps answers to labels; empty if any answer is allowed."""
    names = {label.strip(): label for label in labels}
    if row_format.kind != "labelled" or not labels:
        return names
    column = row_format.columns["label"]
    cells = {plain_class_name(cell) for cell in table.columns[column] if not is_missing(cell)}
    codes = [str(code) for code in range(len(labels))]
    if cells and cells <= set(codes) and not cells & names.keys():
        return dict(zip(codes, labels, strict=True))
    if cells and not cells & names.keys():
        message = f"the column {column!r} holds none of sft.labels ({listed(labels)}) but {listed(sorted(cells))}."
        raise DataError.one(table.source, message, "Write sft.labels as the column has them.")
    return names


def split_conversations(rows: Conversations, share: float, seed: int, name: str) -> tuple[Conversations, Conversations]:
    """Splits a share off; rows of one first prompt (normalised) or group stay together, labelled ones are stratified."""
    strata = [last_answer(turns) if rows.kind == "labelled" else 0 for turns in rows.turns]
    prompts = [first_prompt(turns) for turns in rows.turns]
    rest, other = split_positions(SplitKeys(rows.source, strata, prompts, groups=rows.groups), share, seed, name)
    return rows.take(rest, rows.split), rows.take(other, name)
