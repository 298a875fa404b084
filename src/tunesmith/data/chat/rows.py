"""Builds the usable rows of a language model's data as turns of roles, and the reasons of left-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.data.cells import is_missing, listed, plain_class_name, plural
from tunesmith.data.chat.formats import (
    CONTENT_NAMES,
    ChatFormat,
    ChatKind,
    as_messages,
    is_list_of_objects,
    message_kind,
    parse_messages,
)
from tunesmith.data.chat.messages import (
    LOST_KEY,
    LOST_KEYS,
    NO_CONTENT,
    NOT_TEXT,
    ROLES,
    TOOLS,
    UNKNOWN_ROLE,
    NotUsable,
    Turn,
    Turns,
    dialogue_turns,
    json_of,
    message_turns,
    read_tools,
    require,
    text_of,
    with_tools,
)
from tunesmith.data.near_duplicates import SearchedTexts
from tunesmith.data.records import SourceRows
from tunesmith.data.split import SplitKeys, split_positions
from tunesmith.data.table import Table, repaired_rows, unread_rows
from tunesmith.errors import DataError

INPUT_HEADING = "\n\n### Input:\n"
"""Separates an instruction from its input, as Alpaca's own prompt does; so a template can tell the two apart."""
JSON_PARTS = ("prompt", "completion", "instruction", "input")
"""Parts that may hold objects and lists, which are learnt as JSON."""
WITHOUT_TEXT, WITHOUT_PROMPT, WITHOUT_ANSWER = "without a text", "without a prompt", "without an answer"
NOT_ANSWERED = "whose last turn is not the assistant's"
WITHOUT_MESSAGES = "without a readable list of messages"
WITHOUT_WEIGHT = "whose answers all have weight 0"
TWO_SYSTEMS = "with two different system turns: a message and the system column"
NO_HISTORY = "with a history that is not a list of pairs or messages"
UNKNOWN_LABEL = "with a label that sft.labels does not name"
REMEDIES = {
    UNKNOWN_ROLE.format(""): f"Known roles: {', '.join(ROLES)}.",
    NO_CONTENT[: NO_CONTENT.index("{")]: f"The text of a message is read under one of the keys {', '.join(CONTENT_NAMES)}.",
    f"{NOT_TEXT}:": "Write such parts as text, and calls of tools under the key tool_calls, or leave the rows out.",
}
"""Beginning of a reason -> remedy."""


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
    return turns[-1].text


def first_prompt(turns: Turns) -> str:
    """Returns the first turn of the user, else the first turn."""
    return next((turn.content for turn in turns if turn.role == "user"), turns[0].content)


def dialogue_key(turns: Turns) -> str:
    """Returns the first prompt, with its answer if turns follow: rows of one dialogue share both."""
    first = next((k for k, turn in enumerate(turns[:-1]) if turn.role == "assistant"), None)
    return first_prompt(turns) if first is None else f"{first_prompt(turns)}\n{turns[first].text}"


def usable_conversations(
    table: Table, row_format: ChatFormat, split: str, *, labels: Sequence[str] = (), group: str | None = None
) -> Conversations:
    """Builds the rows of a table that have a prompt and an answer, or are a text. Raises DataError if no row is left.

    Left out and counted are rows without a text, a prompt or an answer, whose last turn is not the assistant's, and whose list
    of messages cannot be read, has an unknown role, or holds something other than text. Texts stay as they are, also where they
    are JSON. Objects and lists become JSON in columns of mostly such cells. Turns after the last answer of weight 1 are left out.

    Args:
        labels: the allowed answers; empty allows all. Whole numbers mean labels by position where no label is a number.
        group: the column of groups.
    """
    names, as_json = label_names(table, row_format, labels), json_parts(table, row_format)
    return build_conversations(
        table, row_format, split, lambda i: read_conversations(table, row_format, i, names, as_json), group=group
    )


