"""What rows of a language model's data are: texts, prompts with answers, conversations; by names and content, not by order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from tunesmith.data.cells import is_missing, listed
from tunesmith.data.column_names import plain_name
from tunesmith.data.columns import detect_columns, find_column
from tunesmith.data.profile import profile
from tunesmith.data.readers.json_rows import parse_json
from tunesmith.data.table import Table
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.sections import ColumnsSection

Form = Literal["text", "prompt_completion", "messages", "sharegpt", "alpaca", "labelled"]

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
"""Names of what is asked and what is answered, most telling first; names of one tier are equally good."""
ALPACA = (("instruction", "input", "output"), ("instruction", "context", "response"), ("instruction", "input", "response"))
"""What is asked, what it is asked of (a cell may be empty), and the answer; the second is Dolly's."""
TASK, INSTANCES = "instruction", "instances"
"""Self-instruct's seed tasks: an instruction and a list of {input, output}."""
TEXT = ("text", "content", "document", "story", "article", "body", "passage", "paragraph")
MESSAGE_KEYS: Mapping[str, Form] = MappingProxyType({"role": "messages", "from": "sharegpt"})
"""The key of a message that says who speaks -> the form."""
CONTENT_KEYS = MappingProxyType({"role": "content", "from": "value"})
SHOWN_FORMS = (
    "text; prompt and completion (or question and answer, ...); messages or conversations; instruction, input and output"
)
# Columns are judged by so many of their first cells that are not empty.
LOOKED_AT = 50


@dataclass(frozen=True)
class Recognised:
    """What rows are.

    Attributes:
        columns: part -> column: ``text``, ``prompt``, ``completion``, ``messages``, ``instruction``, ``input``, ``instances``,
            ``label``.
        reason: why, for the user.
    """

    form: Form
    columns: Mapping[str, str]
    reason: str

    def sentence(self) -> str:
        """``prompt completion rows of question + answer, by the usual names of what is asked and what is answered``."""
        return f"{self.form.replace('_', ' ')} rows of {' + '.join(self.columns.values())}, {self.reason}"


def recognise(table: Table, given: ColumnsSection, *, labels: bool = False, texts_only: bool = False) -> Recognised:
    """What a table's rows are.

    Args:
        given: what the recipe says of columns; a column is named, or counted from 1.
        labels: the answers are labels (``sft.labels``), so a column of labels beside a text is an answer.
        texts_only: whole texts are wanted (``task: pretraining``).

    Raises:
        DataError: a named column is missing, several forms fit equally well, or none does; the message shows the columns.
    """
    said = given_columns(table, given)
    if texts_only:
        return recognise_texts(table, given, said)
    if said.keys() & {"prompt", "completion", "messages"} or ("text" in said and not labels):
        return from_given(table, said)
    found = by_messages(table) or by_instruction(table)
    if found is None and labels and "label" in said:
        return labelled(table, given)
    found = found or by_pair(table)
    if found is None and labels:
        return labelled(table, given)
    found = found or by_text(table)
    if found is None:
        raise undecided(table, "no columns of these names and contents are among them")
    return found


def given_columns(table: Table, given: ColumnsSection) -> dict[str, str]:
    """Part -> column, as the recipe says. Raises DataError for one that is not there."""
    said = {}
    for part in ("prompt", "completion", "messages", "text", "label"):
        wanted = getattr(given, part)
        if wanted is None:
            continue
        if not isinstance(wanted, str):
            message = "an answer is one column, and columns.label names several."
            raise DataError.one(table.source, message, "Name one column.")
        name = find_column(table, wanted)
        if name is None:
            message = f"There is no column {wanted!r} for the {part}."
            raise DataError.one(table.source, message, f"Columns: {listed(table.columns)}.")
        said[part] = name
    return said


