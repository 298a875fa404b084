"""Implements ``embed``: writes the embeddings of a file's texts, in parts that survive an interruption, then as one file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.columns import detect_columns
from tunesmith.data.readers.given import read_rows_or_text
from tunesmith.data.table import Table
from tunesmith.disk import disk_errors, require_file_place, require_space, take_lock, whole_file, write_text
from tunesmith.errors import DataError, Interrupted, OutputError
from tunesmith.evaluation.search import normalised
from tunesmith.models.source import ModelSource, find_model
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.sections import ColumnsSection, ModelSection
from tunesmith.run_folder import LOCK
from tunesmith.workflows.inputs import hash_model

if TYPE_CHECKING:
    from tunesmith.models.embedding.encoder import SentenceEncoder

Dtype = Literal["float32", "float16"]
DTYPES: tuple[Dtype, ...] = ("float32", "float16")
SUFFIXES = (".parquet", ".npy")
ROWS_PER_PART = 8_192
STATE = "state.json"
IDS = ("id", "_id")


@dataclass(frozen=True)
class Settings:
    """The settings that decide the values of the embeddings. A resumed run must have the same."""

    model: str
    model_sha256: str
    source_sha256: str
    columns: tuple[str, ...]
    prompt: str
    max_length: int | None
    dimensions: int
    dtype: Dtype
    normalize: bool


@dataclass(frozen=True)
class Embedded:
    """The record of the written file.

    Attributes:
        n_rows: rows of the file, in its order.
        n_missing: rows without a text: null in parquet, NaN in npy.
        n_kept: rows with embeddings from the interrupted run.
        unused_prompts: the prompts that the model was trained with, if none was put before the texts.
        default_prompt: the model's default prompt, if it was put before the texts because none was given.
    """

    path: Path
    n_rows: int
    n_missing: int
    n_kept: int
    dimension: int
    dtype: Dtype
    columns: tuple[str, ...]
    seconds: float
    unused_prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "columns": list(self.columns)}


def embed(
    target: object, data: object, output: str | Path | None = None, *, text: Sequence[str] = (), prompt: str | None = None,
    dtype: Dtype = "float32", dimensions: int | None = None, normalize: bool = False, max_length: int | None = None,
    resume: bool = False, overwrite: bool = False, listener: Listener = silent,
) -> Any:  # fmt: skip
    """Writes the embeddings of texts, in the order of the rows, as ``Embedded``; returns them (N, D) if there is no output.

    Args:
        target: a run or its folder, another folder, a hub id or ``builtin:NAME``.
        data: the path of a file; a text or texts, or a table in memory.
        output: ``.npy`` (N, D), or ``.parquet`` with ``embedding`` and ``id``: the column ``id`` or ``_id``, else the row number.
        text: columns, joined by a blank; default: the detected text column.
        prompt: prefix of every text; None for the model's default prompt, if it has one.
        dimensions, normalize: keep so many leading dimensions (Matryoshka); then scale every embedding to length 1.
        resume: continue an interrupted run, which must have the same settings.

    Raises:
        InputError: the rows, the model or the output cannot be used; nothing was written.
        Interrupted: Ctrl-C; the finished parts stay.

    Example::

        tunesmith.embed("builtin:minilm", ["where is my parcel?", "cancel it please"]).shape
    """
    started, path = time.perf_counter(), None if output is None else require_place(Path(output), data, resume, overwrite)
    table = read_rows_or_text(data, listener)
    columns = text_columns(table, text)
    texts, name = join_columns(table, columns), str(getattr(target, "folder", target))
    if path is None:
        require_texts(table, texts, resume or overwrite)
    encoder = load_model(find_model(ModelSection(name=name), Path()), max_length, dimensions, listener)
    settings = Settings(
        model=name,
        model_sha256=hash_model(name, Path()),
        source_sha256=table.sha256 or sha256_of(texts),
        columns=columns,
        prompt=encoder.default_prompt if prompt is None else prompt,
        max_length=max_length,
        dimensions=dimensions or encoder.dimension,
        dtype=dtype,
        normalize=normalize,
    )
    if path is None:
        return vectors_in_memory(texts, encoder, settings, listener)
    with begin(parts_folder(path), settings, resume), disk_errors(path.parent):
        n_kept = write_parts(parts_folder(path), texts, encoder, settings, listener)
        join_parts(path, parts_folder(path), table, texts, settings)
    found = embedded(path, texts, n_kept, settings, round(time.perf_counter() - started, 3))
    default = encoder.default_prompt if prompt is None else ""
    return replace(found, unused_prompts={} if settings.prompt else encoder.prompts, default_prompt=default)


def embedded(path: Path, texts: Sequence[str | None], n_kept: int, settings: Settings, seconds: float) -> Embedded:
    """Describes the written embeddings."""
    return Embedded(
        path=path,
        n_rows=len(texts),
        n_missing=sum(text is None for text in texts),
        n_kept=n_kept,
        dimension=settings.dimensions,
        dtype=settings.dtype,
        columns=settings.columns,
        seconds=seconds,
    )


def text_columns(table: Table, requested: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the requested text columns, or the detected one."""
    columns = (requested,) if isinstance(requested, str) else tuple(requested)
    return columns or (detect_columns(table, "classification", ColumnsSection(), need_label=False).text,)


