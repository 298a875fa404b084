"""Detects the format of a language model's data (texts, prompts with answers, conversations) by column names and content."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from tunesmith.data.cells import first_present, listed
from tunesmith.data.column_names import plain_name
from tunesmith.data.columns import detect_columns, require_column
from tunesmith.data.profile import profile
from tunesmith.data.readers.json_rows import parse_json
from tunesmith.data.table import Table
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.sections import ColumnsSection

ChatKind = Literal["text", "prompt", "prompt_completion", "messages", "sharegpt", "alpaca", "labelled", "dialogue"]

PAIRS = (
    (("prompt", "completion"),),
    (
        ("prompt", "response"), ("prompt", "answer"), ("prompt", "output"), ("question", "answer"), ("question", "response"),
        ("query", "response"), ("query", "answer"), ("instruction", "response"),
        ("instruction", "completion"), ("instruction", "answer"), ("instructions", "response"), ("problem", "solution"),
        ("request", "response"), ("task", "solution"), ("user", "assistant"), ("human", "assistant"), ("context", "response"),
    ),
    (
        ("input", "output"), ("input", "target"), ("input", "response"), ("inputs", "targets"), ("source", "target"),
        ("src", "tgt"),
    ),
)  # fmt: skip
"""Usual names of prompt and answer, the most specific tier first; names of one tier are equally good."""
ALPACA = (("instruction", "input", "output"), ("instruction", "context", "response"), ("instruction", "input", "response"))
"""Instruction, its input (a cell may be empty), and the answer; the second triple is Dolly's."""
TASK, INSTANCES = "instruction", "instances"
"""Columns of self-instruct's seed tasks: an instruction and a list of {input, output}."""
CHOSEN_REJECTED = (
    ("chosen", "rejected"), ("chosen_response", "rejected_response"), ("response_chosen", "response_rejected"),
    ("chosen_answer", "rejected_answer"), ("preferred", "rejected"), ("preferred", "dispreferred"), ("accepted", "rejected"),
    ("preferred", "non_preferred"), ("preferred_output", "non_preferred_output"), ("better", "worse"), ("y_w", "y_l"),
    ("winner", "loser"), ("response_j", "response_k"),
)  # fmt: skip
"""Usual names of a better and a worse answer; the last are those of stack-exchange-paired."""
ASKED = ("prompt", "instruction", "question", "query", "input", "problem", "request", "context", "user", "conversation")
"""Usual names of the prompt beside such answers, the most specific first."""
MESSAGES = ("messages", "conversations")
"""Usual names of lists of messages: whole conversations, or prompts beside answers."""
TEXT = ("text", "content", "document", "story", "article", "body", "passage", "paragraph")
SYSTEM = ("system", "system_prompt", "system_message")
HISTORY = ("history",)
TOOLS = ("tools",)
TOOLS_BY_OTHER_NAMES = ("functions", "available_tools")
NOT_READ: Mapping[str, str] = {
    **dict.fromkeys((*TOOLS, *TOOLS_BY_OTHER_NAMES), "tools (a list of objects a row)"),
    **dict.fromkeys(SYSTEM, "system (a text a row)"),
    **dict.fromkeys(HISTORY, "history (a list of [prompt, answer] pairs, or of messages, a row)"),
}
"""Column of context beside the turns that is named in ``check`` if it is not read -> the column as which it can be read."""
MESSAGE_KEYS: Mapping[str, ChatKind] = {"role": "messages", "from": "sharegpt"}
"""The key of a message's role -> the kind of its list."""
CONTENT_KEYS: Mapping[str, str] = {"role": "content", "from": "value"}
"""The key of a message's role -> the usual key of its content."""
CONTENT_NAMES = ("content", "value", "text", "parts")
"""Keys of the content: OpenAI's, ShareGPT's, further ones beside either key of the role, and Gemini's."""
SHOWN_FORMATS = (
    "text; prompt and completion (or question and answer, ...); messages or conversations; instruction, input and output"
)
DIALOGUE_TURN = re.compile(r"(?:\A|\n\n)(Human|User|Assistant|System):(?=\s|\Z)")
"""What begins a turn in a dialogue that is one text, as Anthropic's hh-rlhf has them."""
SHARE_OF_DIALOGUES = 0.9
"""Share of a column's texts that are dialogues; a single answer may quote one."""
BETWEEN_OBJECTS = re.compile(r"\}\r?\n\s*\{")
"""The line end that NumPy prints between two objects; inside of their texts it prints an escape."""


