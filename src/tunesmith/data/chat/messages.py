"""Reads messages as turns, with the thoughts, tool calls and tools that chat templates write beside contents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.data.cells import clip, is_missing, listed
from tunesmith.data.chat.formats import (
    CONTENT_NAMES,
    DIALOGUE_TURN,
    MESSAGE_KEYS,
    content_key,
    is_list_of_objects,
    message_kind,
    parse_cell,
    parse_messages,
)

CALL_ROLE = "function_call"
"""LLaMA-Factory's role of an answer whose content is a call, or a list of calls, as JSON."""
ROLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai", CALL_ROLE),
    "tool": ("tool", "function", "observation", "function_response"),
}
ROLES: Mapping[str, str] = {name: role for role, names in ROLE_NAMES.items() for name in names}
"""Name of a role in data sets -> role."""
CALLS, TOOLS = "tool_calls", "tools"
REASONING = ("reasoning_content", "reasoning", "thinking")
"""Names of the thoughts of an answer; upstream gives them to templates under all of these names."""
EXTRA_KEYS: Mapping[str, tuple[str, ...]] = {"assistant": (CALLS, *REASONING), "tool": ("name", "tool_call_id")}
"""Role -> parts of its messages beside the content that chat templates read."""
LOST_KEYS = (CALLS, "function_call", *REASONING, "images", "audio")
"""Parts of a message that are not in its content, and would be lost unless they are its role's in ``EXTRA_KEYS``."""
WEIGHT_KEYS = ("weight", "train", "training")
"""Keys of a message that say whether its tokens are supervised: OpenAI's 0 or 1, and Axolotl's true or false."""


UNKNOWN_ROLE = "with a role that is not known: {}"
NOT_TEXT = "with a message that is not text"
NO_CONTENT = "with a message that has no {}, but {}"
LOST_KEY = "with a message that has the key {}, which is not read"
BAD_CALL = "with a tool call that is not an object with a function and its arguments as a JSON object"
NO_TOOLS = "with tools that are not a list of objects"
UNKNOWN_WEIGHT = "with a message whose weight is neither 0 nor 1"


class NotUsable(ValueError):
    """A row cannot be used; the message is the reason, equal for all rows of one kind."""


@dataclass(frozen=True)
class Turn:
    """One message.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``; ``text`` for a plain text.
        is_supervised: False for an answer of weight 0, which is read and not learnt.
        extra: what a chat template may read beside the content: see ``EXTRA_KEYS``; in a row's first turn also its ``tools``.
    """

    role: str
    content: str
    is_supervised: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_empty(self) -> bool:
        return not self.content.strip() and CALLS not in self.extra

    @property
    def is_call_alone(self) -> bool:
        return not self.content.strip() and CALLS in self.extra

    @property
    def text(self) -> str:
        """Returns the content, with thoughts and calls as JSON after it."""
        extra = {key: value for key, value in self.extra.items() if key in (CALLS, *REASONING)}
        return "\n".join(part for part in (self.content, json_of(extra) if extra else "") if part)


Turns = tuple[Turn, ...]


def tools_of(turns: Sequence[Turn]) -> list[Any] | None:
    """Returns the tools of a row; None if it has none."""
    return turns[0].extra.get(TOOLS) if turns else None


def with_tools(turns: Turns, tools: Sequence[Any] | None) -> Turns:
    """Returns the turns with these tools on the first."""
    return (replace(turns[0], extra={**turns[0].extra, TOOLS: tools}), *turns[1:]) if tools else turns


def require(cell: object, reason: str) -> None:
    """Raises NotUsable for a missing cell."""
    if is_missing(cell):
        raise NotUsable(reason)


def text_of(cell: object, reason: str = "") -> str:
    """Returns a cell as text, a truth value as JSON, and a missing cell as an empty text.

    Raises NotUsable for a list or an object, and, with a reason, for a missing cell.
    """
    if reason:
        require(cell, reason)
    if isinstance(cell, list | tuple | Mapping):
        raise NotUsable(NOT_TEXT)
    if is_missing(cell) and not isinstance(cell, str):  # never the words None and nan
        return ""
    return json_of(cell) if isinstance(cell, bool) else str(cell)