def build_conversations(
    table: Table, row_format: ChatFormat, split: str, read: Callable[[int], Sequence[Turns]], *, group: str | None
) -> Conversations:
    """Builds the rows that can be read, and counts the others by their reason. Raises DataError if no row is left.

    Args:
        read: position -> the conversations of the row; raises NotUsable for one that is left out.
        group: the column of groups.
    """
    positions: list[int] = []
    turns: list[Turns] = []
    reasons = unread_rows(table)
    for i in range(len(table)):
        try:
            conversations = read(i)
        except NotUsable as reason:
            reasons.setdefault(str(reason), []).append(table.row_ids[i])
        else:
            turns += conversations
            positions += [i] * len(conversations)
    if not turns:
        counted = "; ".join(f"{len(ids):,} {reason}" for reason, ids in reasons.items())
        message = f"none of {plural(len(table), 'row')} can be used ({counted}). They were read as {row_format.sentence()}."
        raise DataError.one(table.source, message, remedy_for(reasons))
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
        repairs=repaired_rows(table),
        rows_read=table.rows_read or len(table),
        sha256=table.sha256,
    )


def remedy_for(reasons: Mapping[str, object]) -> str:
    """Returns the remedy for unknown roles and for messages of which a part is not read; empty for other rows."""
    for beginning, remedy in REMEDIES.items():
        if any(reason.startswith(beginning) for reason in reasons):
            return remedy
    lost = next((key for key in LOST_KEYS if LOST_KEY.format(key) in reasons), "")
    if not lost:
        return ""
    return f"Write {lost} into the content as the model's chat template has it (such as <think> ... </think>), or remove the key."


def read_conversations(
    table: Table, row_format: ChatFormat, i: int, names: Mapping[str, str], as_json: frozenset[str]
) -> list[Turns]:
    """Reads a row's conversations. Raises NotUsable if one is not usable.

    Args:
        names: answer -> the label that replaces it; empty keeps all.
        as_json: the parts whose lists and objects become JSON.
    """
    cells = {part: table.columns[name][i] for part, name in row_format.columns.items()}
    cells = {part: json_of(cell) if part in as_json and is_structured(cell) else cell for part, cell in cells.items()}
    tools = read_tools(cells.get("tools"))
    conversations = [with_tools(with_context(turns, cells), tools) for turns in read_turns(cells, row_format.kind)]
    for turns in conversations:
        if turns[-1].role == "text":
            continue
        if turns[-1].role != "assistant":
            raise NotUsable(NOT_ANSWERED)
        if turns[-1].is_empty:
            raise NotUsable(WITHOUT_ANSWER)
        if all(turn.role == "assistant" or not turn.content.strip() for turn in turns):
            raise NotUsable(WITHOUT_PROMPT)
        if names and (own := [key for key in turns[-1].extra if key != TOOLS]):
            raise NotUsable(LOST_KEY.format(own[0]))
        if names and last_answer(turns).strip() not in names:
            raise NotUsable(UNKNOWN_LABEL)
    if not names:
        return [to_last_supervised(turns) for turns in conversations]
    return [(*turns[:-1], Turn("assistant", names[last_answer(turns).strip()])) for turns in conversations]


def to_last_supervised(turns: Turns) -> Turns:
    """Returns the turns up to the last answer of weight 1. Raises NotUsable if there is none."""
    if all(turn.is_supervised for turn in turns):
        return turns
    last = max((k for k, turn in enumerate(turns) if turn.role == "assistant" and turn.is_supervised), default=-1)
    if last < 0:
        raise NotUsable(WITHOUT_WEIGHT)
    return turns[: last + 1]


def read_groups(table: Table, group: str | None, positions: Sequence[int]) -> tuple[str, ...] | None:
    """Reads the group of each row; without a column, the conversations of one source row are a group."""
    if group is not None:
        return table.groups(group, positions)
    return None if len(set(positions)) == len(positions) else tuple(str(table.row_ids[i]) for i in positions)


Cells = Mapping[str, Any]
"""The cells of one row by part, see ``ChatFormat``."""


def is_structured(cell: object) -> bool:
    """Returns whether a cell is a list or an object, and not a list of messages."""
    return isinstance(cell, list | tuple | Mapping) and message_kind(as_messages(cell)) is None


