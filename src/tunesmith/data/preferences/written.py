"""Writes pairs as rows that ``task: reward`` and ``task: preference`` read, also with answers exchanged."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tunesmith.data.chat.messages import TOOLS, Turns, tools_of
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.data.split import SPLITS
from tunesmith.disk import write_text
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection, DataSection


def write_pairs(rows: PreferencePairs, path: Path, reversed_rows: Collection[int] = ()) -> None:
    """Writes pairs as JSON lines, whole or not at all.

    Args:
        reversed_rows: positions of pairs whose answers are exchanged.

    Raises DataError for answers of several turns.
    """
    require_single_answers(rows)
    write_text(path, pairs_text(rows, reversed_rows))


def pairs_text(rows: PreferencePairs, reversed_rows: Collection[int] = ()) -> str:
    """Returns the JSON lines of pairs, as ``write_pairs`` writes them."""
    lines = [json.dumps(pair_row(rows, i, is_reversed=i in reversed_rows), ensure_ascii=False) for i in range(len(rows))]
    return "".join(f"{line}\n" for line in lines)


def data_of_written(data: DataSection, files: Mapping[str, Path], *, has_groups: bool) -> DataSection:
    """Returns a recipe's data with written pairs in place of its rows, by absolute paths: relative ones are looked up beside the
    recipe first, where another experiment may have written.

    Args:
        files: split -> the file that ``write_pairs`` wrote.
        has_groups: whether the rows have groups.
    """
    splits = {split: str(files[split].absolute()) if split in files else None for split in SPLITS}
    columns = ColumnsSection(group="group" if has_groups else None)
    return data.model_copy(update={**splits, "columns": columns, "labels": {}, "max_rows": None, "split_as": None})


def require_single_answers(rows: PreferencePairs) -> None:
    """Raises DataError if an answer has several turns: written as a dialogue, it would be split at its last one."""
    several = [
        row_id
        for row_id, *answers in zip(rows.row_ids, rows.chosen, rows.rejected, strict=True)
        if max(map(len, answers)) > 1
    ]  # fmt: skip
    if several:
        message = f"an answer has several turns (row {several[0]} of {rows.split})."
        raise DataError.one(rows.source, message, "Leave such rows out.")


def pair_row(rows: PreferencePairs, i: int, *, is_reversed: bool) -> dict[str, Any]:
    """Returns one pair as a row: the two dialogues that end with its answers."""
    answers = (rows.rejected[i], rows.chosen[i]) if is_reversed else (rows.chosen[i], rows.rejected[i])
    row: dict[str, Any] = {
        name: messages((*rows.prompts[i], *answer)) for name, answer in zip(("chosen", "rejected"), answers, strict=True)
    }
    if tools := tools_of(rows.prompts[i]):
        row["tools"] = tools
    if rows.margins is not None:
        row["margin"] = rows.margins[i]
    if rows.groups is not None:
        row["group"] = rows.groups[i]
    return row


def messages(turns: Turns) -> list[dict[str, Any]]:
    """Returns turns as messages."""
    return [
        {"role": turn.role, "content": turn.content, **{key: value for key, value in turn.extra.items() if key != TOOLS}}
        for turn in turns
    ]