@dataclass(frozen=True)
class ChatFormat:
    """The format of a language model's data.

    Attributes:
        columns: part -> column: ``text``, ``prompt``, ``completion``, ``messages``, ``instruction``, ``input``, ``instances``,
            ``label``; and the context of the turns: ``system``, ``history``, ``tools``.
        reason: why this format was chosen, for the user.
    """

    kind: ChatKind
    columns: Mapping[str, str]
    reason: str

    def sentence(self) -> str:
        """Describes the format: ``prompt completion rows of question + answer, by the usual names of prompt and answer``."""
        return f"{self.kind.replace('_', ' ')} rows of {' + '.join(self.columns.values())}, {self.reason}"


def detect_chat_format(table: Table, given: ColumnsSection, *, labels: bool = False, texts_only: bool = False) -> ChatFormat:
    """Detects the format of a table's rows, and the columns of context before their turns.

    Args:
        given: the columns that the recipe names, or counts from 1.
        labels: the answers are labels (``sft.labels``), so a label column beside a text is an answer.
        texts_only: only whole texts are usable (``task: pretraining``).
    """
    detected = detect_turns(table, given, labels=labels, texts_only=texts_only)
    used = {*detected.columns.values(), given.id, given.group, given.split}
    context = {} if detected.kind in ("text", "labelled") else context_columns(table, used)
    return replace(detected, columns={**detected.columns, **context})


def context_columns(table: Table, used: Collection[object]) -> dict[str, str]:
    """Finds the columns of system prompts, of earlier turns and of tools, as LLaMA-Factory's and OpenAI's files have them."""
    columns: dict[str, str] = {}
    for name, cells in table.columns.items():
        sample = first_present(cells)
        if name in used or not sample:
            continue
        if plain_name(name) in SYSTEM and all(isinstance(cell, str) for cell in sample):
            columns.setdefault("system", name)
        if plain_name(name) in HISTORY and all(isinstance(parse_messages(cell), list | tuple) for cell in sample):
            columns.setdefault("history", name)
        if plain_name(name) in TOOLS and all(is_list_of_objects(parse_cell(cell)) for cell in sample):
            columns.setdefault("tools", name)
    return columns


def detect_turns(table: Table, given: ColumnsSection, *, labels: bool, texts_only: bool) -> ChatFormat:
    """Detects the columns of the turns or texts."""
    requested = {}
    for part in ("prompt", "completion", "messages", "text", "label"):
        name = getattr(given, part)
        if name is not None and not isinstance(name, str):
            raise DataError.one(table.source, f"an answer is one column, and columns.{part} names several.", "Name one column.")
        if name is not None:
            requested[part] = require_column(table, name, part)
    if texts_only:
        return detect_texts(table, given, requested)
    if requested.keys() & {"prompt", "completion", "messages"} or ("text" in requested and not labels):
        return format_of_requested(table, requested)
    detected = detect_chosen(table) or detect_messages(table) or detect_instruction(table)
    if detected is None and not (labels and "label" in requested):
        detected = detect_pair(table)
    if detected is None and labels:
        return detect_labelled(table, given)
    detected = detected or detect_text(table)
    if detected is None:
        raise undecided(table, "no columns have these names and contents")
    return detected


