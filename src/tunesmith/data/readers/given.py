"""Reads rows that a caller gives in Python: a path, the name of built-in or hub data, or a table or texts in memory."""

from __future__ import annotations

import os
from pathlib import Path

from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import READERS, read_table
from tunesmith.data.table import Table
from tunesmith.recipe.files import NOT_FILES
from tunesmith.recipe.load import IN_MEMORY


def read_given(data: object, *, split: str = "train") -> Table:
    """Reads the rows of a path or a name (see ``read_table``), or of a table or texts in memory (see ``table_from_frame``)."""
    if isinstance(data, Table):
        return data
    return read_table(data, split=split) if isinstance(data, str | Path) else table_from_frame(data, IN_MEMORY)


def read_rows_or_text(data: object) -> Table:
    """Reads rows as ``read_given`` does; a string that names no data is one text."""
    return table_from_frame([data], "the text") if isinstance(data, str) and not names_data(data) else read_given(data)


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
