"""Implements ``init`` for rows without labels: detects the task by their format and drafts a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tunesmith.data.chat.formats import ChatFormat, detect_chat_format
from tunesmith.data.pairs.formats import MEANING, PairFormat, detect_pair_format
from tunesmith.data.profile import profile
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.draft import MINILM, draft_header, entry, stem
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.report.numbers import plural

Format = TypeVar("Format", ChatFormat, PairFormat)
MIN_DISTINCT_SHARE = 0.1
"""Below this ratio of distinct answers to rows, answers are taken as class labels."""
TEST_SHARE = 0.1
POCKET = ("builtin:pocket", "2.2 million parameters, to try the recipe in seconds; name your own: a hub id, or a folder")
SEARCH = "For search rather than answers, write task: embedding and model builtin:minilm; tunesmith losses lists the losses."
MASKED = "To adapt a classifier's base model, name an encoder such as builtin:minilm, which is trained on masked tokens."


@dataclass(frozen=True)
class Unlabelled:
    """The task of rows without labels.

    Attributes:
        model: name and reason.
        notes: alternatives, as comments of the recipe.
    """

    task: str
    reason: str
    model: tuple[str, str]
    notes: tuple[str, ...] = ()


def detect_unlabelled(table: Table) -> Unlabelled | None:
    """Detects the task of rows without labels; None if they are labelled, or their format is ambiguous."""
    chat = detected(partial(detect_chat_format, table, ColumnsSection()))
    if chat is not None and chat.kind == "text" and len(table.columns) == 1:
        return Unlabelled("pretraining", chat.sentence(), POCKET, (MASKED,))
    if chat is not None and chat.kind not in ("text", "prompt_completion"):
        return Unlabelled("sft", chat.sentence(), POCKET)
    if chat is not None and chat.kind == "prompt_completion" and is_free_text(table, chat.columns["completion"]):
        return Unlabelled("sft", chat.sentence(), POCKET, (SEARCH,))
    pair = detected(partial(detect_pair_format, table))
    if pair is not None and pair.kind in ("triplet", "tuple", "positive_pair") and is_free_text(table, pair.texts[1]):
        return Unlabelled("embedding", f"{MEANING[pair.kind]}: {' + '.join(pair.texts)}, {pair.reason}", MINILM)
    return None


def detected(detect: Callable[[], Format]) -> Format | None:
    """Returns the detected format; None if no format, or several, fit."""
    try:
        return detect()
    except DataError:
        return None


def is_free_text(table: Table, column: str) -> bool:
    """Tells whether a column's cells are mostly distinct texts, not class labels."""
    cells = table.columns[column]
    return profile(cells).distinct >= MIN_DISTINCT_SHARE * len(cells)


def unlabelled_recipe(unlabelled: Unlabelled, table: Table, split_sources: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Drafts a commented recipe, and describes the rows in lines for the user.

    Args:
        split_sources: split -> source or share, ``train`` at least.
    """
    lines = [
        *draft_header(str(split_sources["train"])),
        entry("", "task", unlabelled.task, unlabelled.reason),
        *(f"# {note}" for note in unlabelled.notes),
    ]
    lines += ["model:", entry("  ", "name", *unlabelled.model), "data:"]
    for split, source in split_sources.items():
        is_share = source == TEST_SHARE and split == "test"
        reason = "a fraction for the verdict, not used in training and selection" if is_share else ""
        lines.append(entry("  ", split, source, plural(len(table), "row") if split == "train" else reason))
    reason = "trains few parameters and keeps the base model unchanged: for models that hardly fit"
    lines += [
        "# adapter:",
        entry("  # ", "method", "lora", reason),
        entry("", "output", f"runs/{stem(str(split_sources['train']))}", ""),
    ]
    return "\n".join(lines) + "\n", [f"task: {unlabelled.task}, since they are {unlabelled.reason}"]