def json_of(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def dialogue_turns(text: str) -> Turns:
    """Returns the turns of a dialogue that is one text; the white space around their contents is left out.

    The text before the first marker, if there is any, belongs to the user.
    """
    marks = list(DIALOGUE_TURN.finditer(text))
    if not marks:
        return (Turn("user", text.strip()),)
    before = text[: marks[0].start()].strip()
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    turns = [Turn(ROLES[mark[1].casefold()], text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    return (*((Turn("user", before),) if before else ()), *turns)


def message_turns(messages: Sequence[Mapping[str, Any]]) -> Turns:
    """Reads a list of messages. A missing content is an empty turn, which a check reports.

    Raises NotUsable for an unknown role, and for a content that is not text or under a key that is not known.
    """
    key = next(key for key in MESSAGE_KEYS if all(key in message for message in messages))
    turns = []
    for message in messages:
        name = str(message[key]).strip().casefold()
        role = ROLES.get(name)
        if role is None:
            raise NotUsable(UNKNOWN_ROLE.format(clip(message[key], 40)))
        if name == CALL_ROLE:
            message = with_calls(message, content_key(message, key))
        extra = {name: message[name] for name in EXTRA_KEYS.get(role, ()) if message.get(name)}
        if lost := [name for name in LOST_KEYS if message.get(name) and name not in extra]:
            raise NotUsable(LOST_KEY.format(lost[0]))
        if CALLS in extra:
            extra[CALLS] = read_calls(extra[CALLS])
        if CALLS not in extra:
            require_content(message, key, role)
        content = content_of(message.get(content_key(message, key)))
        turns.append(Turn(role, content, role != "assistant" or is_supervised(message), extra))
    return tuple(turns)


def with_calls(message: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns the message of a role ``function_call`` with its content as its calls. Raises NotUsable if these are none."""
    calls = parse_cell(message.get(key))
    return {**message, key: "", CALLS: [calls] if isinstance(calls, Mapping) else calls}


def unread_keys(cell: object) -> set[str]:
    """Returns the keys with a value in a list of messages that are not read, such as names and dates."""
    messages: Sequence[Mapping[str, Any]] = parse_messages(cell)
    key = next(key for key, kind in MESSAGE_KEYS.items() if kind == message_kind(messages))
    unread = set()
    for message in messages:
        unread |= unread_parts(message, key, ROLES.get(str(message[key]).strip().casefold(), ""))
    return unread


def unread_parts(message: Mapping[str, Any], key: str, role: str) -> set[str]:
    """Returns the keys with a value of one message that are not read."""
    read = {key, content_key(message, key), *(WEIGHT_KEYS if role == "assistant" else ()), *EXTRA_KEYS.get(role, ())}
    return {name for name, value in message.items() if name not in read and value not in (None, "", [], {})}


def require_content(message: Mapping[str, Any], key: str, role: str) -> None:
    """Raises NotUsable for a message whose text is under a key that is not known, or under several of those that are."""
    name, others = content_key(message, key), unread_parts(message, key, role)
    if is_missing(message.get(name)) and others and (name not in message or others & {*CONTENT_NAMES}):
        raise NotUsable(NO_CONTENT.format(name, listed(sorted(others))))


def read_calls(cell: object) -> list[Any]:
    """Reads the calls of a message. Arguments that are JSON text, as OpenAI has them, become the objects that templates write.

    Raises NotUsable for calls without a name, and arguments that are no object.
    """
    calls = []
    for call in parsed_objects(cell, BAD_CALL):
        function = call.get("function", call)
        arguments = function.get("arguments") if isinstance(function, Mapping) else None
        arguments = parse_cell(arguments) if arguments else {}
        if not isinstance(function, Mapping) or not function.get("name") or not isinstance(arguments, Mapping):
            raise NotUsable(BAD_CALL)
        function = {**function, "arguments": arguments}
        calls.append({**call, "function": function} if "function" in call else function)
    return calls


def read_tools(cell: object) -> list[Any]:
    """Reads the tools of a row, as objects or as JSON; none are an empty list."""
    return [] if is_missing(cell) else parsed_objects(cell, NO_TOOLS)


def parsed_objects(cell: object, reason: str) -> list[Any]:
    """Returns a list of objects, given as such or as JSON. Raises NotUsable with this reason for anything else."""
    value = parse_cell(cell)
    if not is_list_of_objects(value):
        raise NotUsable(reason)
    return list(value)


def content_of(content: object) -> str:
    """Returns the text of a message, of its parts, or of an object as JSON. Raises NotUsable for parts that are not text."""
    parts: Sequence[Any] = content if isinstance(content, list | tuple) else [content]
    others = [part for part in parts if not is_text_part(part)]
    if not others:
        return "".join(part["text"] for part in parts)
    if isinstance(content, list | tuple) or (isinstance(content, Mapping) and "type" in content):
        raise NotUsable(f"{NOT_TEXT}: {part_words(others[0])}")
    return json_of(content) if isinstance(content, Mapping) else text_of(content)


def is_text_part(part: object) -> bool:
    """Tells whether a part of a content is text to say; Gemini marks a thought, which is none."""
    return isinstance(part, Mapping) and isinstance(part.get("text"), str) and not part.get("thought")


def part_words(part: object) -> str:
    """Describes a part of a content that is not text: by its type (OpenAI, Anthropic), or by its key (Gemini)."""
    if not isinstance(part, Mapping):
        return "a part that is no object"
    if part.get("type"):
        return f"a part of the type {clip(part['type'], 40)}"
    names = [name for name, value in part.items() if value is not None and name != "text"]
    return f"a part with the key {clip(names[0], 40)}" if names else "a part without text"


def is_supervised(message: Mapping[str, Any]) -> bool:
    """Tells whether a message's weight is 1, or it has none. Raises NotUsable for another weight."""
    weights = [message[key] for key in WEIGHT_KEYS if message.get(key) is not None]
    if any(weight not in (0, 1) for weight in weights):
        raise NotUsable(UNKNOWN_WEIGHT)
    return all(weights)
