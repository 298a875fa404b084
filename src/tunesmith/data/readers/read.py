"""Reads every kind of source: files of each format, folders, built-in samples and the hub."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from tunesmith.data.cells import clip, listed, plural
from tunesmith.data.column_names import SPLIT_WORDS
from tunesmith.data.readers.annotation_files import reject_annotations, reject_token_lines
from tunesmith.data.readers.declared_classes import classes_note, classes_of_metadata, named_classes
from tunesmith.data.readers.delimited import any_field_size, read_delimited
from tunesmith.data.readers.dialect import fitting_delimiters
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.hub import read_hub
from tunesmith.data.readers.json_rows import read_json, read_jsonl
from tunesmith.data.readers.payload import FORMATS, Payload, read_payload
from tunesmith.data.readers.plain_cells import plain_table, shortest_floats
from tunesmith.data.readers.plain_texts import is_plain_text
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.files import fault_of_name, locate

MAX_ROWS, MAX_ROWS_PER_BYTE = 10_000_000, 10
"""A parquet file may have the larger of this number of rows and this multiple of its size in bytes."""
SHARD = re.compile(r"-\d{5}-of-\d{5}$")
"""The end of a file's name in the folders of the hub: its number of how many."""
SAMPLE_SUFFIXES = (".csv", ".jsonl")


def sample_folder() -> Path:
    return Path(str(resources.files("tunesmith"))) / "data" / "samples"


def sample_names() -> list[str]:
    """Lists the data sets that ``builtin:NAME`` can name."""
    return sorted(file.stem for file in sample_folder().iterdir() if file.suffix in SAMPLE_SUFFIXES)


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
    return next(file for suffix in SAMPLE_SUFFIXES if (file := sample_folder() / f"{name}{suffix}").is_file())