def from_given(table: Table, said: Mapping[str, str]) -> Recognised:
    """The form of columns that the recipe names."""
    reason = "named in the recipe"
    if "messages" in said:
        form = message_form(table.columns[said["messages"]])
        if form is None:
            where = f"{table.source}, column {said['messages']!r}"
            message = "It holds no lists of messages: {role, content} or {from, value}, as JSON or as objects."
            raise DataError.one(where, message, "Correct columns.messages.")
        return Recognised(form, {"messages": said["messages"]}, reason)
    if "text" in said:
        return Recognised("text", {"text": said["text"]}, reason)
    missing = {"prompt", "completion"} - said.keys()
    if missing:
        message = f"columns names a {listed(said.keys() & {'prompt', 'completion'})} and no {listed(missing)}."
        raise DataError.one(table.source, message, f"Columns: {listed(table.columns)}.")
    return Recognised("prompt_completion", {part: said[part] for part in ("prompt", "completion")}, reason)


def recognise_texts(table: Table, given: ColumnsSection, said: Mapping[str, str]) -> Recognised:
    """The column of whole texts: the recipe's, one of a usual name, else the one that reads like language."""
    if "text" in said:
        return Recognised("text", {"text": said["text"]}, "named in the recipe")
    conversation = by_messages(table) or by_instruction(table) or by_pair(table)
    if conversation is not None:
        message = f"pretraining learns from plain texts, and these are {conversation.sentence()}."
        remedy = 'Use task: sft, or say which column is a text: "columns: {text: NAME}".'
        raise DataError.one(table.source, message, remedy)
    found = by_text(table)
    if found is not None:
        return found
    columns = detect_columns(table, "classification", ColumnsSection(id=given.id, group=given.group), need_label=False)
    return Recognised("text", {"text": columns.text}, columns.reasons["text"])


def by_messages(table: Table) -> Recognised | None:
    """The column that holds lists of messages, whatever its name. None where there is none, or where prompts are such lists.

    Raises:
        DataError: several columns do, or a prompt and a completion stand beside it.
    """
    forms = {name: form for name, cells in table.columns.items() if (form := message_form(cells)) is not None}
    pair = by_pair(table) if forms else None
    if not forms or (pair is not None and forms.keys() <= set(pair.columns.values())):
        return None
    if len(forms) > 1 or pair is not None:
        others = "" if pair is None else f", and {listed(pair.columns.values())} are a question and its answer"
        raise undecided(table, f"{listed(forms)} hold lists of messages{others}", '"columns: {messages: NAME}"')
    name, form = next(iter(forms.items()))
    keys = "{role, content}" if form == "messages" else "{from, value}"
    return Recognised(form, {"messages": name}, f"since {name!r} holds lists of {keys}")


def message_form(cells: Sequence[Any]) -> Form | None:
    """``messages`` or ``sharegpt`` where the cells are lists of such messages (as objects or as JSON); None otherwise."""
    looked = [cell for cell in cells if not is_missing(cell)][:LOOKED_AT]
    forms = Counter(form_of(messages_in(cell)) for cell in looked)
    # A broken cell among them is a row that is left out with its reason, not another form.
    return next((form for form, count in forms.items() if form is not None and 2 * count > len(looked)), None)


def messages_in(cell: Any) -> Any:
    """The list that a cell holds, parsed where it is JSON text; the cell itself where it is neither."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        return parse_json(cell)
    except ValueError:  # text that begins with a bracket
        return cell


def form_of(value: Any) -> Form | None:
    """The form of one list of messages."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(message, Mapping) for message in value):
        return None
    return next((form for key, form in MESSAGE_KEYS.items() if all(key in message for message in value)), None)


