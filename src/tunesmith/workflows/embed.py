"""Implements ``embed``: writes the embeddings of a file's texts, in parts that survive an interruption, then as one file."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.columns import detect_columns
from tunesmith.data.table import Table
from tunesmith.disk import disk_errors, require_space
from tunesmith.errors import DataError, OutputError
from tunesmith.evaluation.search import normalised
from tunesmith.models.many_processes import count_processes
from tunesmith.models.source import ModelSource, find_model
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.sections import ColumnsSection, ModelSection
from tunesmith.workflows.inputs import hash_model
from tunesmith.workflows.parts import Work, begin, fill, longest_first, require_place, write_parts
from tunesmith.workflows.predict import read_texts

if TYPE_CHECKING:
    from tunesmith.models.embedding.encoder import SentenceEncoder

Dtype = Literal["float32", "float16"]
DTYPES: tuple[Dtype, ...] = ("float32", "float16")
SUFFIXES = (".parquet", ".npy")
ROWS_PER_PART = 8_192
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
    resume: bool = False, overwrite: bool = False, processes: int | str = 1, listener: Listener = silent,
) -> Any:  # fmt: skip
    """Writes the embeddings of texts, in the order of the rows, as ``Embedded``; returns them (N, D) if there is no output.

    Args:
        target: a run or its folder, another folder, a hub id or ``builtin:NAME``.
        data: the path of a file (``.txt``: one text a line, as for ``predict``); a text or texts, or a table in memory.
        output: ``.npy`` (N, D), or ``.parquet`` with ``embedding`` and ``id``: the column ``id`` or ``_id``, else the row number.
        text: columns, joined by a blank; default: the detected text column.
        prompt: prefix of every text; None for the model's default prompt, if it has one.
        dimensions, normalize: keep so many leading dimensions (Matryoshka); then scale every embedding to length 1.
        resume: continue an interrupted run, which must have the same settings.
        processes: that divide the rows, each with a GPU or with a share of the cores; ``auto``: one for each GPU.

    Raises InputError if rows, model or output cannot be used (nothing was written), Interrupted on Ctrl-C (finished parts stay).

    Example::

        tunesmith.embed("builtin:minilm", ["where is my parcel?", "cancel it please"]).shape
    """
    started, path = time.perf_counter(), None if output is None else Path(output)
    work = None if path is None else placed(path, data, resume, overwrite)
    table = read_texts(data, listener)
    columns, name = text_columns(table, text), str(getattr(target, "folder", target))
    texts = join_columns(table, columns)
    require_texts(table, texts, path, resume or overwrite)
    n_processes = count_processes(processes, sum(text is not None for text in texts))
    source = find_model(ModelSection(name=name), Path())
    encoder = load_model(source, max_length, dimensions, listener)
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
    with in_processes_of(encoder, source, max_length, n_processes) as encoder:
        if path is None or work is None:
            return vectors_in_memory(texts, encoder, settings, listener)
        n_kept = embed_file(work, table, texts, encoder, settings, resume, listener)
    found = embedded(path, texts, n_kept, settings, round(time.perf_counter() - started, 3))
    default = encoder.default_prompt if prompt is None else ""
    return replace(found, unused_prompts={} if settings.prompt else encoder.prompts, default_prompt=default)


def in_processes_of(
    encoder: SentenceEncoder, source: ModelSource, max_length: int | None, processes: int
) -> AbstractContextManager[SentenceEncoder]:
    """Returns the context in which several processes compute the vectors of an encoder; see ``encoder_in_processes``."""
    from tunesmith.models.embedding.encoder import encoder_in_processes

    return encoder_in_processes(encoder, source, max_length, processes)


def placed(path: Path, data: object, resume: bool, overwrite: bool) -> Work:
    """Returns the work of an output file. Raises OutputError if it cannot be written there, or another file is in the way."""
    work = Work("embedding", path, SUFFIXES, ROWS_PER_PART)
    require_place(work, data, resume, overwrite)
    return work


def embed_file(
    work: Work, table: Table, texts: Sequence[str | None], encoder: SentenceEncoder, settings: Settings, resume: bool,
    listener: Listener,
) -> int:  # fmt: skip
    """Writes the embeddings of the texts; returns the number of rows with embeddings from an interrupted run."""

    def compute(rows: list[int], progress: Callable[[int], None]) -> Array:
        return vectors_of([text for text in (texts[i] for i in rows) if text is not None], encoder, settings, progress)

    with begin(work, settings, resume), disk_errors(work.path.parent):
        n_kept = write_parts(work, order_of(texts), compute, listener)
        join_parts(work, table, texts, settings)
    return n_kept


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


def require_texts(table: Table, texts: Sequence[str | None], path: Path | None, restarts: bool) -> None:
    """Raises InputError if a row has no text and there is no output file, so that an array would have no row for it."""
    if path is not None:
        return
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


def order_of(texts: Sequence[str | None]) -> Array:
    """Returns positions of the rows with a text, the longest first."""
    return longest_first([-1 if text is None else len(text) for text in texts])


def join_parts(work: Work, table: Table, texts: Sequence[str | None], settings: Settings) -> None:
    """Joins all parts into one file in the order of the rows, which gets its final name when complete; removes the parts."""
    path, parts = work.path, work.parts
    whole = parts / "whole.npy"
    n_bytes = len(texts) * settings.dimensions * np.dtype(settings.dtype).itemsize
    require_space(parts, n_bytes * (1 if path.suffix == ".npy" else 2), str(path))
    matrix = np.lib.format.open_memmap(whole, "w+", settings.dtype, (len(texts), settings.dimensions))
    matrix[[i for i, text in enumerate(texts) if text is None]] = np.nan
    fill(matrix, work, order_of(texts))
    matrix.flush()
    if path.suffix == ".npy":
        whole.replace(path)
    else:
        write_parquet(parts / "whole.parquet", matrix, table, texts)
        (parts / "whole.parquet").replace(path)
    shutil.rmtree(parts)


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
