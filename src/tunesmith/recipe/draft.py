"""Formats a drafted recipe as commented YAML: every line that is not a default has a comment with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

from tunesmith.recipe.source import parse
from tunesmith.recipe.tasks import TASKS

# A reason follows its line up to this width; a longer one is written above the line.
WIDTH, COMMENT_COLUMN = 110, 36
MAX_CHOICES = 12
SEED = "of the split, the row order and new weights"
MINILM = ("builtin:minilm", "22.7 million parameters, needs no network; or a hub id, or a folder")


@dataclass(frozen=True)
class Question:
    """A choice between columns that the user has to make.

    Attributes:
        part: the key under ``data.columns``.
        names: the candidate columns.
        is_pair: the two candidates may also be used together, as a pair of texts.
    """

    part: str
    names: tuple[str, ...]
    message: str
    is_pair: bool = False


@dataclass(frozen=True)
class Draft:
    """The settings of a recipe that are not defaults, with their reasons.

    Attributes:
        non_latin: many letters of the texts are not Latin.
        data: train, test and validation as given (a source or a fraction).
        columns: part -> its column or columns.
        other_texts: columns that also read like language and have no role.
        imbalanced: one class has many times the rows of another.
    """

    source: str
    task: str
    task_reason: str
    non_latin: bool
    data: Mapping[str, Any]
    data_reasons: Mapping[str, str]
    separator: str | None
    separator_reason: str
    columns: Mapping[str, tuple[str, ...]]
    other_texts: tuple[str, ...]
    column_reasons: Mapping[str, str]
    questions: tuple[Question, ...]
    imbalanced: bool


def yaml_text(draft: Draft) -> str:
    """Formats the recipe. The text loads without changes, unless a question is open.

    Lines that begin with ``#KEY:`` (no space) are settings to choose: without the ``#`` they are valid where they stand.
    """
    lines = [*draft_header(draft.source), entry("", "task", draft.task, draft.task_reason), "model:"]
    if draft.non_latin:
        advice = "This model was trained on English only, and many letters in the data are not Latin: use a multilingual model,"
        lines += [f"  # {advice}", "  # for example intfloat/multilingual-e5-small."]
    lines += [entry("  ", "name", *MINILM), *data_lines(draft), "train:", entry("  ", "seed", 0, SEED)]
    if draft.imbalanced and TASKS[draft.task].has_key(("train", "class_weights")):
        reason = "the classes are imbalanced: gives rare classes the same total weight"
        lines.append(entry("  #", "class_weights", "balanced", reason))
    reason = "trains with three seeds: the intervals then also cover the variance between seeds"
    lines += [entry("  #", "n_seeds", 3, reason), entry("", "output", f"runs/{stem(draft.source)}", "")]
    return "\n".join(lines) + "\n"


def draft_header(source: str) -> tuple[str, ...]:
    return (
        f"# Drafted by: tunesmith init {one_line(source)}",
        "# Keys that are not listed have their defaults. A line such as #key: value (no space after #) is a suggestion:",
        "# remove the # to use it.",
    )


def data_lines(draft: Draft) -> Iterator[str]:
    yield "data:"
    for split in ("train", "validation", "test"):
        if split in draft.data:
            yield entry("  ", split, draft.data[split], draft.data_reasons.get(split, ""))
    if draft.separator is not None:
        yield entry("  ", "label_separator", draft.separator, draft.separator_reason)
    if not draft.columns:  # a key without a value is an empty section, which is an error
        yield from choice_lines(draft.questions)
        return
    yield "  columns:"
    for part, names in draft.columns.items():
        value = names[0] if len(names) == 1 else list(names)
        yield entry("    ", part, value, draft.column_reasons.get(part, ""))
    for name in draft.other_texts:
        yield entry("    #", "pair", name, "also reads like text, and is not used: to use both texts of a row")
    for question in draft.questions:
        yield f"    # Decide: {one_line(question.message)}"
        for name in question.names:
            yield f"    #{question.part}: {scalar(name)}"
        if question.is_pair:
            yield entry("    #", "pair", question.names[1], f"beside text: {question.names[0]}, to use both columns as a pair")


def choice_lines(questions: Sequence[Question]) -> Iterator[str]:
    """Formats a line ``#columns: {...}`` for each combination of the candidates, the first ones only where there are many."""
    for question in questions:
        yield f"  # Decide: {one_line(question.message)}"
    for names in islice(product(*(question.names for question in questions)), MAX_CHOICES):
        chosen = [f"{question.part}: {scalar(name, in_map=True)}" for question, name in zip(questions, names, strict=True)]
        pairs = [
            f", pair: {scalar(question.names[1], in_map=True)}"
            for question in questions
            if question.is_pair and question.names[0] in names
        ]
        yield f"  #columns: {{{', '.join(chosen)}}}"
        for pair in pairs:
            yield f"  #columns: {{{', '.join(chosen)}{pair}}}"


def entry(indent: str, key: str, value: object, reason: str) -> str:
    """Formats ``key: value  # reason``; a long reason goes on the line above."""
    line = f"{indent}{key}: {scalar(value)}"
    if not reason:
        return line
    commented = f"{line.ljust(COMMENT_COLUMN)} # {one_line(reason)}"
    return commented if len(commented) <= WIDTH else f"{indent.removesuffix('#')}# {one_line(reason)}\n{line}"


def scalar(value: object, *, in_map: bool = False) -> str:
    """Formats a value as YAML on one line; quotes text that YAML would read as something else there.

    Args:
        in_map: the value stands in a map of one line, ``{key: value}``, where brackets, commas and a last ``?`` mean something.
    """
    if isinstance(value, list):
        return "[" + ", ".join(quoted(item) for item in value) + "]"
    if not isinstance(value, str):
        return str(value)
    text = f"{{key: {value}}}" if in_map else f"key: {value}"
    is_plain = bool(value) and value == one_line(value) and parse(text).value == {"key": value}
    return value if is_plain else quoted(value)


def quoted(text: str) -> str:
    """Quotes a text with double quotes and escapes special characters."""

    def escape(letter: str) -> str:
        if letter in '"\\':
            return "\\" + letter
        return letter if letter.isprintable() else f"\\U{ord(letter):08x}"

    return '"' + "".join(map(escape, text)) + '"'


def one_line(text: str) -> str:
    """Removes line breaks and other characters that would end a comment."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def stem(source: str) -> str:
    """Returns the file name without folders and suffixes: ``tickets`` for ``data/tickets.csv.gz``."""
    name = Path(source.rpartition(":")[2]).name
    return name.split(".")[0] or "run"