def read_parquet(payload: Payload) -> Table:
    """Reads a parquet table as plain Python values. Raises DataError for a damaged file, duplicate column names, or no rows."""
    import pyarrow
    import pyarrow.parquet

    try:
        n_rows = pyarrow.parquet.read_metadata(pyarrow.BufferReader(payload.data)).num_rows
        if n_rows > max(MAX_ROWS, MAX_ROWS_PER_BYTE * len(payload.data)):
            message = (
                f"The file of {plural(len(payload.data), 'byte')} claims to hold {plural(n_rows, 'row')}; a table of "
                "texts does not."
            )
            raise DataError.one(payload.name, message, "Check how it was written.")
        content = pyarrow.parquet.read_table(pyarrow.BufferReader(payload.data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].removeprefix("Could not open Parquet input source '<Buffer>': ").rstrip(".")
        raise DataError.one(
            payload.name, f"The file is not readable as parquet: {reason}.", "Write or download it again."
        ) from None
    names = [str(name) for name in content.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError.one(payload.name, f"The file names a column more than once: {', '.join(repeated)}.")
    if not content.num_rows or not names:
        raise DataError.one(payload.name, f"The file has {plural(len(names), 'column')} and no rows.")
    classes = classes_of_metadata(content.schema.metadata)
    cells = {name: column_cells(content.column(i), payload.name) for i, name in enumerate(names)}
    columns = {name: named_classes(cells[name], classes.get(name, ())) for name in names}
    notes = (*payload.notes, *classes_note(classes, cells, columns))
    return Table.whole(payload.name, columns, notes=notes, sha256=payload.sha256, classes=classes)


def column_cells(column: Any, source: str) -> list[Any]:
    """Returns the cells of an Arrow column; text that is not UTF-8 as bytes. Raises DataError if that is inside of lists."""
    try:
        return shortest_floats(list(column.to_pylist()), column.type)
    except UnicodeDecodeError:
        import pyarrow

        if not pyarrow.types.is_string(column.type) and not pyarrow.types.is_large_string(column.type):
            raise DataError.one(source, "The file holds lists of texts that are not UTF-8.", "Write it again as UTF-8.") from None
        return list(column.cast("large_binary").to_pylist())


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
    source: str | Path, *, header: bool | None = None, encoding: str | None = None, base: Path | None = None, split: str = "train"
) -> Table:
    """Reads the uninterpreted rows of a source; the row id is the 0-based position among the source's data rows.

    Args:
        source: a file (csv, tsv, json, jsonl, parquet, each also .gz), a folder, ``builtin:NAME`` or ``hub:NAME[:CONFIG]``.
        header: whether csv and tsv files have a header line; None detects it by content.
        encoding: encoding of text files; None: UTF-8, a byte-order mark or a reported guess.
        base: the folder in which relative paths are searched before the current folder.
        split: the split to read from a folder or a hub data set.

    Raises:
        DataError: the source cannot be read; the message has the file, the line and the remedy.
        MissingExtra: the source is a hub data set and the ``datasets`` library is missing.
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
    """Reads all splits of a folder or hub data set, or ``only`` one; a single file is the requested split, by default train.

    A note of a split that is one of several names the others.
    """
    name = str(source)
    if name.startswith("hub:"):
        tables = read_hub(name)  # other splits, such as ``unsupervised``, keep their name
        splits = {"train" if len(tables) == 1 else SPLIT_WORDS.get(split, split): table for split, table in tables.items()}
        return splits if only is None or only not in splits else {only: one_of_several(splits[only], only, splits)}
    if name.startswith("builtin:"):
        return {only or "train": read_file(builtin_path(name), name, header, encoding)}
    path = resolve_path(name, base or Path())
    if not path.is_dir():
        return {only or "train": read_file(path, name, header, encoding)}
    files = find_splits(path)
    requested = files if only is None else {only: files[only]} if only in files else files
    tables = {split: read_file(file, str(Path(name) / file.name), header, encoding) for split, file in requested.items()}
    return tables if only is None or only not in tables else {only: one_of_several(tables[only], only, files)}


def one_of_several(table: Table, split: str, splits: Iterable[str]) -> Table:
    """Adds a note to the rows of a split, if there are others: which rows they are, and the other splits."""
    others = [name for name in splits if name != split]
    if not others:
        return table
    return replace(table, notes=(*table.notes, f"The rows of {split}; there are also those of {listed(others)}."))


def resolve_path(name: str, base: Path) -> Path:
    """Resolves a path beside the recipe, else from the current folder; beside the recipe if neither exists.

    Raises DataError for a name that no file can have.
    """
    if fault := fault_of_name(name):
        raise DataError.one(f"the name {clip(name)}", f"It {fault}.", "Name a file or a folder.")
    path = locate(name, base)
    return path if os.path.exists(path) else base / os.path.expanduser(name)


def read_file(path: Path, name: str, header: bool | None = None, encoding: str | None = None) -> Table:
    """Reads the table of one file; ``name`` is its name in messages and results."""
    return parse_table(read_payload(path, name), header, encoding)


def parse_table(payload: Payload, header: bool | None = None, encoding: str | None = None) -> Table:
    """Parses the bytes of a file, in the format that its name or its content tells."""
    suffix = payload.suffix
    if payload.data.startswith(b"PAR1") and suffix != ".parquet":
        payload = replace(payload, notes=(*payload.notes, "The file is a parquet file, whatever its suffix."))
        suffix = ".parquet"
    reader = READERS.get(suffix)
    if reader is None:
        suffix = sniff(payload, encoding)
        note = f"The file's name does not tell its format; by its content it is {suffix.removeprefix('.')}."
        payload, reader = replace(payload, notes=(*payload.notes, note)), READERS[suffix]
    table = plain_table(reader(payload, header, encoding))
    reject_annotations(table)
    return table


def sniff(payload: Payload, encoding: str | None) -> str:
    """Returns the suffix of the format that the content is in. Raises DataError if it is in none."""
    found = find_format(payload, encoding)
    if found is None:
        ending = f"The ending {payload.suffix!r} is not known" if payload.suffix else "The file's name has no ending"
        remedy = f"Known formats: {FORMATS}."
        if is_plain_text(payload.name):
            remedy += " Plain texts are read by predict and embed, one a line, and by a recipe with task: pretraining."
        raise DataError.one(payload.name, f"{ending}, and its content is no table either.", remedy)
    return found


def find_format(payload: Payload, encoding: str | None = None) -> str | None:
    """Returns the suffix of the format that the content is in; None if it is in none. Raises DataError for lines of tokens."""
    text = decode(payload, encoding).text.lstrip()
    reject_token_lines(text, payload.name)
    if text.startswith("["):
        return ".json"
    if text.startswith("{"):
        return ".jsonl" if '"' in text.split("\n", 1)[0] and text.split("\n", 1)[0].rstrip().endswith("}") else ".json"
    with any_field_size():
        fitting = fitting_delimiters(text)
    if not fitting:
        return None
    return ".tsv" if "\t" in fitting else ".csv"


def find_splits(folder: Path) -> dict[str, Path]:
    """Finds a folder's files by ``SPLIT_WORDS``; an only file is train. Raises DataError without train or if two fit a split."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    data = [file for file in files if Path(file.name.lower().removesuffix(".gz")).suffix in READERS]
    by_split: dict[str, list[Path]] = {}
    for file in data:
        split = SPLIT_WORDS.get(SHARD.sub("", file.name.split(".", 1)[0].casefold()))
        if split:
            by_split.setdefault(split, []).append(file)
    if not by_split and len(data) == 1:
        return {"train": data[0]}
    if "train" not in by_split:
        names = [file.name for file in files] + sorted(f"{item.name}/" for item in folder.iterdir() if item.is_dir())
        message = f"The folder has no train file; it holds {listed(names) or 'nothing'}."
        remedy = "Name the files train, validation and test, or give a file instead of a folder."
        raise DataError.one(str(folder), message, remedy)
    ambiguous = {split: paths for split, paths in by_split.items() if len(paths) > 1}
    if ambiguous:
        shown = "; ".join(f"{split}: {listed(path.name for path in paths)}" for split, paths in ambiguous.items())
        message = f"More than one file fits the same split ({shown})."
        raise DataError.one(str(folder), message, "Give the files themselves in the recipe.")
    return {split: by_split[split][0] for split in ("train", "validation", "test") if split in by_split}
