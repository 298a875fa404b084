"""Loads the data of a language model's run: reads, detects formats, splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.chat.formats import ChatFormat, detect_chat_format
from tunesmith.data.chat.rows import Conversations, split_conversations, usable_conversations
from tunesmith.data.column_names import plain_name
from tunesmith.data.columns import find_column, require_column
from tunesmith.data.readers.given import noted, read_evaluated
from tunesmith.data.readers.plain_texts import is_plain_text, plain_text_splits, read_plain_texts
from tunesmith.data.readers.read import read_table, resolve_path
from tunesmith.data.readers.splits import apply_split_column, find_split_column, is_set, read_splits
from tunesmith.data.records import SplitData, split_record
from tunesmith.data.split import SPLITS, limit_rows, take_shares
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.progress import Listener
from tunesmith.recipe.sections import ColumnsSection, DataSection, Recipe
from tunesmith.recipe.tasks import task_settings

CONVERSATION_IDS = ("conversation_id", "thread_id", "session_id", "dialogue_id", "dialog_id", "chat_id")
"""Rows with the same value in a column of such a name are parts of one conversation and stay in one split."""


@dataclass(frozen=True)
class ConversationData(SplitData[Conversations]):
    """The rows of a language model's run."""


def load_conversation_data(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> ConversationData:
    """Loads the rows of a language model's run.

    The format is detected in train; validation and test have the same columns, or a format of their own.
    """
    notes: list[str] = []
    tables = read_tables(recipe, base, frames or {}, notes)
    train_format = detect_and_note(tables["train"], recipe, notes)
    splits = {"train": read_rows(tables["train"], train_format, "train", recipe, notes)}
    for split in SPLITS[1:]:
        if split in tables:
            row_format = evaluation_format(tables[split], train_format, recipe, notes)
            splits[split] = read_rows(tables[split], row_format, split, recipe, notes)
    take_shares(splits, recipe, base, split_conversations, notes)
    limit_rows(splits, recipe, notes)
    return ConversationData(splits["train"], splits.get("validation"), splits.get("test"), notes=tuple(notes))


def read_chat_table(source: str, split: str, base: Path) -> Table:
    """Reads the rows of one file, or its plain texts."""
    if is_plain_text(source):
        return read_plain_texts(resolve_path(source, base), source)
    return read_table(source, base=base, split=split)


def read_evaluated_chats(data: object, listener: Listener) -> Table:
    """Reads rows to evaluate on as ``readers.given.read_evaluated`` does; a ``.txt`` file is plain texts."""
    is_text = isinstance(data, str | Path) and is_plain_text(data)
    return noted(read_chat_table(str(data), "test", Path()), listener) if is_text else read_evaluated(data, listener)


def read_chat_rows(table: Table, split: str, recipe: Recipe, notes: list[str]) -> Conversations:
    """Reads the usable rows of one table, in its own format."""
    return read_rows(table, detect_and_note(table, recipe, notes), split, recipe, notes)


def read_texts(source: str, split: str, base: Path) -> Conversations:
    """Reads the plain texts of one file in any format. Raises DataError if it holds none."""
    table = read_chat_table(source, split, base)
    return usable_conversations(table, detect_chat_format(table, ColumnsSection(), texts_only=True), split)


def read_tables(recipe: Recipe, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """Reads the tables of train, validation and test, and divides one that has a split column."""
    texts = plain_text_tables(recipe.data, base, frames)
    replaced = {split: table.columns for split, table in texts.items()}
    tables = read_splits(recipe.data, base, {**frames, **replaced}, notes) | texts
    came_with_train = [split for split in texts if split != "train" and recipe.data.file(split) is None]
    notes.extend(f"{texts[split].source} is used for {split}." for split in sorted(came_with_train))
    for table in tables.values():
        notes.extend(f"{table.source}: {note}" for note in table.notes)
    column = find_split_column(tables["train"], recipe.data.columns)
    if column is not None:
        apply_split_column(tables, column, recipe.data, notes)
    return tables


def plain_text_tables(data: DataSection, base: Path, frames: Mapping[str, Any]) -> dict[str, Table]:
    """Reads the sources that are plain text: files, or a folder with a ``train.txt``."""
    tables = {}
    for split in SPLITS:
        source = data.file(split)
        if split in frames or source is None or source.startswith(("hub:", "builtin:")):
            continue
        path = resolve_path(source, base)
        if is_plain_text(source) and not path.is_dir():
            tables[split] = read_plain_texts(path, source, data.encoding)
        elif split == "train" and path.is_dir():
            for name, file in plain_text_splits(path).items():
                if name == "train" or not is_set(data, name):
                    tables[name] = read_plain_texts(file, str(Path(source) / file.name), data.encoding)
    return tables


def detect_and_note(table: Table, recipe: Recipe, notes: list[str]) -> ChatFormat:
    """Detects the format of a table and describes it in the notes, with the unused columns."""
    texts_only = task_settings(recipe).plain_texts
    detected = detect_chat_format(table, recipe.data.columns, labels=bool(recipe.sft.labels), texts_only=texts_only)
    if not is_plain_text(table.source):  # plain texts have a note of their own
        unused = [name for name in table.columns if name not in detected.columns.values()]
        rest = f"; not used: {listed(unused)}" if unused else ""
        notes.append(f"{table.source}: {detected.sentence()}{rest}.")
    return detected


def evaluation_format(table: Table, train_format: ChatFormat, recipe: Recipe, notes: list[str]) -> ChatFormat:
    """Returns train's format if the table has its columns, else its own. Raises DataError if only one of the two is of texts."""
    if all(name in table.columns for name in train_format.columns.values()):
        return train_format
    own = detect_and_note(table, recipe, notes)
    if (own.kind == "text") != (train_format.kind == "text"):
        message = f"these are {own.sentence()}, and train has {train_format.sentence()}."
        raise DataError.one(table.source, message, "Give it the columns that train has.")
    return own


def read_rows(table: Table, row_format: ChatFormat, split: str, recipe: Recipe, notes: list[str]) -> Conversations:
    """Reads the usable rows, with their groups: the recipe's column, or a conversation id whose values repeat."""
    group = group_column(table, recipe.data.columns, split, notes)
    return usable_conversations(table, row_format, split, labels=recipe.sft.labels, group=group)


def group_column(table: Table, given: ColumnsSection, split: str, notes: list[str]) -> str | None:
    """Returns the column of groups: the recipe's, or a conversation id whose values repeat; None without one."""
    if given.group is not None:
        return require_column(table, given.group, "groups") if split == "train" else find_column(table, given.group)
    ids = {name: cells for name, cells in table.columns.items() if plain_name(name) in CONVERSATION_IDS}
    group = next((name for name, cells in ids.items() if 1 < len(set(map(str, cells))) < len(cells)), None)
    if group is not None and split == "train":
        notes.append(f"{table.source}: rows with the same {group!r} stay in one split.")
    return group


def data_record(data: ConversationData) -> dict[str, Any]:
    """Records the data for ``result.json`` as plain JSON types."""
    splits = {}
    for name, rows in data.named().items():
        special = {"form": rows.kind, "columns": list(rows.columns), "turns": sum(map(len, rows.turns))}
        splits[name] = split_record(rows, special)
    return {
        "problem_type": "language",
        "form": data.train.kind,
        "columns": {"read": list(data.train.columns)},
        "notes": list(data.notes),
        "splits": splits,
    }
