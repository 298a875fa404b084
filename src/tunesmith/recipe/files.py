"""Where the paths in a recipe lead."""

from __future__ import annotations

from pathlib import Path

NOT_FILES = ("hub:", "builtin:")


def locate(path_text: str, base: Path) -> Path:
    """The path that a recipe means.

    A relative path is looked for beside the recipe first (``base``); where nothing is there, it is relative to the
    current directory, whether something is there or not. ``~`` is the home folder. ``hub:NAME`` and ``builtin:NAME``
    are names, not paths, and come back as they are. Nothing is opened.

    Args:
        path_text: the text in the recipe.
        base: the folder of the recipe file.
    """
    if path_text.startswith(NOT_FILES):
        return Path(path_text)
    path = Path(path_text)
    if path_text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:  # there is no such user
            return path
    if path.is_absolute():
        return path
    return base / path if _exists(base / path) else path


def is_file_name(path_text: str) -> bool:
    """Whether a text of a recipe names a file or folder (not ``hub:NAME`` or ``builtin:NAME``)."""
    return not path_text.startswith(NOT_FILES)


def is_file(path: Path) -> bool:
    """Whether there is a file; False for a path the system cannot even look up."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def same_place(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, links followed."""
    return _resolved(one) == _resolved(other)


def inside(inner: Path, outer: Path) -> bool:
    """Whether a path lies in (or is) another one, links followed."""
    return _resolved(inner).is_relative_to(_resolved(outer))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL character, a name that is too long
        return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
