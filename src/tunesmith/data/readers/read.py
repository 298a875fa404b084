"""One door for every source: files of each format, folders, built-in samples and the hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tunesmith.data.builtin import builtin_path
from tunesmith.data.cells import listed
from tunesmith.data.column_names import SPLIT_WORDS
from tunesmith.data.readers.delimited import any_field_size, read_delimited
from tunesmith.data.readers.dialect import fitting_delimiters
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.hub import read_hub
from tunesmith.data.readers.json_rows import read_json, read_jsonl
from tunesmith.data.readers.parquet import read_parquet
from tunesmith.data.readers.payload import FORMATS, Payload, read_payload
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.files import locate

Reader = Callable[[Payload, bool | None, str | None], Table]

READERS: dict[str, Reader] = {
    ".csv": lambda payload, header, encoding: read_delimited(payload, ",", header, encoding),
    ".tsv": lambda payload, header, encoding: read_delimited(payload, "\t", header, encoding),
    ".tab": lambda payload, header, encoding: read_delimited(payload, "\t", header, encoding),
    ".json": lambda payload, header, encoding: read_json(payload, encoding),
    ".jsonl": lambda payload, header, encoding: read_jsonl(payload, encoding),
    ".ndjson": lambda payload, header, encoding: read_jsonl(payload, encoding),
    ".parquet": lambda payload, header, encoding: read_parquet(payload),
}


def read_table(
    source: str | Path,
    *,
    header: bool | None = None,
    encoding: str | None = None,
    base: Path | None = None,
    split: str = "train",
) -> Table:
    """The rows of a source, uninterpreted; each keeps as row id its 0-based position among the source's data rows.

    Args:
        source: a file (csv, tsv, json, jsonl, parquet, each also .gz), a folder, ``builtin:NAME`` or ``hub:NAME[:CONFIG]``.
        header: whether csv and tsv files have a header line; found out by content when None.
        encoding: of text files; UTF-8, a byte-order mark or a reported guess when None.
        base: the folder that relative paths are looked for in before the current folder.
        split: which one to take where the source is a folder or a hub data set.

    Raises:
        DataError: with file, line and remedy.
        MissingExtra: for hub: without the ``datasets`` library.
    """
    tables = read_sources(source, header=header, encoding=encoding, base=base, only=split)
    if split not in tables:
        raise DataError.one(str(source), f"The source has no {split} rows, only {listed(tables)}.")
    return tables[split]


def read_sources(
    source: str | Path,
    *,
    header: bool | None = None,
    encoding: str | None = None,
    base: Path | None = None,
    only: str | None = None,
) -> dict[str, Table]:
    """Split name -> table: all splits of a folder or hub data set (or only one), and a single file as whatever is asked for."""
    name = str(source)
    if name.startswith("hub:"):
        return by_split_name(name, read_hub(name))
    if name.startswith("builtin:"):
        return {only or "train": read_file(builtin_path(name), name, header, encoding)}
    path = place_of(name, base or Path())
    if not path.is_dir():
        return {only or "train": read_file(path, name, header, encoding)}
    files = find_splits(path)
    wanted = files if only is None else {only: files[only]} if only in files else files
    return {split: read_file(file, str(Path(name) / file.name), header, encoding) for split, file in wanted.items()}


def place_of(name: str, base: Path) -> Path:
    """Where a name leads: beside the recipe, else from the current folder; beside the recipe where there is nothing at all."""
    found = locate(name, base)
    return found if os.path.exists(found) else base / Path(name).expanduser()


def read_file(path: Path, name: str, header: bool | None = None, encoding: str | None = None) -> Table:
    """The table of one file. ``name`` is how messages and results call it."""
    return table_of(read_payload(path, name), header, encoding)


def table_of(payload: Payload, header: bool | None = None, encoding: str | None = None) -> Table:
    """The table that the bytes of a file hold, by the format that its name or its content says."""
    suffix = payload.suffix
    if payload.data.startswith(b"PAR1") and suffix != ".parquet":
        payload = replace(payload, notes=(*payload.notes, "The file is a parquet file, whatever its name says."))
        suffix = ".parquet"
    reader = READERS.get(suffix)
    if reader is None:
        suffix = sniff(payload, encoding)
        note = f"The file's name does not tell its format; by its content it is {suffix.removeprefix('.')}."
        payload, reader = replace(payload, notes=(*payload.notes, note)), READERS[suffix]
    return reader(payload, header, encoding)


def sniff(payload: Payload, encoding: str | None) -> str:
    """The suffix of the format that the content is in.

    Raises:
        DataError: it is none.
    """
    text = decode(payload, encoding).text.lstrip()
    if text.startswith("["):
        return ".json"
    if text.startswith("{"):
        return ".jsonl" if '"' in text.split("\n", 1)[0] and text.split("\n", 1)[0].rstrip().endswith("}") else ".json"
    with any_field_size():
        fitting = fitting_delimiters(text)
    if not fitting:
        ending = f"The ending {payload.suffix!r} is not known" if payload.suffix else "The file's name has no ending"
        raise DataError.one(payload.name, f"{ending}, and its content is no table either.", f"Known formats: {FORMATS}.")
    return ".tsv" if "\t" in fitting else ".csv"


def by_split_name(name: str, tables: dict[str, Table]) -> dict[str, Table]:
    """The hub's splits under our names, the others (``unsupervised``, ``validation_mismatched``) under their own."""
    if len(tables) == 1:
        return {"train": next(iter(tables.values()))}
    return {SPLIT_WORDS.get(split, split): table for split, table in tables.items()}


def find_splits(folder: Path) -> dict[str, Path]:
    """train, validation, test -> the folder's file of that name, in any format. A folder with one file is all train.

    Names: train, training; dev, val, valid, validation, development, eval; test, testing, holdout.

    Raises:
        DataError: no such file, or two files for one split.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    data = [file for file in files if is_data(file)]
    found: dict[str, list[Path]] = {}
    for file in data:
        split = SPLIT_WORDS.get(file.name.split(".", 1)[0].casefold())
        if split:
            found.setdefault(split, []).append(file)
    if not found and len(data) == 1:
        return {"train": data[0]}
    if "train" not in found:
        has = listed(file.name for file in files) or "nothing"
        message = f"The folder has no train file; it holds {has}."
        raise DataError.one(
            str(folder), message, "Name the files train, validation and test, or give a file instead of a folder."
        )
    doubled = {split: paths for split, paths in found.items() if len(paths) > 1}
    if doubled:
        which = "; ".join(f"{split}: {listed(path.name for path in paths)}" for split, paths in doubled.items())
        raise DataError.one(
            str(folder), f"More than one file fits the same split ({which}).", "Give the files themselves in the recipe."
        )
    return {split: found[split][0] for split in ("train", "validation", "test") if split in found}


def is_data(file: Path) -> bool:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in READERS
