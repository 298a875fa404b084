"""``init`` for a language model's data: rows that are conversations, answers to prompts or plain texts, and their recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.data.conversation_forms import Recognised, recognise
from tunesmith.data.profile import profile
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.draft import drafted_by, entry, stem
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.report.numbers import plural

FEWEST_DIFFERENT = 0.1
"""Answers that are fewer different ones than this share of the rows are names of classes."""
ENOUGH_FOR_TEST, TEST_SHARE = 200, 0.1


def language_form(table: Table) -> Recognised | None:
    """What the rows are to a language model; None where they are labelled texts, or nothing of the kind."""
    try:
        found = recognise(table, ColumnsSection())
    except DataError:
        return None
    if found.form == "text":
        return found if len(table.columns) == 1 else None
    return None if found.form == "prompt_completion" and answers_are_classes(table, found) else found


def answers_are_classes(table: Table, found: Recognised) -> bool:
    cells = table.columns[found.columns["completion"]]
    return profile(cells).distinct < FEWEST_DIFFERENT * len(cells)


def language_recipe(found: Recognised, table: Table, given: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A commented recipe, and what was recognised, as lines for the user.

    Args:
        given: split -> source, ``train`` at least.
    """
    task = "pretraining" if found.form == "text" else "sft"
    sources = dict(given)
    if "test" not in sources and len(table) >= ENOUGH_FOR_TEST:
        sources["test"] = TEST_SHARE
    lines = [*drafted_by(sources["train"]), entry("", "task", task, found.sentence()), *model_lines(task), "data:"]
    for split, source in sources.items():
        is_share = source == TEST_SHARE and split == "test"
        reason = "a share that is kept out of everything until the verdict" if is_share else ""
        lines.append(entry("  ", split, source, plural(len(table), "row") if split == "train" else reason))
    lines += [
        "# adapter:",
        entry("  # ", "method", "lora", "trains little and keeps the base as it is: for models that hardly fit"),
    ]
    lines.append(entry("", "output", f"runs/{stem(str(sources['train']))}", ""))
    told = [
        f"{table.source}: {plural(len(table), 'row')}, {plural(len(table.columns), 'column')}",
        f"task: {task}, {found.sentence()}",
    ]
    if "test" not in sources:
        told.append("note: the verdict will be given on validation, unless you add a test file (data.test).")
    return "\n".join(lines) + "\n", told


def model_lines(task: str) -> list[str]:
    """The model that can be tried at once. Its world is too small for real use, which the comment says."""
    small = "2.2 million parameters, to try the recipe in seconds; name your own: a hub id, or a folder"
    lines = ["model:", entry("  ", "name", "builtin:pocket", small)]
    return (
        [*lines, "  # An encoder learns masked tokens, such as builtin:minilm for classifiers to come."]
        if task == "pretraining"
        else lines
    )