def format_of_requested(table: Table, requested: Mapping[str, str]) -> ChatFormat:
    reason = "named in the recipe"
    if "messages" in requested:
        cells = table.columns[requested["messages"]]
        kind = "dialogue" if are_dialogues(cells) else column_kind(cells)
        if kind is None:
            where = f"{table.source}, column {requested['messages']!r}"
            message = "It holds no lists of messages ({role, content} or {from, value}, as JSON or as objects), and no dialogues."
            raise DataError.one(where, message, "Correct columns.messages.")
        return ChatFormat(kind, {"messages": requested["messages"]}, reason)
    if "text" in requested:
        return ChatFormat("text", {"text": requested["text"]}, reason)
    missing = {"prompt", "completion"} - requested.keys()
    if missing:
        message = f"columns names a {listed(requested.keys() & {'prompt', 'completion'})} and no {listed(missing)}."
        raise DataError.one(table.source, message, f"Columns: {listed(table.columns)}.")
    return ChatFormat("prompt_completion", {part: requested[part] for part in ("prompt", "completion")}, reason)


def detect_texts(table: Table, given: ColumnsSection, requested: Mapping[str, str]) -> ChatFormat:
    """Finds the column of whole texts: the recipe's, one with a usual name, else the one that reads like language."""
    if "text" in requested:
        return ChatFormat("text", {"text": requested["text"]}, "named in the recipe")
    conversation = detect_messages(table) or detect_instruction(table) or detect_pair(table)
    if conversation is not None:
        message = f"pretraining learns from plain texts, and these are {conversation.sentence()}."
        raise DataError.one(table.source, message, 'Use task: sft, or name the text column: "columns: {text: NAME}".')
    detected = detect_text(table)
    if detected is not None:
        return detected
    columns = detect_columns(table, "classification", ColumnsSection(id=given.id, group=given.group), need_label=False)
    return ChatFormat("text", {"text": columns.text}, columns.reasons["text"])


def detect_chosen(table: Table) -> ChatFormat | None:
    """Finds the better answers of preference data, which are the answers to learn: dialogues, or answers to a column of prompts.

    Raises DataError if answers begin with their prompt.
    """
    names = {plain_name(name): name for name in table.columns}
    pair = next(([names[name] for name in pair] for pair in CHOSEN_REJECTED if set(pair) <= names.keys()), None)
    if pair is None or not all(profile(table.columns[name]).is_worded or column_kind(table.columns[name]) for name in pair):
        return None
    chosen, rejected = pair
    reason = f"the better answers of pairs; {rejected!r} is not learnt"
    cells = first_present(table.columns[chosen])
    kind = "dialogue" if are_dialogues(cells) else column_kind(cells)
    prompt = next((names[name] for name in ASKED if name in names), None)
    if prompt is None and kind not in (None, "dialogue") and all(len(parse_messages(cell)) == 1 for cell in cells):
        prompt = next((names[name] for name in MESSAGES if name in names), None)
    if kind == "dialogue" or (kind and (prompt is None or any(len(parse_messages(cell)) > 1 for cell in cells))):
        return ChatFormat(kind, {"messages": chosen}, reason)
    if prompt is None:
        return None
    rows = zip(table.columns[prompt], table.columns[chosen], strict=True)
    texts = [(asked.strip(), answer.strip()) for asked, answer in rows if isinstance(asked, str) and isinstance(answer, str)]
    if texts and sum(answer.startswith(asked) for asked, answer in texts) >= 0.9 * len(texts):
        message = f"the answers in {chosen!r} begin with their prompt, and it would be learnt as part of the answer."
        raise DataError.one(table.source, message, f"Leave the prompt out of {chosen!r}.")
    beside = input_of(table, prompt)
    if beside is not None and kind is None:
        return ChatFormat("alpaca", {"instruction": prompt, "input": beside, "completion": chosen}, reason)
    return ChatFormat("prompt_completion", {"prompt": prompt, "completion": chosen}, reason)


def input_of(table: Table, instruction: str) -> str | None:
    """Returns the column of inputs that belong to a column of instructions, as in Alpaca's rows; None if there is none."""
    names = {plain_name(name): name for name in table.columns}
    beside = names.get("input")
    is_text = beside is not None and all(isinstance(cell, str) for cell in first_present(table.columns[beside]))
    return beside if plain_name(instruction) == TASK and is_text else None


