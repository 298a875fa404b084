"""Reads rows that a caller gives in Python: a path, the name of built-in or hub data, or a table or texts in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tunesmith.data.cells import listed
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import READERS, read_sources, read_table
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.files import NOT_FILES
from tunesmith.recipe.load import IN_MEMORY


def read_given(data: object, listener: Listener = silent) -> Table:
    """Reads the rows of a path or a name (see ``read_table``), or of a table or texts in memory (see ``table_from_frame``).

    What was assumed while reading goes to the listener.
    """
    if isinstance(data, Table):
        return data
    return noted(read_table(data) if isinstance(data, str | Path) else table_from_frame(data, IN_MEMORY), listener)


def noted(table: Table, listener: Listener) -> Table:
    """Tells a listener the notes of a table, and returns the table."""
    tell_notes(table.source, table.notes, listener)
    return table


def tell_notes(source: str, notes: Iterable[str], listener: Listener) -> None:
    """Tells a listener what was assumed while reading a source."""
    for note in notes:
        listener(Event("note", f"{source}: {note}"))


def read_evaluated(data: object, listener: Listener = silent) -> Table:
    """Reads rows to evaluate on as ``read_given`` does; of a folder or a hub data set the test split, or the only one.

    Raises DataError if there are several splits and none is test.
    """
    if not isinstance(data, str | Path):
        return read_given(data, listener)
    tables = read_sources(data, only="test")
    if "test" not in tables and len(tables) > 1:
        raise DataError.one(str(data), f"The source has no test rows, only {listed(tables)}.", "Give the file of the split.")
    return noted(tables["test"] if "test" in tables else next(iter(tables.values())), listener)


def read_rows_or_text(data: object, listener: Listener = silent) -> Table:
    """Reads rows as ``read_given`` does; a string that names no data is one text."""
    is_text = isinstance(data, str) and not names_data(data)
    return table_from_frame([data], "the text") if is_text else read_given(data, listener)


def names_data(text: str) -> bool:
    """Returns whether a string names data: ``builtin:`` or ``hub:``, a path that exists, or one word with a file's ending."""
    if text.startswith(NOT_FILES):
        return True
    try:
        if os.path.exists(text):
            return bool(text)
    except ValueError:  # a NUL character
        return False
    suffix = os.path.splitext(text.lower().removesuffix(".gz"))[1]
    return suffix in READERS and not any(map(str.isspace, text))


def source_name(data: object) -> str:
    """Names the data in results and messages: the path as it was given, or ``table in memory``."""
    return data.source if isinstance(data, Table) else str(data) if isinstance(data, str | Path) else IN_MEMORY
