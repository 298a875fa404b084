"""``init`` for rows without labels: conversations, answers, plain texts, texts that belong together; and their recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.chat.formats import Recognised, recognise
from tunesmith.data.pairs.formats import MEANING, Shape, detect_shape
from tunesmith.data.profile import profile
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.draft import MINILM, draft_header, entry, stem
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.report.numbers import plural

FEWEST_DIFFERENT = 0.1
"""Answers that are fewer different ones than this share of the rows are names of classes."""
TEST_SHARE = 0.1
POCKET = ("builtin:pocket", "2.2 million parameters, to try the recipe in seconds; name your own: a hub id, or a folder")
SEARCH = "For search rather than answers, write task: embedding and model builtin:minilm; tunesmith losses names the losses."
MASKED = "An encoder learns masked tokens, such as builtin:minilm for classifiers to come."


@dataclass(frozen=True)
class Unlabelled:
    """What rows without labels are for.

    Attributes:
        model: name and reason.
        notes: what else they could be for, as comments of the recipe.
    """

    task: str
    reason: str
    model: tuple[str, str]
    notes: tuple[str, ...] = ()


def unlabelled_rows(table: Table) -> Unlabelled | None:
    """What the rows are for; None where they are labelled, or it cannot be known."""
    written = found_by(recognise_rows, table)
    if isinstance(written, Recognised) and written.form == "text" and len(table.columns) == 1:
        return Unlabelled("pretraining", written.sentence(), POCKET, (MASKED,))
    if isinstance(written, Recognised) and written.form not in ("text", "prompt_completion"):
        return Unlabelled("sft", written.sentence(), POCKET)
    if isinstance(written, Recognised) and written.form == "prompt_completion" and differ(table, written.columns["completion"]):
        return Unlabelled("sft", written.sentence(), POCKET, (SEARCH,))
    shape = found_by(detect_shape, table)
    if isinstance(shape, Shape) and shape.kind in ("triplet", "tuple", "positive_pair") and differ(table, shape.texts[1]):
        parts = " + ".join(shape.texts)
        return Unlabelled("embedding", f"{MEANING[shape.kind]}: {parts}, {shape.reason}", MINILM)
    return None


def recognise_rows(table: Table) -> Recognised:
    return recognise(table, ColumnsSection())


def found_by(look: Callable[[Table], Recognised | Shape], table: Table) -> Recognised | Shape | None:
    """What it finds; None where it says that nothing, or several things, fit."""
    try:
        return look(table)
    except DataError:
        return None


def differ(table: Table, column: str) -> bool:
    """Whether a column's cells are texts of their own, and no classes."""
    cells: Sequence[Any] = table.columns[column]
    return profile(cells).distinct >= FEWEST_DIFFERENT * len(cells)


def unlabelled_recipe(found: Unlabelled, table: Table, given: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A commented recipe, and what the rows were taken for, as lines for the user.

    Args:
        given: split -> source or share, ``train`` at least.
    """
    lines = [
        *draft_header(str(given["train"])),
        entry("", "task", found.task, found.reason),
        *(f"# {note}" for note in found.notes),
    ]
    lines += ["model:", entry("  ", "name", *found.model), "data:"]
    for split, source in given.items():
        is_share = source == TEST_SHARE and split == "test"
        reason = "a share that is kept out of everything until the verdict" if is_share else ""
        lines.append(entry("  ", split, source, plural(len(table), "row") if split == "train" else reason))
    less = "trains little and keeps the base as it is: for models that hardly fit"
    lines += ["# adapter:", entry("  # ", "method", "lora", less), entry("", "output", f"runs/{stem(str(given['train']))}", "")]
    return "\n".join(lines) + "\n", [f"task: {found.task}, since they are {found.reason}"]