def detect_messages(table: Table) -> ChatFormat | None:
    """Finds the column of message lists, unless prompts or answers are such lists.

    Raises DataError for several, or a pair beside one.
    """
    kinds = {name: kind for name, cells in table.columns.items() if (kind := column_kind(cells)) is not None}
    kinds = {name: kind for name, kind in kinds.items() if plain_name(name) not in HISTORY}
    pair = (detect_instruction(table) or detect_pair(table)) if kinds else None
    if not kinds or (pair is not None and kinds.keys() <= set(pair.columns.values())):
        return None
    if len(kinds) > 1 or pair is not None:
        others = "" if pair is None else f", and {listed(pair.columns.values())} are a question and its answer"
        raise undecided(table, f"{listed(kinds)} hold lists of messages{others}", '"columns: {messages: NAME}"')
    name, kind = next(iter(kinds.items()))
    key = next(key for key in MESSAGE_KEYS if MESSAGE_KEYS[key] == kind)
    message = next(cell for cell in map(parse_messages, table.columns[name]) if message_kind(cell) == kind)[0]
    return ChatFormat(kind, {"messages": name}, f"since {name!r} holds lists of {{{key}, {content_key(message, key)}}}")


def are_dialogues(cells: Sequence[object]) -> bool:
    """Tells whether a column holds dialogues that are one text each: nearly all begin with a turn and have an answer."""
    texts = [cell for cell in first_present(cells) if isinstance(cell, str)]
    written = [text for text in texts if DIALOGUE_TURN.match(text) and "Assistant" in DIALOGUE_TURN.findall(text)]
    return bool(texts) and len(written) >= SHARE_OF_DIALOGUES * len(texts)


def column_kind(cells: Sequence[object]) -> ChatKind | None:
    """Returns ``messages`` or ``sharegpt`` if most cells are lists of such messages (as objects or as JSON); None otherwise."""
    sample = first_present(cells)
    kinds = Counter(message_kind(parse_messages(cell)) for cell in sample)
    # A broken cell among them is a row that is left out with its reason, not another format.
    return next((kind for kind, count in kinds.items() if kind is not None and 2 * count > len(sample)), None)


def parse_messages(cell: object) -> Any:
    """Parses a cell as ``parse_cell`` does, and turns objects that hold messages into the list of them."""
    return as_messages(parse_cell(cell))


def as_messages(value: Any) -> Any:
    """Returns the list of messages that an object holds; any other value as it is.

    Such objects are ``{messages: [...]}`` without tools (a prompt of OpenAI's preference files), one message (LLaMA-Factory's
    answers), and ``{role: [...], content: [...]}``, as ``datasets`` stores lists of objects.
    """
    if isinstance(value, Mapping) and message_kind(value.get("messages")) and not value.get("tools"):
        return value["messages"]
    if not isinstance(value, Mapping) or not (value.keys() & MESSAGE_KEYS.keys() and value.keys() & {*CONTENT_NAMES}):
        return value
    if any(isinstance(value.get(key), str) for key in MESSAGE_KEYS):
        return [value]
    columns = list(value.values())
    if not all(isinstance(column, list | tuple) and len(column) == len(columns[0]) for column in columns):
        return value
    return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]


