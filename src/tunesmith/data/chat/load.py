"""From the recipe's data section to the rows of a language model's run: read, recognise, divide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.chat.conversations import Conversations, divided, usable_conversations
from tunesmith.data.chat.formats import Recognised, recognise
from tunesmith.data.column_names import plain_name
from tunesmith.data.columns import find_column
from tunesmith.data.labelled.load import SPLITS, divide_by_column, read_tables, sampled
from tunesmith.data.pairs.load import split_column
from tunesmith.data.readers.plain_texts import is_plain_text, plain_text_splits, read_plain_texts
from tunesmith.data.readers.read import place_of, read_table
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection, DataSection, Recipe
from tunesmith.recipe.tasks import task_settings

CONVERSATION_IDS = ("conversation_id", "thread_id", "session_id", "dialogue_id", "dialog_id", "chat_id")
"""Columns of these names say which rows are parts of one conversation, so no split divides them."""


@dataclass(frozen=True)
class ConversationData:
    """The rows of a language model's run.

    Attributes:
        notes: what was assumed or decided, as sentences for the user.
        not_sampled: training rows left out by ``data.max_rows``.
    """

    train: Conversations
    validation: Conversations | None
    test: Conversations | None
    notes: tuple[str, ...] = ()
    not_sampled: int = 0

    def named(self) -> dict[str, Conversations]:
        """Split name -> rows, for the splits there are."""
        return {x.split: x for x in (self.train, self.validation, self.test) if x is not None}


def load_conversations(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> ConversationData:
    """Everything a language model's run needs of its data.

    The form is found in train; validation and test have the same columns, or are looked at on their own.

    Args:
        base: the folder that the recipe's paths start from.
        frames: tables in memory (see ``table_from_frame``) that stand for ``train``, ``validation`` or ``test``.

    Raises:
        DataError: a source cannot be read, its form cannot be seen, or too few rows are left.
    """
    notes: list[str] = []
    tables = tables_of(recipe, base, frames or {}, notes)
    found = recognised(tables["train"], recipe, notes)
    rows = {"train": rows_of(tables["train"], found, "train", recipe, notes)}
    for split in SPLITS[1:]:
        if split in tables:
            rows[split] = rows_of(tables[split], form_like(tables[split], found, recipe, notes), split, recipe, notes)
    n_rows = len(rows["train"])
    for split in ("test", "validation"):
        share = getattr(recipe.data, split)
        if isinstance(share, float) and split not in rows:
            share_of_left = share * n_rows / len(rows["train"])
            rows["train"], rows[split] = divided(rows["train"], share_of_left, recipe.train.seed, split)
    train = sampled(rows["train"], recipe, notes)
    return ConversationData(train, rows.get("validation"), rows.get("test"), tuple(notes), len(rows["train"]) - len(train))


def table_of(source: str, split: str, base: Path) -> Table:
    """The rows of one file, or its plain texts."""
    return (
        read_plain_texts(place_of(source, base), source) if is_plain_text(source) else read_table(source, base=base, split=split)
    )


def read_texts(source: str, split: str, base: Path) -> Conversations:
    """The plain texts of one file, in any form that is read. Raises DataError where it holds none."""
    table = table_of(source, split, base)
    return usable_conversations(table, recognise(table, ColumnsSection(), texts_only=True), split)


def tables_of(recipe: Recipe, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """The tables there are for train, validation and test; one with a column of splits is divided."""
    texts = plain_text_tables(recipe.data, base, frames)
    stand_ins = {split: table.columns for split, table in texts.items()}
    came_along = {split for split in texts if split != "train" and not isinstance(getattr(recipe.data, split), str)}
    tables = read_tables(recipe.data, base, {**frames, **stand_ins}, notes) | texts
    notes.extend(f"{texts[split].source} is used for {split}." for split in sorted(came_along))
    for table in tables.values():
        notes.extend(f"{table.source}: {note}" for note in table.notes)
    column = split_column(tables["train"], recipe.data.columns)
    if column is not None:
        divide_by_column(tables, column, recipe.data, notes)
    return tables


def plain_text_tables(data: DataSection, base: Path, frames: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of those sources that are plain text: files, or a folder with a ``train.txt``."""
    found = {}
    for split in SPLITS:
        source = getattr(data, split)
        if split in frames or not isinstance(source, str) or source.startswith(("hub:", "builtin:")):
            continue
        path = place_of(source, base)
        if is_plain_text(source) and not path.is_dir():
            found[split] = read_plain_texts(path, source, data.encoding)
        elif split == "train" and path.is_dir():
            for name, file in plain_text_splits(path).items():
                if name == "train" or name not in data.model_fields_set:
                    found[name] = read_plain_texts(file, str(Path(source) / file.name), data.encoding)
    return found


