"""The rows of a language model's data that can be used: who says what, in turns; with what was left out and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from tunesmith.data.cells import is_missing, listed
from tunesmith.data.chat.formats import CONTENT_KEYS, MESSAGE_KEYS, Form, Recognised, form_of, messages_in
from tunesmith.data.split import split_examples
from tunesmith.data.table import Examples, Table
from tunesmith.errors import DataError

ROLES = MappingProxyType(
    {
        "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user", "assistant": "assistant",
        "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant", "tool": "tool",
        "function": "tool", "observation": "tool", "function_response": "tool",
    }
)  # fmt: skip
"""What data call a speaker -> the role."""
INPUT_HEADING = "\n\n### Input:\n"
"""Between an instruction and its input, as Alpaca's own prompt has it; so a template can tell the two apart."""
LOST_KEYS = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking", "images", "audio")
"""Parts of a message that are no text: what they say would be lost."""

NO_TEXT, NO_PROMPT, NO_ANSWER = "without a text", "without a prompt", "without an answer"
NOT_ANSWERED = "whose last turn is not the assistant's"
NO_LIST = "without a readable list of messages"
NO_ROLE = "with a role that is not known"
NO_CONTENT = "with a message that is not text"
NO_LABEL = "with a label that sft.labels does not name"


class NotUsable(ValueError):
    """A row cannot be used; its text says why, the same for all rows of one kind."""


@dataclass(frozen=True)
class Turn:
    """What one speaker says.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``; ``text`` for a text that nobody says.
    """

    role: str
    content: str


Turns = tuple[Turn, ...]