def parse_cell(cell: object) -> Any:
    """Parses a cell that is JSON text, or a list as Python and NumPy print it; returns any other cell as it is."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        return parse_json(cell)
    except json.JSONDecodeError:  # another notation than JSON
        pass
    except ValueError:
        return cell
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        return ast.literal_eval(BETWEEN_OBJECTS.sub("}, {", cell.strip()))
    return cell  # text that begins with a bracket


def message_kind(value: Any) -> ChatKind | None:
    """Returns the kind of one list of messages; None if it is none."""
    if not is_list_of_objects(value) or not value:
        return None
    return next((kind for key, kind in MESSAGE_KEYS.items() if all(key in message for message in value)), None)


def content_key(message: Mapping[str, Any], key: str) -> str:
    """Returns the key of a message's content: the usual one beside its role's key, unless only another one has a value."""
    names = [name for name in CONTENT_NAMES if message.get(name) is not None]
    return names[0] if len(names) == 1 else CONTENT_KEYS[key]


def is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)


def detect_instruction(table: Table) -> ChatFormat | None:
    """Detects self-instruct's seed tasks and Alpaca's rows."""
    names = {plain_name(name): name for name in table.columns}
    cells = table.columns[names[INSTANCES]] if TASK in names and INSTANCES in names else ()
    sample = [parse_messages(cell) for cell in first_present(cells)]
    are_lists = all(isinstance(value, list | tuple) for value in sample)
    if sample and are_lists and all(isinstance(item, Mapping) and "output" in item for value in sample for item in value):
        columns = {"instruction": names[TASK], "instances": names[INSTANCES]}
        return ChatFormat("alpaca", columns, f"since {names[INSTANCES]!r} holds lists of {{input, output}}: a seed task a row")
    for instruction, context, answer in ALPACA:
        if {instruction, context, answer} <= names.keys():
            columns = {"instruction": names[instruction], "input": names[context], "completion": names[answer]}
            return ChatFormat("alpaca", columns, "by the usual names of an instruction, its input and the answer")
    if {"instruction", "output"} <= names.keys():
        columns = {"instruction": names["instruction"], "completion": names["output"]}
        return ChatFormat("alpaca", columns, "by the usual names of an instruction and its answer")
    return None


def detect_pair(table: Table) -> ChatFormat | None:
    """Finds the columns of prompt and answer. Raises DataError if several pairs of names are equally good."""
    names = {}
    for name, cells in table.columns.items():
        sample = first_present(cells)
        # Turns are texts, numbers, objects or lists of messages: not lists of other things, and not all missing.
        if sample and not any(isinstance(cell, list | tuple) and message_kind(cell) is None for cell in sample):
            names[plain_name(name)] = name
    for tier in PAIRS:
        pairs = [(names[prompt], names[answer]) for prompt, answer in tier if prompt in names and answer in names]
        if len(pairs) > 1:
            shown = listed(f"{prompt} and {answer}" for prompt, answer in pairs)
            raise undecided(table, f"{shown} could each be question and answer", '"columns: {prompt: NAME, completion: NAME}"')
        if pairs:
            prompt, completion = pairs[0]
            reason = "by the usual names of prompt and answer"
            return ChatFormat("prompt_completion", {"prompt": prompt, "completion": completion}, reason)
    return None


def detect_text(table: Table) -> ChatFormat | None:
    """Finds the text column by a usual name, or takes the only column."""
    names = {plain_name(name): name for name in table.columns}
    for name in (names[plain] for plain in TEXT if plain in names):
        if profile(table.columns[name]).is_worded:
            return ChatFormat("text", {"text": name}, f"since it is called {name!r}")
    only = next(iter(table.columns))
    if len(table.columns) == 1 and profile(table.columns[only]).is_worded:
        return ChatFormat("text", {"text": only}, "since it is the only column")
    return None


def detect_labelled(table: Table, given: ColumnsSection) -> ChatFormat:
    """Finds a text column and a label column, as for a classifier."""
    section = ColumnsSection(text=given.text, label=given.label, id=given.id, group=given.group, split=given.split)
    columns = detect_columns(table, "classification", section)
    if columns.pair is not None or len(columns.label) != 1:
        message = "sft.labels needs one column of texts and one of labels."
        remedy = 'Name them: "columns: {text: NAME, label: NAME}", or {prompt: NAME, completion: NAME}.'
        raise DataError.one(table.source, message, remedy)
    reason = f"since sft.labels is given (text: {columns.reasons['text']}; label: {columns.reasons['label']})"
    return ChatFormat("labelled", {"text": columns.text, "label": columns.label[0]}, reason)


def undecided(table: Table, what: str, lines: str = '"columns: {prompt: NAME, completion: NAME}" or {text: NAME}') -> DataError:
    """Asks the user for the columns, with examples of the recipe line."""
    columns = listed(f"{name} ({profile(cells).words()})" for name, cells in table.columns.items())
    message = f"The format of the rows cannot be detected: {what}. Columns: {columns}. Known formats: {SHOWN_FORMATS}."
    return DataError([Problem("data", table.source, message, f"Name them in the recipe: {lines}.")])