def by_instruction(table: Table) -> Recognised | None:
    """Seed tasks and Alpaca's rows."""
    names = {plain_name(name): name for name in table.columns}
    if TASK in names and INSTANCES in names and holds_instances(table.columns[names[INSTANCES]]):
        columns = {"instruction": names[TASK], "instances": names[INSTANCES]}
        return Recognised("alpaca", columns, f"since {names[INSTANCES]!r} holds lists of {{input, output}}: a seed task a row")
    for instruction, given, answer in ALPACA:
        if {instruction, given, answer} <= names.keys():
            columns = {"instruction": names[instruction], "input": names[given], "completion": names[answer]}
            return Recognised("alpaca", columns, "by the usual names of an instruction, its input and the answer")
    if {"instruction", "output"} <= names.keys():
        columns = {"instruction": names["instruction"], "completion": names["output"]}
        return Recognised("alpaca", columns, "by the usual names of an instruction and its answer")
    return None


def holds_instances(cells: Sequence[Any]) -> bool:
    looked = [messages_in(cell) for cell in cells if not is_missing(cell)][:LOOKED_AT]
    return bool(looked) and all(
        isinstance(value, list | tuple) and all(isinstance(item, Mapping) and "output" in item for item in value)
        for value in looked
    )


def by_pair(table: Table) -> Recognised | None:
    """The columns of what is asked and what is answered.

    Raises:
        DataError: several pairs of equally good names are among the columns.
    """
    names = {plain_name(name): name for name in table.columns if can_be_said(table.columns[name])}
    for tier in PAIRS:
        found = [(names[asked], names[answered]) for asked, answered in tier if asked in names and answered in names]
        if len(found) > 1:
            pairs = listed(f"{asked} and {answered}" for asked, answered in found)
            raise undecided(table, f"{pairs} could each be question and answer", '"columns: {prompt: NAME, completion: NAME}"')
        if found:
            prompt, completion = found[0]
            reason = "by the usual names of what is asked and what is answered"
            return Recognised("prompt_completion", {"prompt": prompt, "completion": completion}, reason)
    return None


def can_be_said(cells: Sequence[Any]) -> bool:
    """Texts, numbers or lists of messages: not lists of other things, and not nothing at all."""
    looked = [cell for cell in cells if not is_missing(cell)][:LOOKED_AT]
    return bool(looked) and not any(isinstance(cell, list | tuple | Mapping) and form_of(cell) is None for cell in looked)


def by_text(table: Table) -> Recognised | None:
    """The column that a usual name says is a text, or the only one there is."""
    names = {plain_name(name): name for name in table.columns}
    for name in (names[plain] for plain in TEXT if plain in names):
        if reads_as_text(table.columns[name]):
            return Recognised("text", {"text": name}, f"since it is called {name!r}")
    only = next(iter(table.columns))
    if len(table.columns) == 1 and reads_as_text(table.columns[only]):
        return Recognised("text", {"text": only}, "since it is the only column")
    return None


def reads_as_text(cells: Sequence[Any]) -> bool:
    found = profile(cells)
    return found.n > 0 and found.number_share < 0.5 and found.list_share == 0


def labelled(table: Table, given: ColumnsSection) -> Recognised:
    """A text and its label, found as for a classifier."""
    wanted = ColumnsSection(text=given.text, label=given.label, id=given.id, group=given.group, split=given.split)
    columns = detect_columns(table, "classification", wanted)
    if columns.pair is not None or len(columns.label) != 1:
        message = "sft.labels needs one column of texts and one of labels."
        remedy = 'Say which: "columns: {text: NAME, label: NAME}", or {prompt: NAME, completion: NAME}.'
        raise DataError.one(table.source, message, remedy)
    reason = f"since sft.labels is given (text: {columns.reasons['text']}; label: {columns.reasons['label']})"
    return Recognised("labelled", {"text": columns.text, "label": columns.label[0]}, reason)


def undecided(table: Table, what: str, lines: str = '"columns: {prompt: NAME, completion: NAME}" or {text: NAME}') -> DataError:
    """The question to the user, with what can be said."""
    columns = listed(f"{name} ({profile(cells).words()})" for name, cells in table.columns.items())
    message = f"What the rows are cannot be seen: {what}. Columns: {columns}. Known forms: {SHOWN_FORMS}."
    return DataError([Problem("data", table.source, message, f"Say which is which: {lines}.")])
