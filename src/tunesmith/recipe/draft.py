"""A drafted recipe as commented YAML: every line that is not a default has its reason beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.recipe.source import parse
from tunesmith.recipe.tasks import TASKS

# Reasons stand behind their line up to this width, and above it beyond.
WIDTH, COMMENT_COLUMN = 110, 36
MINILM = ("builtin:minilm", "22.7 million parameters, needs no network; or a hub id, or a folder")


@dataclass(frozen=True)
class Question:
    """Something only the user can decide.

    Attributes:
        part: the key under ``data.columns``.
        names: the columns to choose from.
    """

    part: str
    names: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Draft:
    """The settings of a recipe that are not defaults, with their reasons.

    Attributes:
        foreign: the texts are not written in Latin letters.
        data: train, test and validation as given (a source or a share).
        columns: part -> the column or columns that play it.
        epochs: None for the default.
        uneven: one class has many times the rows of another.
    """

    source: str
    task: str
    task_reason: str
    foreign: bool
    data: Mapping[str, Any]
    data_reasons: Mapping[str, str]
    separator: str | None
    separator_reason: str
    columns: Mapping[str, tuple[str, ...]]
    column_reasons: Mapping[str, str]
    questions: tuple[Question, ...]
    epochs: int | None
    epochs_reason: str
    uneven: bool


def yaml_text(draft: Draft) -> str:
    """The recipe; it can be loaded as it stands, unless a question is open."""
    return (
        "\n".join(
            [*head(draft), *model(draft), *data(draft), *train(draft), entry("", "output", f"runs/{stem(draft.source)}", "")]
        )
        + "\n"
    )


def drafted_by(source: str) -> tuple[str, str]:
    """The first lines of every draft."""
    return (
        f"# Drafted by: tunesmith init {one_line(source)}",
        "# What is not named here has its default. Lines that begin with # are suggestions: remove the # to use one.",
    )


def head(draft: Draft) -> Iterator[str]:
    yield from drafted_by(draft.source)
    yield entry("", "task", draft.task, draft.task_reason)


def model(draft: Draft) -> Iterator[str]:
    yield "model:"
    if draft.foreign:
        yield "  # It has learnt English only, and many letters here are not Latin: a multilingual model will do better."
        yield "  # name: intfloat/multilingual-e5-small"
    yield entry("  ", "name", *MINILM)


def data(draft: Draft) -> Iterator[str]:
    yield "data:"
    for split in ("train", "validation", "test"):
        if split in draft.data:
            yield entry("  ", split, draft.data[split], draft.data_reasons.get(split, ""))
    if draft.separator is not None:
        yield entry("  ", "label_separator", draft.separator, draft.separator_reason)
    # A key without a value would be an empty section, which is an error.
    yield "  columns:" if draft.columns else "  # columns:"
    for part, names in draft.columns.items():
        value = names[0] if len(names) == 1 else list(names)
        yield entry("    ", part, value, draft.column_reasons.get(part, ""))
    for question in draft.questions:
        yield f"    # Decide: {one_line(question.message)}"
        for name in question.names:
            yield f"    # {question.part}: {scalar(name)}"


def train(draft: Draft) -> Iterator[str]:
    yield "train:" if draft.epochs else "# train:"
    if draft.epochs:
        yield entry("  ", "num_train_epochs", draft.epochs, draft.epochs_reason)
    if draft.uneven and TASKS[draft.task].has_key(("train", "class_weights")):
        yield entry("  # ", "class_weights", "balanced", "the classes are uneven: this makes the rare ones count as much")
    yield entry("  # ", "n_seeds", 3, "trains three times: the interval then covers luck in training, too")


def entry(indent: str, key: str, value: Any, reason: str) -> str:
    """``key: value  # reason``; a long reason stands on the line above."""
    line = f"{indent}{key}: {scalar(value)}"
    if not reason:
        return line
    behind = f"{line.ljust(COMMENT_COLUMN)} # {one_line(reason)}"
    if len(behind) <= WIDTH:
        return behind
    margin = indent if not indent.endswith("# ") else indent.removesuffix("# ")
    return f"{margin}# {one_line(reason)}\n{line}"


def scalar(value: Any) -> str:
    """The value as YAML on one line: plain where that means the same, else in quotes."""
    if isinstance(value, list):
        return "[" + ", ".join(quoted(item) for item in value) + "]"
    if not isinstance(value, str):
        return str(value)
    is_plain = bool(value) and value == one_line(value) and parse(f"key: {value}").value == {"key": value}
    return value if is_plain else quoted(value)


def quoted(text: str) -> str:
    """The text in double quotes, with escapes for what YAML does not take as it is."""
    return '"' + "".join(escaped(letter) for letter in text) + '"'


def escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def one_line(text: str) -> str:
    """The text without line breaks and other characters that would end a comment."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def stem(source: str) -> str:
    """The name without folders and endings: ``tickets`` of ``data/tickets.csv.gz``."""
    name = Path(source.rpartition(":")[2]).name
    return name.split(".")[0] or "run"