def require_texts(table: Table, texts: Sequence[str | None], restarts: bool) -> None:
    """Raises InputError if a row has no text, so that an array of embeddings would have no row for it."""
    if restarts:
        raise OutputError.one("output", "resume and overwrite concern a file, and there is no output.", "Name it: output=FILE.")
    missing = [table.row_ids[i] for i, text in enumerate(texts) if text is None]
    if missing:
        message = f"{len(missing)} of {plural(len(texts), 'row')} have no text: rows {listed(missing, 5)}, counted from 0."
        raise DataError.one(table.source, message, "Leave them out, or fill in their texts.")


def sha256_of(texts: Sequence[str | None]) -> str:
    """Returns a hash of texts in memory, by which a resumed run recognises them."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def vectors_in_memory(texts: Sequence[str | None], encoder: SentenceEncoder, settings: Settings, listener: Listener) -> Array:
    """Computes the embeddings of all texts (N, D), none of which is missing."""
    listener(Event("phase", "embeddings"))

    def progress(done: int) -> None:
        listener(Event("step", "embeddings", done, len(texts)))

    return vectors_of([text for text in texts if text is not None], encoder, settings, progress)


def vectors_of(texts: list[str], encoder: SentenceEncoder, settings: Settings, progress: Callable[[int], None]) -> Array:
    """Computes the embeddings of texts (N, D) with these settings."""
    leading = encoder.encode(texts, settings.prompt, progress)[:, : settings.dimensions]
    return (normalised(leading) if settings.normalize else leading).astype(settings.dtype)


def require_place(path: Path, data: object, resume: bool, overwrite: bool) -> Path:
    """Returns the path; raises OutputError if the embeddings cannot be written there, or another file is in the way."""
    if path.suffix not in SUFFIXES:
        message = f"vectors cannot be written as {path.suffix or 'a file without a suffix'}."
        raise OutputError.one(str(path), message, f"Use one of {', '.join(SUFFIXES)}.")
    require_file_place(path, data)
    if path.exists() and not overwrite:
        raise OutputError.one(str(path), "there is such a file.", "Choose another name, or replace it with --overwrite.")
    parts = parts_folder(path)
    if parts.exists() and not (parts / STATE).exists() and set(os.listdir(parts)) - {LOCK}:
        raise OutputError.one(str(parts), "this is no unfinished embedding, and its name is needed.", "Choose another output.")
    if (parts / LOCK).exists():
        take_lock(parts / LOCK).close()
    if parts.exists() and not (resume or overwrite):
        remedy = "Continue it with --resume, or start over with --overwrite."
        raise OutputError.one(str(path), f"an unfinished embedding is at {parts}.", remedy)
    if resume and not (parts / STATE).exists():
        raise OutputError.one(str(path), f"there is no unfinished embedding at {parts}.", "Start it without --resume.")
    return path


def parts_folder(path: Path) -> Path:
    return path.with_name(f"{path.name}.parts")


def join_columns(table: Table, columns: Sequence[str]) -> list[str | None]:
    """Joins the text columns of each row by a blank; None for a row whose cells are all missing."""
    for name in columns:
        if name not in table.columns:
            raise DataError.one(table.source, f"there is no column {name!r}.", f"Columns: {listed(table.columns)}.")
    rows = zip(*(table.columns[name] for name in columns), strict=True)
    texts = [" ".join(str(cell).strip() for cell in cells if not is_missing(cell)) or None for cells in rows]
    if not any(texts):
        raise DataError.one(table.source, f"no row has a text in {listed(columns)}.", f"Columns: {listed(table.columns)}.")
    return texts


def load_model(source: ModelSource, max_length: int | None, dimensions: int | None, listener: Listener) -> SentenceEncoder:
    """Loads the model, and checks that its embeddings have as many dimensions as requested."""
    from tunesmith.models.embedding.encoder import load_encoder, resolve_dimensions

    listener(Event("phase", "model"))
    encoder = load_encoder(source, max_length)
    resolve_dimensions(encoder, [] if dimensions is None else [dimensions])
    return encoder


def begin(parts: Path, settings: Settings, resume: bool) -> TextIO:
    """Makes the folder of parts, or checks that an unfinished one has these settings; returns its lock."""
    plain = json.loads(json.dumps(asdict(settings)))
    if resume:
        before = read_state(parts)
        changed = [f"{key} was {before.get(key)!r} and is {plain[key]!r}" for key in plain if before.get(key) != plain[key]]
        if changed:
            message = f"the unfinished embedding has other settings: {'; '.join(changed)}."
            raise OutputError.one(str(parts), message, "Set them back, or start over with --overwrite.")
        return take_lock(parts / LOCK)
    parts.mkdir(exist_ok=True)
    lock = take_lock(parts / LOCK)
    for old in (path for path in parts.iterdir() if path.name != LOCK):
        old.unlink()
    write_text(parts / STATE, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
    return lock


def read_state(parts: Path) -> dict[str, Any]:
    """Reads the settings of an unfinished embedding. Raises OutputError if they are damaged."""
    try:
        state = json.loads((parts / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        state = error
    if not isinstance(state, dict):
        raise OutputError.one(str(parts / STATE), "the settings of the unfinished embedding cannot be read.", "Use --overwrite.")
    return state


def order_of(texts: Sequence[str | None]) -> Array:
    """Returns positions of the rows with a text, the longest first: little padding, and a lack of memory shows at once."""
    lengths = np.array([-1 if text is None else len(text) for text in texts])
    order = np.argsort(-lengths, kind="stable")
    return order[lengths[order] >= 0]


def write_parts(
    parts: Path, texts: Sequence[str | None], encoder: SentenceEncoder, settings: Settings, listener: Listener
) -> int:
    """Writes the missing parts; returns the number of rows in the others. Raises Interrupted on Ctrl-C; finished parts stay."""
    listener(Event("phase", "embeddings"))
    order, n_kept = order_of(texts), 0
    try:
        for number, start in enumerate(range(0, len(order), ROWS_PER_PART)):
            rows, place = order[start : start + ROWS_PER_PART], part_path(parts, number)
            if place.exists():
                n_kept += len(rows)
                continue

            def progress(done: int, start: int = start) -> None:
                listener(Event("step", "embeddings", start + done, len(order)))

            chosen = [text for text in (texts[i] for i in rows.tolist()) if text is not None]
            with whole_file(place) as part:
                np.save(part, vectors_of(chosen, encoder, settings, progress))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; the finished parts are kept in {parts}. Continue with --resume.") from None
    return n_kept


def part_path(parts: Path, number: int) -> Path:
    return parts / f"part-{number:06d}.npy"


def join_parts(path: Path, parts: Path, table: Table, texts: Sequence[str | None], settings: Settings) -> None:
    """Joins all parts into one file in the order of the rows, which gets its final name when complete; removes the parts."""
    whole = parts / "whole.npy"
    n_bytes = len(texts) * settings.dimensions * np.dtype(settings.dtype).itemsize
    require_space(parts, n_bytes * (1 if path.suffix == ".npy" else 2), str(path))
    matrix = np.lib.format.open_memmap(whole, "w+", settings.dtype, (len(texts), settings.dimensions))
    matrix[[i for i, text in enumerate(texts) if text is None]] = np.nan
    order = order_of(texts)
    for number, start in enumerate(range(0, len(order), ROWS_PER_PART)):
        matrix[order[start : start + ROWS_PER_PART]] = load_part(part_path(parts, number))
    matrix.flush()
    if path.suffix == ".npy":
        whole.replace(path)
    else:
        write_parquet(parts / "whole.parquet", matrix, table, texts)
        (parts / "whole.parquet").replace(path)
    shutil.rmtree(parts)


def load_part(path: Path) -> Array:
    """Reads one part. Raises OutputError if the file is damaged."""
    try:
        part: Array = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise OutputError.one(str(path), f"the part cannot be read ({error}).", "Start over with --overwrite.") from error
    return part


def write_parquet(path: Path, matrix: Array, table: Table, texts: Sequence[str | None]) -> None:
    """Writes ``id`` and ``embedding`` of every row; the embedding is null without a text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = next((name for name in IDS if name in table.columns), None)
    ids = [str(cell) for cell in table.columns[name]] if name else table.row_ids
    kind = pa.list_(pa.from_numpy_dtype(matrix.dtype), matrix.shape[1])
    schema = pa.schema([("id", pa.string() if name else pa.int64()), ("embedding", kind)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(texts), ROWS_PER_PART):
            rows = slice(start, start + ROWS_PER_PART)
            missing = np.array([text is None for text in texts[rows]])
            flat = pa.array(np.ascontiguousarray(matrix[rows]).ravel())
            vectors = pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(missing))
            writer.write_table(pa.table([pa.array(ids[rows], schema.field("id").type), vectors], schema=schema))
