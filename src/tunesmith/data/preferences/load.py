"""Loads the data of a run that learns from preferences: reads, detects formats, splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.load import group_column, read_tables
from tunesmith.data.chat.messages import Turns
from tunesmith.data.chat.rows import first_prompt
from tunesmith.data.labelled.label_map import map_of
from tunesmith.data.near_duplicates import SearchedTexts
from tunesmith.data.preferences.conversions import judged_of_pairs, pairs_of_judged
from tunesmith.data.preferences.formats import PreferenceFormat, detect_preference_format
from tunesmith.data.preferences.pairs import usable_preferences
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.records import SplitData, split_record
from tunesmith.data.row_clusters import row_clusters
from tunesmith.data.split import SPLITS, SplitKeys, limit_rows, split_positions, take_shares
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import Recipe

PreferenceRows = PreferencePairs | JudgedAnswers
RowsT = TypeVar("RowsT", PreferencePairs, JudgedAnswers)


@dataclass(frozen=True)
class PairData(SplitData[PreferencePairs]):
    """The pairs of a run.

    Attributes:
        judged: split -> the judged answers of which the pairs were made; empty where the rows are pairs.
    """

    judged: Mapping[str, JudgedAnswers] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class JudgedData(SplitData[JudgedAnswers]):
    """The judged answers of a run."""


def load_pairs(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> PairData:
    """Loads pairs of a chosen and a rejected answer; judged answers become pairs within each prompt.

    Raises DataError if rows cannot be read, or hold no pair.
    """
    notes: list[str] = []
    read = read_preferences(recipe, base, frames or {}, notes)
    judged = {name: rows for name, rows in read.items() if isinstance(rows, JudgedAnswers)}
    if len(judged) == len(read):  # divided before they become pairs, so that each answer is in one split
        divide(judged, recipe, base, notes)
        splits = {name: noted_pairs(rows, notes) for name, rows in judged.items()}
    else:
        splits = {name: rows if isinstance(rows, PreferencePairs) else noted_pairs(rows, notes) for name, rows in read.items()}
        divide(splits, recipe, base, notes)
        judged = {}
    return PairData(splits["train"], splits.get("validation"), splits.get("test"), notes=tuple(notes), judged=judged)


def load_judged(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> JudgedData:
    """Loads answers that are judged one by one; both answers of a pair become one, a good and a bad one.

    Raises DataError if rows cannot be read.
    """
    notes: list[str] = []
    splits: dict[str, JudgedAnswers] = {}
    for name, rows in read_preferences(recipe, base, frames or {}, notes).items():
        splits[name] = rows if isinstance(rows, JudgedAnswers) else judged_of_pairs(rows)
    divide(splits, recipe, base, notes)
    return JudgedData(splits["train"], splits.get("validation"), splits.get("test"), notes=tuple(notes))


def noted_pairs(rows: JudgedAnswers, notes: list[str]) -> PreferencePairs:
    """Returns judged answers as pairs, and notes how many there are."""
    left_out: list[str] = []
    pairs = pairs_of_judged(rows, left_out)
    notes.append(f"{plural(len(rows), 'judged answer')} of {rows.split} give {plural(len(pairs), 'pair')} within their prompts.")
    notes += left_out
    return pairs


def divide(splits: dict[str, RowsT], recipe: Recipe, base: Path, notes: list[str]) -> None:
    """Takes the shares of validation and test out of train, and cuts splits to ``data.max_rows``, in place."""
    take_shares(splits, recipe, base, split_preferences, notes)
    limit_rows(splits, recipe, notes)


def read_preferences(recipe: Recipe, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, PreferenceRows]:
    """Reads the splits that have a table of their own; the format is detected in train, or in a split with other columns."""
    tables = read_tables(recipe, base, frames, notes)
    train_format = detect_and_note(tables["train"], recipe, notes)
    splits: dict[str, PreferenceRows] = {}
    for split in (split for split in SPLITS if split in tables):
        table = tables[split]
        has_columns = all(name in table.columns for name in train_format.columns.values())
        row_format = train_format if has_columns else detect_and_note(table, recipe, notes)
        splits[split] = read_rows(table, row_format, split, recipe, notes)
    return splits


def detect_and_note(table: Table, recipe: Recipe, notes: list[str]) -> PreferenceFormat:
    """Detects the format of a table and describes it in the notes, with the unused columns."""
    detected = detect_preference_format(table, recipe.data.columns)
    given = recipe.data.columns
    used = {*detected.columns.values(), given.id, given.group, given.split}
    unused = [name for name in table.columns if name not in used]
    notes.append(f"{table.source}: {detected.sentence()}{f'; not used: {listed(unused)}' if unused else ''}.")
    return detected


def read_rows(table: Table, row_format: PreferenceFormat, split: str, recipe: Recipe, notes: list[str]) -> PreferenceRows:
    """Reads the usable rows of one table."""
    labels = map_of(recipe.data.labels, [table.source, split])
    if labels and "label" not in row_format.columns:
        message = f"data.labels maps judgements, and these rows have none: {row_format.sentence()}."
        raise DataError.one(table.source, message, "Remove data.labels, or name the columns: columns: {..., label: NAME}.")
    group = group_column(table, recipe.data.columns, split, notes)
    return usable_preferences(table, row_format, split, labels=labels, group=group, notes=notes)


def first_text(prompt: Turns, answer: Turns) -> str:
    """Returns the first prompt of a row, by which rows belong together; without prompts the answer."""
    return first_prompt(prompt) if prompt else answer[-1].content


def first_texts(rows: PreferenceRows) -> list[str]:
    """Returns the text (N) by which rows belong together: the first prompt.

    Where all rows have the same one, it binds none of them, and the whole prompt takes its place; without prompts the answer.
    """
    answers = rows.chosen if isinstance(rows, PreferencePairs) else rows.answers
    texts = [first_text(prompt, answer) for prompt, answer in zip(rows.prompts, answers, strict=True)]
    if len(set(texts)) == 1 and len(texts) > 1:
        return [
            "\n".join(turn.content for turn in (*prompt, *answer)) for prompt, answer in zip(rows.prompts, answers, strict=True)
        ]
    return texts


def prompt_clusters(rows: PreferenceRows) -> Array:
    """Numbers the cluster of each row (N): rows of one first prompt, the same or nearly the same, or of one group share one."""
    return row_clusters(first_texts(rows), groups=rows.groups)


def split_preferences(
    rows: RowsT, share: float, seed: int, name: str, searched: SearchedTexts | None = None
) -> tuple[RowsT, RowsT]:
    """Splits a share off; rows of one first prompt, the same or nearly the same, or of one group stay together."""
    strata = rows.desirable if isinstance(rows, JudgedAnswers) else [0] * len(rows)
    keys = SplitKeys(rows.source, list(strata), first_texts(rows), groups=rows.groups, searched=searched)
    rest, other = split_positions(keys, share, seed, name)
    return rows.take(rest, rows.split), rows.take(other, name)


def data_record(data: SplitData[Any]) -> dict[str, Any]:
    """Records the data for ``result.json`` as plain JSON types."""
    splits = {name: split_record(rows, {"form": rows.kind, "columns": list(rows.columns)}) for name, rows in data.named().items()}
    return {
        "problem_type": "preference",
        "form": data.train.kind,
        "columns": {"read": list(data.train.columns)},
        "notes": list(data.notes),
        "splits": splits,
    }
