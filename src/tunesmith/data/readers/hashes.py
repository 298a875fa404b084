"""Hashes rows in files, folders and tables in memory, so that the same ones are recognised later."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import READERS, builtin_folder, builtin_path, resolve_path, retrieval_names
from tunesmith.data.table import Table
from tunesmith.disk import hash_file, hash_files
from tunesmith.errors import InputError
from tunesmith.recipe.files import NOT_FILES

DATA_FILES = ("*", "qrels/*"), (*READERS, ".gz", ".txt")
"""Patterns and suffixes of the files in a folder that are loaded; another run may be in the folder as well."""
HUB, BUILTIN = NOT_FILES


def hash_path(path: Path) -> str:
    """Returns the sha256 of a file, or of all files in a folder; empty if it cannot be read."""
    try:
        return hash_files(path, *DATA_FILES) if path.is_dir() else hash_file(path)
    except OSError:
        return ""  # reading the rows raises the error that explains it


def hash_table(frame: object) -> str:
    """Returns the sha256 of a table in memory; empty if it is no table, which reading it explains."""
    try:
        table = frame if isinstance(frame, Table) else table_from_frame(frame, "table in memory")
    except InputError:
        return ""
    return hashlib.sha256(repr(table.columns).encode("utf-8", "backslashreplace")).hexdigest()


def hash_rows(table: Table) -> str:
    """Returns the sha256 of the file that a table was read from, as runs record it; of the cells where there is no file."""
    return table.sha256 or hash_table(table)


def hash_given(data: object) -> str:
    """Returns the sha256 of the rows that a caller gives: a path, built-in data, or a table in memory; empty for hub data."""
    if not isinstance(data, str | Path):
        return hash_table(data)
    name = str(data)
    if name.startswith(HUB):
        return ""
    if name.startswith(BUILTIN):
        return hash_path((builtin_folder if name.removeprefix(BUILTIN) in retrieval_names() else builtin_path)(name))
    return hash_path(resolve_path(name, Path()))
