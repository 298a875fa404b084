"""The data that come with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tunesmith.errors import DataError

KINDS = (".csv", ".jsonl")


def sample_folder() -> Path:
    return Path(str(resources.files("tunesmith"))) / "data" / "samples"


def sample_names() -> list[str]:
    """The names that may stand after ``builtin:``."""
    return sorted(file.stem for file in sample_folder().iterdir() if file.suffix in KINDS)


def retrieval_names() -> list[str]:
    """The names of built-in folders with documents and queries."""
    return sorted(folder.name for folder in sample_folder().iterdir() if (folder / "corpus.jsonl").is_file())


def builtin_folder(source: str) -> Path:
    """The retrieval folder behind ``builtin:NAME``. Raises DataError where there is none of that name."""
    name, names = source.removeprefix("builtin:"), retrieval_names()
    if name not in names:
        known = ", ".join(f"builtin:{item}" for item in names)
        raise DataError.one(source, f"There is no built-in retrieval folder of that name. There are: {known}.")
    return sample_folder() / name


def builtin_path(source: str) -> Path:
    """The file behind ``builtin:NAME``.

    Raises:
        DataError: no data of that name; the message lists the names there are.
    """
    name = source.removeprefix("builtin:")
    names = sample_names()
    if name not in names:
        known = ", ".join(f"builtin:{item}" for item in names) or "none are installed"
        raise DataError.one(source, f"There is no built-in data of that name. There are: {known}.")
    return next(file for kind in KINDS if (file := sample_folder() / f"{name}{kind}").is_file())
