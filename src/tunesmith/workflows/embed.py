"""The story of ``embed``: the texts of a file, their vectors in parts that survive an interruption, one file at the end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, listed
from tunesmith.data.columns import detect_columns
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Table
from tunesmith.errors import DataError, Interrupted, OutputError
from tunesmith.models.source import ModelSource, find_model
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.sections import ColumnsSection, ModelSection

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
    """Everything that decides what a vector is. A resumed embedding has to have the same."""

    model: str
    weights_bytes: int
    source_sha256: str
    columns: tuple[str, ...]
    prompt: str
    max_length: int | None
    dimensions: int
    dtype: Dtype
    normalize: bool


@dataclass(frozen=True)
class Embedded:
    """What was written.

    Attributes:
        n_rows: of the file; the vectors are in its order.
        n_missing: rows without a text: null in parquet, NaN in npy.
        n_kept: rows whose vectors an interrupted embedding had left.
    """

    path: Path
    n_rows: int
    n_missing: int
    n_kept: int
    dimension: int
    dtype: Dtype
    columns: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "columns": list(self.columns)}


def embed(
    target: str | Path, data: str | Path, output: str | Path, *, text: Sequence[str] = (), prompt: str = "",
    dtype: Dtype = "float32", dimensions: int | None = None, normalize: bool = False, max_length: int | None = None,
    resume: bool = False, overwrite: bool = False, listener: Listener = silent,
) -> Embedded:  # fmt: skip
    """Write the vectors of a file's texts, in the order of its rows.

    Args:
        target: a run, a folder, a hub id or ``builtin:NAME``.
        output: ``.npy`` (N, D), or ``.parquet`` with ``embedding`` and ``id``: the column ``id`` or ``_id``, else the row number.
        text: columns, joined by a blank; the text column that is found when not said.
        prompt: put before every text.
        dimensions: keep the first so many (Matryoshka).
        normalize: give every vector length 1, after it was cut.
        resume: go on with an interrupted embedding, which has to have the same settings.

    Raises:
        InputError: the file, the model or the place to write to cannot be used; nothing was written.
        Interrupted: by Ctrl-C; the finished parts stay.
    """
    started, path = time.perf_counter(), Path(output)
    require_place(path, resume, overwrite)
    table = read_table(str(data))
    columns = tuple(text) or (detect_columns(table, "classification", ColumnsSection(), need_label=False).text,)
    texts = joined(table, columns)
    source = find_model(ModelSection(name=str(target)), Path())
    listener(Event("phase", "model"))
    encoder = loaded(source, max_length, dimensions)
    settings = Settings(
        str(target), source.n_bytes, table.sha256, columns, prompt, max_length, dimensions or encoder.dimension, dtype, normalize
    )
    parts = place_of_parts(path)
    begin(parts, settings, resume)
    listener(Event("phase", "embeddings"))
    try:
        kept = fill(parts, texts, encoder, settings, listener)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; what is done is kept in {parts}. Continue with --resume.") from None
    write(path, parts, table, texts, settings)
    shutil.rmtree(parts)
    missing = sum(one is None for one in texts)
    seconds = round(time.perf_counter() - started, 3)
    return Embedded(path, len(texts), missing, kept, settings.dimensions, dtype, columns, seconds)


def require_place(path: Path, resume: bool, overwrite: bool) -> None:
    """Raise OutputError where the vectors cannot be written there, or something is in the way."""
    if path.suffix not in SUFFIXES:
        message = f"vectors cannot be written as {path.suffix or 'a file without a suffix'}."
        raise OutputError.one(str(path), message, f"Use one of {', '.join(SUFFIXES)}.")
    if not path.absolute().parent.is_dir():
        raise OutputError.one(str(path), f"the folder {path.parent} does not exist.")
    if path.exists() and not overwrite:
        raise OutputError.one(str(path), "there is such a file.", "Choose another name, or replace it with --overwrite.")
    parts = place_of_parts(path)
    if parts.exists() and not (resume or overwrite):
        raise OutputError.one(
            str(path), f"an unfinished embedding is at {parts}.", "Continue it with --resume, or start over with --overwrite."
        )
    if resume and not (parts / STATE).exists():
        raise OutputError.one(str(path), f"there is no unfinished embedding at {parts}.", "Start it without --resume.")


def place_of_parts(path: Path) -> Path:
    return path.with_name(f"{path.name}.parts")


def joined(table: Table, columns: Sequence[str]) -> list[str | None]:
    """The text of every row: its columns joined by a blank; None where all of them are missing."""
    for name in columns:
        if name not in table.columns:
            raise DataError.one(table.source, f"there is no column {name!r}.", f"Columns: {listed(table.columns)}.")
    rows = zip(*(table.columns[name] for name in columns), strict=True)
    texts = [" ".join(str(cell).strip() for cell in cells if not is_missing(cell)) or None for cells in rows]
    if not any(texts):
        raise DataError.one(table.source, f"no row has a text in {listed(columns)}.", f"Columns: {listed(table.columns)}.")
    return texts


def loaded(source: ModelSource, max_length: int | None, dimensions: int | None) -> SentenceEncoder:
    """The model, after its vectors were found to have as many dimensions as are to be kept."""
    from tunesmith.models.embedding.encoder import load_encoder, resolve_dimensions

    encoder = load_encoder(source, max_length)
    resolve_dimensions(encoder, [] if dimensions is None else [dimensions])
    return encoder


def begin(parts: Path, settings: Settings, resume: bool) -> None:
    """Make the folder of parts, or check that the one to be continued was begun with these settings."""
    plain = json.loads(json.dumps(asdict(settings)))
    if resume:
        before = json.loads((parts / STATE).read_text(encoding="utf-8"))
        changed = [f"{key} was {before.get(key)!r} and is {plain[key]!r}" for key in plain if before.get(key) != plain[key]]
        if changed:
            message = f"the unfinished embedding has other settings: {'; '.join(changed)}."
            raise OutputError.one(str(parts), message, "Set them back, or start over with --overwrite.")
        return
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir()
    (parts / STATE).write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def order_of(texts: Sequence[str | None]) -> Array:
    """Positions of the rows with a text, the longest first: parts are padded little, and a lack of memory shows at once."""
    lengths = np.array([-1 if text is None else len(text) for text in texts])
    order = np.argsort(-lengths, kind="stable")
    return order[lengths[order] >= 0]


def fill(parts: Path, texts: Sequence[str | None], encoder: SentenceEncoder, settings: Settings, listener: Listener) -> int:
    """Write the parts that are not there yet; the number of rows that were."""
    order, kept = order_of(texts), 0
    for number, start in enumerate(range(0, len(order), ROWS_PER_PART)):
        rows, place = order[start : start + ROWS_PER_PART], part_path(parts, number)
        if place.exists():
            kept += len(rows)
            continue

        def progress(done: int, start: int = start) -> None:
            listener(Event("step", "embeddings", start + done, len(order)))

        chosen = [text for text in (texts[i] for i in rows.tolist()) if text is not None]
        vectors = cut(encoder.encode(chosen, settings.prompt, progress), settings)
        unfinished = place.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            np.save(file, vectors)
        unfinished.replace(place)
    return kept


def part_path(parts: Path, number: int) -> Path:
    return parts / f"part-{number:06d}.npy"


def cut(vectors: Array, settings: Settings) -> Array:
    """The vectors (N, D) as they are kept (N, dimensions)."""
    from tunesmith.evaluation.search import normalised

    first = vectors[:, : settings.dimensions]
    return (normalised(first) if settings.normalize else first).astype(settings.dtype)


def write(path: Path, parts: Path, table: Table, texts: Sequence[str | None], settings: Settings) -> None:
    """One file of all parts, in the order of the rows, under its final name only when it is whole."""
    whole = parts / "whole.npy"
    matrix = np.lib.format.open_memmap(whole, "w+", settings.dtype, (len(texts), settings.dimensions))
    matrix[[i for i, text in enumerate(texts) if text is None]] = np.nan
    order = order_of(texts)
    for number, start in enumerate(range(0, len(order), ROWS_PER_PART)):
        matrix[order[start : start + ROWS_PER_PART]] = np.load(part_path(parts, number))
    matrix.flush()
    if path.suffix == ".npy":
        whole.replace(path)
        return
    unfinished = parts / "whole.parquet"
    write_parquet(unfinished, matrix, table, texts)
    unfinished.replace(path)


def write_parquet(path: Path, matrix: Array, table: Table, texts: Sequence[str | None]) -> None:
    """``id`` and ``embedding`` of every row; the embedding is null where there is no text."""
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