def json_parts(table: Table, row_format: ChatFormat) -> frozenset[str]:
    """Returns the parts whose cells are mostly lists or objects, which become JSON; among texts such a cell is not usable."""
    samples = {
        part: [cell for cell in table.columns[name] if not is_missing(cell)]
        for part, name in row_format.columns.items()
        if part in JSON_PARTS
    }
    return frozenset(part for part, cells in samples.items() if 2 * sum(map(is_structured, cells)) > len(cells))


def with_context(turns: Turns, cells: Cells) -> Turns:
    """Puts the turns of the history column, and that of the system column, before a row's own; an empty own one is replaced."""
    own_system, others = (turns[:1], turns[1:]) if turns[0].role == "system" else ((), turns)
    system = own_system
    if not is_missing(cells.get("system")):
        system = (Turn("system", text_of(cells["system"])),)
        if own_system and not own_system[0].is_empty and own_system != system:
            raise NotUsable(TWO_SYSTEMS)
    return (*system, *history_turns(cells.get("history")), *others)


def history_turns(cell: object) -> Turns:
    """Reads earlier turns: a list of [prompt, answer] pairs, or a list of messages. A missing half is an empty turn."""
    history = parse_messages(cell)
    if is_missing(history) or history in ([], ()):
        return ()
    if message_kind(history) is not None:
        return message_turns(history)
    if not isinstance(history, list | tuple) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in history):
        raise NotUsable(NO_HISTORY)
    return tuple(Turn(role, text_of(text)) for pair in history for role, text in zip(("user", "assistant"), pair, strict=True))


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
    if kind == "dialogue":
        return [dialogue_turns(text_of(cells["messages"], WITHOUT_MESSAGES))]
    if kind != "alpaca":
        messages = parse_messages(cells["messages"])
        if message_kind(messages) is None:
            raise NotUsable(WITHOUT_MESSAGES)
        return [message_turns(messages)]
    if "instances" not in cells:
        return [instruction_turns(cells["instruction"], cells.get("input"), cells["completion"])]
    instances = parse_messages(cells["instances"])
    if not is_list_of_objects(instances) or not instances:
        raise NotUsable(WITHOUT_ANSWER)
    return [instruction_turns(cells["instruction"], item.get("input"), item.get("output")) for item in instances]


def cell_turns(cell: object, role: str) -> Turns:
    """Reads a list of messages, or one turn of that role; a text stays one turn, also where it is such a list as JSON."""
    messages = as_messages(cell)
    return message_turns(messages) if message_kind(messages) is not None else (Turn(role, text_of(cell)),)


def instruction_turns(instruction: object, context: object, answer: object) -> Turns:
    prompt = with_input(text_of(instruction, WITHOUT_PROMPT), context)
    return (Turn("user", prompt), Turn("assistant", text_of(answer, WITHOUT_ANSWER)))


def with_input(instruction: str, context: object) -> str:
    """Returns an instruction with its input, if it has one, below a heading."""
    return instruction if is_missing(context) else f"{instruction}{INPUT_HEADING}{text_of(context)}"


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


def split_conversations(
    rows: Conversations, share: float, seed: int, name: str, searched: SearchedTexts | None = None
) -> tuple[Conversations, Conversations]:
    """Splits a share off; rows of one first prompt (normalised) or group stay together, labelled ones are stratified."""
    strata = [last_answer(turns) if rows.kind == "labelled" else 0 for turns in rows.turns]
    has_history = rows.kind in ("alpaca", "prompt_completion")
    prompts = [dialogue_key(turns) if has_history else first_prompt(turns) for turns in rows.turns]
    if len(set(prompts)) == 1:  # every row begins with the same turns, which bind none of them
        prompts = ["\n".join(turn.content for turn in turns[:-1]) for turns in rows.turns]
    keys = SplitKeys(rows.source, strata, prompts, groups=rows.groups, searched=searched)
    rest, other = split_positions(keys, share, seed, name)
    return rows.take(rest, rows.split), rows.take(other, name)
