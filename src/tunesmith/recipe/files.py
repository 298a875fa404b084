"""Resolves the paths in a recipe."""

from __future__ import annotations

import errno
import os
from pathlib import Path

NOT_FILES = ("hub:", "builtin:")


def locate(path_text: str, base: Path) -> Path:
    """Resolves a path in a recipe: data, models, templates, functions and word lists. ``output`` is below the current directory.

    A relative path is looked up in the folder of the recipe (``base``) first; if it does not exist there, it is
    relative to the current directory, whether it exists or not. ``~`` is the home folder. ``hub:NAME`` and
    ``builtin:NAME`` are names and are returned unchanged. Nothing is opened.
    """
    if path_text.startswith(NOT_FILES):
        return Path(path_text)
    path = Path(os.path.expanduser(path_text))
    if str(path).startswith("~"):  # there is no such user
        return path
    if path.is_absolute():
        return path
    try:
        return base / path if (base / path).exists() else path
    except (OSError, ValueError):
        return path


def is_file_name(path_text: str) -> bool:
    """Returns whether a name in a recipe is a path (not ``hub:NAME`` or ``builtin:NAME``)."""
    return not path_text.startswith(NOT_FILES)


def fault_of_name(name: str) -> str:
    """Returns why no file can have this name, such as ``is empty``; an empty text if one can."""
    if not name.strip():
        return "is empty"
    if "\0" in name:
        return "contains a NUL character"
    try:
        os.lstat(name)
    except ValueError:
        return "contains half of a surrogate pair"
    except OSError as error:
        return "is too long for the name of a file" if error.errno == errno.ENAMETOOLONG else ""
    return ""


def is_file(path: Path) -> bool:
    """Returns whether the path is a file; False for a path that the system cannot look up."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def same_path(one: Path, other: Path) -> bool:
    """Returns whether two paths are the same file, with links resolved."""
    return _resolved(one) == _resolved(other)


def inside(inner: Path, outer: Path) -> bool:
    """Returns whether a path is inside (or equal to) another one, with links resolved."""
    return _resolved(inner).is_relative_to(_resolved(outer))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL character, a name that is too long
        return path
