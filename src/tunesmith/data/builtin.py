"""Finds the data sets that come with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tunesmith.errors import DataError

SUFFIXES = (".csv", ".jsonl")


def sample_folder() -> Path:
    return Path(str(resources.files("tunesmith"))) / "data" / "samples"


def sample_names() -> list[str]:
    """Lists the data sets that ``builtin:NAME`` can name."""
    return sorted(file.stem for file in sample_folder().iterdir() if file.suffix in SUFFIXES)


def retrieval_names() -> list[str]:
    """Lists the built-in folders with documents and queries."""
    return sorted(folder.name for folder in sample_folder().iterdir() if (folder / "corpus.jsonl").is_file())


def builtin_folder(source: str) -> Path:
    """Returns the retrieval folder ``builtin:NAME``. Raises DataError if there is none of that name."""
    name, names = source.removeprefix("builtin:"), retrieval_names()
    if name not in names:
        existing = ", ".join(f"builtin:{item}" for item in names)
        raise DataError.one(source, f"There is no built-in retrieval folder of that name. There are: {existing}.")
    return sample_folder() / name


def builtin_path(source: str) -> Path:
    """Returns the file ``builtin:NAME``. Raises DataError, with the existing names, if there is none of that name."""
    name = source.removeprefix("builtin:")
    names = sample_names()
    if name not in names:
        existing = ", ".join(f"builtin:{item}" for item in names) or "none are installed"
        raise DataError.one(source, f"There is no built-in data of that name. There are: {existing}.")
    return next(file for suffix in SUFFIXES if (file := sample_folder() / f"{name}{suffix}").is_file())