def recognised(table: Table, recipe: Recipe, notes: list[str]) -> Recognised:
    """What the rows are; said in the notes, with the columns that are not used."""
    found = recognise(table, recipe.data.columns, labels=bool(recipe.sft.labels), texts_only=task_settings(recipe).plain_texts)
    if is_plain_text(table.source):
        return found  # its own note says what it is
    unused = [name for name in table.columns if name not in found.columns.values()]
    rest = f"; not used: {listed(unused)}" if unused else ""
    notes.append(f"{table.source}: {found.sentence()}{rest}.")
    return found


def form_like(table: Table, found: Recognised, recipe: Recipe, notes: list[str]) -> Recognised:
    """The form of train where the table has its columns, else its own.

    Raises:
        DataError: train has plain texts and this table has none, or the other way round.
    """
    if all(name in table.columns for name in found.columns.values()):
        return found
    own = recognised(table, recipe, notes)
    if (own.form == "text") != (found.form == "text"):
        message = f"these are {own.sentence()}, and train has {found.sentence()}."
        raise DataError.one(table.source, message, "Give it the columns that train has.")
    return own


def rows_of(table: Table, found: Recognised, split: str, recipe: Recipe, notes: list[str]) -> Conversations:
    """The usable rows of a table, and a note on the column that groups them."""
    return usable_conversations(table, found, split, labels=recipe.sft.labels, group=group_column(table, split, recipe, notes))


def group_column(table: Table, split: str, recipe: Recipe, notes: list[str]) -> str | None:
    """The column of groups: the recipe's, or one that is called like the id of a conversation and repeats."""
    wanted = recipe.data.columns.group
    if wanted is not None:
        name = find_column(table, wanted)
        if name is None and split == "train":
            message = f"There is no column {wanted!r} for the groups."
            raise DataError.one(table.source, message, f"Columns: {listed(table.columns)}.")
        return name
    for name, cells in table.columns.items():
        if plain_name(name) in CONVERSATION_IDS and 1 < len(set(map(str, cells))) < len(cells):
            if split == "train":
                notes.append(f"{table.source}: rows with the same {name!r} stay in one split.")
            return name
    return None


def data_record(data: ConversationData) -> dict[str, Any]:
    """The data part of ``result.json``: plain JSON types. Where a row is one conversation, in each split rows + dropped +
    not_sampled = rows_read."""
    train = data.train
    return {
        "problem_type": "language", "form": train.form, "columns": {"read": list(train.columns)}, "notes": list(data.notes),
        "splits": {name: split_record(rows, data) for name, rows in data.named().items()},
    }  # fmt: skip


def split_record(rows: Conversations, data: ConversationData) -> dict[str, Any]:
    return {
        "source": rows.source, "sha256": rows.sha256, "form": rows.form, "columns": list(rows.columns),
        "rows_read": rows.rows_read, "rows": len(rows), "turns": sum(map(len, rows.turns)),
        "dropped": {reason: len(ids) for reason, ids in rows.left_out.items()},
        "not_sampled": data.not_sampled if rows.split == "train" else 0,
    }  # fmt: skip