@dataclass(frozen=True)
class Conversations:
    """The usable rows of one split (N).

    Attributes:
        columns: those that were read.
        row_ids: position of each row in its source; the instances of one seed task share theirs.
        turns: of each row. A plain text is one turn of the role ``text``.
        rows: the raw cells of each row.
        groups: rows of one group stay in one split; None where no column says so.
        left_out: why rows of the source are not here -> their row ids.
    """

    split: str
    source: str
    form: Form
    columns: tuple[str, ...]
    row_ids: tuple[int, ...]
    turns: tuple[Turns, ...]
    rows: tuple[Mapping[str, Any], ...] = ()
    groups: tuple[str, ...] | None = None
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    rows_read: int = 0
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.row_ids)

    def take(self, positions: Sequence[int], split: str) -> Conversations:
        """The rows at those positions, in that order, as a split of that name; what was left out stays with the first split."""

        def pick(cells: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(cells[i] for i in positions)

        left_out = self.left_out if split == self.split else {}
        return replace(
            self, split=split, row_ids=pick(self.row_ids), turns=pick(self.turns), rows=pick(self.rows) if self.rows else (),
            groups=None if self.groups is None else pick(self.groups), left_out=left_out,
            rows_read=len(positions) + sum(map(len, left_out.values())),
        )  # fmt: skip


def answer_of(turns: Turns) -> str:
    """The last turn's content."""
    return turns[-1].content


def asked_of(turns: Turns) -> str:
    """What a row asks first: the first turn of the user, else its first turn."""
    return next((turn.content for turn in turns if turn.role == "user"), turns[0].content)


def usable_conversations(
    table: Table, found: Recognised, split: str, *, labels: Sequence[str] = (), group: str | None = None
) -> Conversations:
    """The rows of a table that ask and answer something, or are a text.

    Left out and counted are rows without a text, a prompt or an answer, whose last turn is not the assistant's, and whose list
    of messages cannot be read, has a role that is not known, or holds something other than text. Contents stay as they are.

    Args:
        labels: what answers may be; all where there are none. Whole numbers stand for them in their order where no label is one.
        group: the column of groups.

    Raises:
        DataError: no row is left.
    """
    names = label_names(table, found, labels)
    positions: list[int] = []
    turns: list[Turns] = []
    reasons: dict[str, list[int]] = {}
    for row in table.bad_rows:
        if row.dropped:
            reasons.setdefault(f"not read: {row.reason}", []).append(row.row_id)
    for i in range(len(table)):
        try:
            made = turns_at(table, found, i, names)
        except NotUsable as reason:
            reasons.setdefault(str(reason), []).append(table.row_ids[i])
        else:
            turns += made
            positions += [i] * len(made)
    if not turns:
        counted = "; ".join(f"{len(ids):,} {reason}" for reason, ids in reasons.items())
        message = f"none of {len(table):,} rows can be used ({counted})."
        raise DataError.one(table.source, message, f"They were read as {found.sentence()}.")
    return Conversations(
        split, table.source, found.form, tuple(found.columns.values()), tuple(table.row_ids[i] for i in positions), tuple(turns),
        tuple({name: column[i] for name, column in table.columns.items()} for i in positions), groups_of(table, group, positions),
        {reason: tuple(ids) for reason, ids in reasons.items()}, table.rows_read or len(table), table.sha256,
    )  # fmt: skip


def turns_at(table: Table, found: Recognised, i: int, names: Mapping[str, str]) -> list[Turns]:
    """The conversations of a row, one but for seed tasks. Raises NotUsable where one of them cannot be learnt from."""
    made = READ["instances" if "instances" in found.columns else found.form](table, found.columns, i)
    for turns in made:
        check_answer(turns, names)
    return [answered_with(turns, names) for turns in made]


def groups_of(table: Table, group: str | None, positions: Sequence[int]) -> tuple[str, ...] | None:
    """The group of each row: what the column says; else, where rows give several conversations, the row."""
    if group is not None:
        return tuple(str(table.columns[group][i]) for i in positions)
    return None if len(set(positions)) == len(positions) else tuple(str(table.row_ids[i]) for i in positions)


Columns = Mapping[str, str]


def text_turns(table: Table, columns: Columns, i: int) -> list[Turns]:
    cell = table.columns[columns["text"]][i]
    if is_missing(cell):
        raise NotUsable(NO_TEXT)
    return [(Turn("text", str(cell)),)]


def pair_turns(table: Table, columns: Columns, i: int) -> list[Turns]:
    """A prompt and its completion, each a text or a list of messages."""
    prompt, completion = table.columns[columns["prompt"]][i], table.columns[columns["completion"]][i]
    if is_missing(prompt) or prompt == []:
        raise NotUsable(NO_PROMPT)
    if is_missing(completion) or completion == []:
        raise NotUsable(NO_ANSWER)
    return [(*said(prompt, "user"), *said(completion, "assistant"))]


def said(cell: Any, role: str) -> Turns:
    """The turns of a cell: its messages, or one of that role."""
    value = messages_in(cell)
    return turns_of(value) if form_of(value) is not None else (Turn(role, str(cell)),)


def conversation_turns(table: Table, columns: Columns, i: int) -> list[Turns]:
    value = messages_in(table.columns[columns["messages"]][i])
    if form_of(value) is None:
        raise NotUsable(NO_LIST)
    return [turns_of(value)]


def alpaca_turns(table: Table, columns: Columns, i: int) -> list[Turns]:
    given = table.columns[columns["input"]][i] if "input" in columns else None
    return [instruction_turns(table.columns[columns["instruction"]][i], given, table.columns[columns["completion"]][i])]


def instance_turns(table: Table, columns: Columns, i: int) -> list[Turns]:
    """Each instance of a seed task as a conversation."""
    instances = messages_in(table.columns[columns["instances"]][i])
    if not isinstance(instances, list | tuple) or not instances:
        raise NotUsable(NO_ANSWER)
    instruction = table.columns[columns["instruction"]][i]
    return [instruction_turns(instruction, instance.get("input"), instance.get("output")) for instance in instances]


def instruction_turns(instruction: Any, given: Any, answer: Any) -> Turns:
    if is_missing(instruction):
        raise NotUsable(NO_PROMPT)
    if is_missing(answer):
        raise NotUsable(NO_ANSWER)
    asked = str(instruction) if is_missing(given) else f"{instruction}{INPUT_HEADING}{given}"
    return (Turn("user", asked), Turn("assistant", str(answer)))


def label_turns(table: Table, columns: Columns, i: int) -> list[Turns]:
    text, label = table.columns[columns["text"]][i], table.columns[columns["label"]][i]
    if is_missing(text):
        raise NotUsable(NO_PROMPT)
    if is_missing(label):
        raise NotUsable(NO_ANSWER)
    return [(Turn("user", str(text)), Turn("assistant", class_name(label)))]


def class_name(cell: Any) -> str:
    """``1.0`` is the class ``1``, as a table of numbers with a gap in it has it."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


READ: Mapping[str, Callable[[Table, Columns, int], list[Turns]]] = MappingProxyType(
    {
        "text": text_turns, "prompt_completion": pair_turns, "messages": conversation_turns, "sharegpt": conversation_turns,
        "alpaca": alpaca_turns, "instances": instance_turns, "labelled": label_turns,
    }
)  # fmt: skip


def turns_of(messages: Sequence[Mapping[str, Any]]) -> Turns:
    """The turns of a list of messages. Raises NotUsable."""
    key = next(key for key in MESSAGE_KEYS if all(key in message for message in messages))
    return tuple(Turn(role_of(message[key]), content_of(message, CONTENT_KEYS[key])) for message in messages)


def role_of(name: Any) -> str:
    role = ROLES.get(str(name).strip().casefold())
    if role is None:
        raise NotUsable(NO_ROLE)
    return role


def content_of(message: Mapping[str, Any], key: str) -> str:
    """The text of a message: a string, or the parts of one. Nothing at all is an empty turn, which the linter names."""
    if any(message.get(lost) for lost in LOST_KEYS):
        raise NotUsable(NO_CONTENT)
    content = message.get(key)
    if isinstance(content, list | tuple):
        if not all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content):
            raise NotUsable(NO_CONTENT)
        return "".join(part["text"] for part in content)
    if isinstance(content, Mapping):
        raise NotUsable(NO_CONTENT)
    return "" if content is None else str(content)


def check_answer(turns: Turns, names: Mapping[str, str]) -> None:
    """Raises NotUsable for a row that is not answered, or not with one of the labels."""
    if turns[-1].role == "text":
        return
    if turns[-1].role != "assistant":
        raise NotUsable(NOT_ANSWERED)
    if not turns[-1].content.strip():
        raise NotUsable(NO_ANSWER)
    if all(turn.role == "assistant" or not turn.content.strip() for turn in turns):
        raise NotUsable(NO_PROMPT)
    if names and turns[-1].content.strip() not in names:
        raise NotUsable(NO_LABEL)


def answered_with(turns: Turns, names: Mapping[str, str]) -> Turns:
    """The turns with the answer as the label it stands for."""
    return turns if not names else (*turns[:-1], Turn("assistant", names[turns[-1].content.strip()]))


def label_names(table: Table, found: Recognised, labels: Sequence[str]) -> dict[str, str]:
    """What an answer says -> the label it is; empty where answers may say anything."""
    names = {label.strip(): label for label in labels}
    if found.form != "labelled" or not labels:
        return names
    cells = {class_name(cell) for cell in table.columns[found.columns["label"]] if not is_missing(cell)}
    codes = [str(code) for code in range(len(labels))]
    if cells and cells <= set(codes) and not cells & names.keys():
        return dict(zip(codes, labels, strict=True))
    if cells and not cells & names.keys():
        message = (
            f"the column {found.columns['label']!r} holds none of sft.labels ({listed(labels)}) but {listed(sorted(cells))}."
        )
        raise DataError.one(table.source, message, "Write sft.labels as the column has them.")
    return names


def divided(rows: Conversations, share: float, seed: int, name: str) -> tuple[Conversations, Conversations]:
    """(the rest, a share of the rows as the split ``name``). Rows that ask the same first, or of one group, stay together.

    Two texts ask the same where their first turns of the user are equal but for case, punctuation and white space. Labelled rows
    keep the shares of their labels.

    Raises:
        DataError: fewer than two rows would be on one side.
    """
    strata = [answer_of(turns) if rows.form == "labelled" else 0 for turns in rows.turns]
    examples = Examples(
        rows.split, rows.source, list(range(len(rows))), [asked_of(turns) for turns in rows.turns], strata,
        groups=None if rows.groups is None else list(rows.groups),
    )  # fmt: skip
    rest, other = split_examples(examples, share, seed, name)
    return rows.take(rest.row_ids, rows.split), rows.take(other.row_ids, name)
