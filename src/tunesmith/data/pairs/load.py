"""Loads the data of an embedding run: reads, detects formats, converts and splits; and reads the retrieval folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.columns import find_column
from tunesmith.data.concatenated import first_rows, following_note
from tunesmith.data.labelled.also import also_key
from tunesmith.data.labelled.codings import FileClasses, shared_coding
from tunesmith.data.pairs.class_map import map_classes
from tunesmith.data.pairs.class_names import align_classes, occurring_classes, with_class_names
from tunesmith.data.pairs.conversions import convert
from tunesmith.data.pairs.formats import PARTS, PairFormat, detect_pair_format
from tunesmith.data.pairs.pair_classes import NamedClasses
from tunesmith.data.pairs.retrieval import LAYOUT, SUFFIXES, Retrieval, beir_folder, read_beir
from tunesmith.data.pairs.rows import CLASS_KINDS, EmbeddingRows, split_embedding_rows, usable_rows
from tunesmith.data.pairs.text_lists import divide_text_lists
from tunesmith.data.readers.read import read_table, retrieval_names
from tunesmith.data.readers.splits import apply_split_column, find_split_column, read_splits
from tunesmith.data.records import SplitData, split_record
from tunesmith.data.split import SPLITS, limit_rows, take_shares
from tunesmith.data.table import Table, repaired_rows
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection, DataSection, Recipe

BEIR_TRAIN = "train"


@dataclass(frozen=True)
class EmbeddingData(SplitData[EmbeddingRows]):
    """The rows of an embedding run; validation may have another format than train.

    Attributes:
        also: further training rows with a loss each; those that are concatenated stand in ``train``.
        retrieval: the folder that ``evaluate.retrieval`` names.
        named_classes: the classes of labelled pairs that the recipe names.
    """

    also: tuple[EmbeddingRows, ...] = field(default=(), kw_only=True)
    retrieval: Retrieval | None = field(default=None, kw_only=True)
    named_classes: NamedClasses = field(default=NamedClasses(), kw_only=True)


@dataclass(frozen=True)
class EmbeddingReading:
    """What every file of an embedding run is read with.

    Attributes:
        train, train_format: the training table, whose classes the other files share.
        notes: messages for the user; grows while files are read.
    """

    recipe: Recipe
    train: Table
    train_format: PairFormat
    notes: list[str]

    @cached_property
    def named_classes(self) -> NamedClasses:
        """The classes of labelled pairs that the recipe names."""
        section = self.recipe.embedding
        beside = occurring_classes(self.train, self.train_format)
        return NamedClasses(section.same, section.different, beside=beside)

    def aligned(self, key: str, table: Table, row_format: PairFormat) -> Table:
        """Returns a further table with its classes in the notation of the training table, which stays as it is."""
        if key == "train":
            return table
        return align_classes(table, row_format, self.train, self.train_format, self.notes)


def load_embedding_data(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> EmbeddingData:
    """Loads the rows of an embedding run and its retrieval folder.

    The format is detected in train; validation and test have the same columns, or a format of their own. A folder in the BEIR
    layout as ``data.train`` gives each query of ``qrels/train.tsv`` with each of its relevant documents.
    """
    notes: list[str] = []
    tables = read_tables(recipe, base, frames or {}, notes)
    tables |= read_also(recipe.data, base, notes)
    formats = detect_formats(tables, recipe.data.columns, notes)
    for key, table in tables.items():
        tables[key] = with_noted_names(table, formats[key], notes)
    mapped = map_classes(tables, formats, recipe.data, notes)
    reading = EmbeddingReading(recipe, tables["train"], formats["train"], notes)
    rows = {key: read_rows(reading.aligned(key, tables[key], formats[key]), formats[key], key, reading) for key in tables}
    splits, also = {key: rows[key] for key in SPLITS if key in rows}, [rows[key] for key in rows if key not in SPLITS]
    if also and recipe.embedding.mix == "concatenate":
        own_map = [key in mapped for key in rows if key not in SPLITS]
        splits["train"], also = concatenate([splits["train"], *also], ["train" in mapped, *own_map], notes), []
    take_shares(splits, recipe, base, split_embedding_rows, notes)
    limit_rows(splits, recipe, notes)
    folder = recipe.evaluate.retrieval
    return EmbeddingData(
        splits["train"],
        splits.get("validation"),
        splits.get("test"),
        also=tuple(also),
        retrieval=None if folder is None else read_beir(beir_folder(folder, base)),
        named_classes=reading.named_classes,
        notes=tuple(notes),
    )


def read_tables(recipe: Recipe, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """Reads the tables of train, validation and test, and divides one that has a split column."""
    data = recipe.data
    folder = None if "train" in frames else retrieval_folder(data.train, base)
    if folder is not None:
        search = read_beir(folder, BEIR_TRAIN)
        pairs = list(zip(search.judgements.query.tolist(), search.judgements.document.tolist(), strict=True))
        texts = {"query": [search.queries[q] for q, _ in pairs], "document": [search.documents[d] for _, d in pairs]}
        table = Table.whole(str(folder), texts)
        notes.append(f"{data.train}: the queries of qrels/{BEIR_TRAIN} with the documents that answer them.")
        notes.extend(f"{data.train}: {note}" for note in search.notes)
        return read_splits(data, base, {**frames, "train": table.columns}, notes) | {"train": table}
    tables = read_splits(data, base, frames, notes)
    tables = {split: with_single_texts(table, notes) for split, table in tables.items()}
    column = find_split_column(tables["train"], data.columns)
    if column is not None:
        apply_split_column(tables, column, data, notes)
    return tables


def with_noted_names(table: Table, row_format: PairFormat, notes: list[str]) -> Table:
    """Replaces numbers of classes by the names that another column pairs with them; a note says so."""
    named, note = with_class_names(table, row_format)
    notes += [f"{table.source}: {note}"] if note else []
    return named


def with_single_texts(table: Table, notes: list[str]) -> Table:
    """Divides lists of positives and negatives; a note says so."""
    divided, note = divide_text_lists(table)
    notes += [f"{table.source}: {note}"] if note else []
    return divided


def retrieval_folder(name: str, base: Path) -> Path | None:
    """Returns the folder in the BEIR layout that ``data.train`` names; None if it names something else."""
    if name.startswith("hub:") or (name.startswith("builtin:") and name.removeprefix("builtin:") not in retrieval_names()):
        return None
    folder = beir_folder(name, base)
    names = ("corpus", "queries")
    found = [name for name in names if any((folder / f"{name}{s}").is_file() for s in SUFFIXES)]
    if len(found) == 1 and (folder / "qrels").is_dir():
        missing = next(name for name in names if name not in found)
        raise DataError.one(name, f"The folder has {found[0]} and qrels, and no {missing}.jsonl.", LAYOUT)
    return folder if len(found) == len(names) else None


def detect_and_note(table: Table, columns: Mapping[str, str | list[str]], notes: list[str]) -> PairFormat:
    detected = detect_pair_format(table, columns)
    notes.append(f"{table.source}: {detected.name} rows of {' + '.join(detected.columns)}, {detected.reason}.")
    return detected


def requested_columns(columns: ColumnsSection) -> dict[str, str | list[str]]:
    """Returns part -> column, for the parts that the recipe names."""
    return {part: getattr(columns, part) for part in PARTS if getattr(columns, part, None) is not None}


def read_also(data: DataSection, base: Path, notes: list[str]) -> dict[str, Table]:
    """Reads the tables of ``data.also``, by ``also_key``."""
    read = partial(read_table, header=data.header, encoding=data.encoding, base=base, split="train")
    return {also_key(i): with_single_texts(read(source), notes) for i, source in enumerate(data.also)}


def detect_formats(tables: Mapping[str, Table], columns: ColumnsSection, notes: list[str]) -> dict[str, PairFormat]:
    """Detects the format of each table; notes say why.

    The columns of the recipe are those of train, and of a further training file that has all of them. An evaluation table
    with the columns of train has its format, unless that cannot be evaluated, as single texts cannot.
    """
    requested = requested_columns(columns)
    formats = {"train": detect_and_note(tables["train"], requested, notes)}
    ours, names = (
        formats["train"],
        [name for value in requested.values() for name in (value if isinstance(value, list) else [value])],
    )
    for key, table in tables.items():
        if key in SPLITS[1:]:
            is_same = ours.kind != "single_text" and all(name in table.columns for name in ours.columns)
            formats[key] = ours if is_same else detect_and_note(table, {}, notes)
        elif key not in SPLITS:
            has_all = all(find_column(table, name) is not None for name in names)
            formats[key] = detect_and_note(table, requested if has_all else {}, notes)
    return formats


def with_one_coding(parts: Sequence[EmbeddingRows], mapped: Sequence[bool], notes: list[str]) -> list[EmbeddingRows]:
    """Returns the rows of several files with the classes of the first; names that differ only in case are one.

    Args:
        mapped: whether ``data.labels`` gave the classes of each file.

    Raises DataError for classes that cannot be those of one table, see ``shared_coding``.
    """
    if parts[0].format.kind not in CLASS_KINDS:
        return list(parts)
    spelled: dict[str, str] = {}
    for part in parts:
        for name in part.classes:
            spelled.setdefault(name.casefold(), name)
    parts = [part.renamed({name: spelled[name.casefold()] for name in part.classes}) for part in parts]
    files = [FileClasses(part.source, frozenset(part.classes), mapped=own) for part, own in zip(parts, mapped, strict=True)]
    remedy = "Or train on each file with its own loss: embedding.mix: proportional."
    coding = shared_coding(files, other_topics=parts[0].format.kind == "labelled_text", remedy=remedy)
    notes.extend(coding.notes)
    return [part.renamed(own) for part, own in zip(parts, coding.renamed, strict=True)]


def concatenate(parts: Sequence[EmbeddingRows], mapped: Sequence[bool], notes: list[str]) -> EmbeddingRows:
    """Concatenates rows of several files, with the classes of the first. Raises DataError for other formats.

    Args:
        mapped: see ``with_one_coding``.
    """
    first = parts[0]
    for part in parts:
        if (part.format.kind, len(part.sides)) != (first.format.kind, len(first.sides)):
            message = f"{first.source} has {first.format.name} rows and these {part.format.name} rows; one table has one format."
            raise DataError.one(part.source, message, "Use embedding.mix: proportional, or embedding.convert.")
    parts = with_one_coding(parts, mapped, notes)
    placed = list(zip(first_rows((part.rows_read, part.row_ids) for part in parts), parts, strict=True))
    for offset, part in placed:
        if part is not parts[0]:
            notes.append(following_note(part.source, offset))
    targets = [value for part in parts for value in part.target or ()]

    def joined(ids_of: Callable[[EmbeddingRows], Mapping[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
        reasons = dict.fromkeys(reason for part in parts for reason in ids_of(part))
        return {why: tuple(offset + i for offset, part in placed for i in ids_of(part).get(why, ())) for why in reasons}

    return replace(
        first,
        source=" + ".join(part.source for part in parts),
        row_ids=tuple(offset + i for offset, part in placed for i in part.row_ids),
        sides=tuple(tuple(text for part in parts for text in part.sides[j]) for j in range(len(first.sides))),
        target=None if first.target is None else tuple(targets),
        groups=None,
        left_out=joined(lambda part: part.left_out),
        repairs=joined(lambda part: part.repairs),
        rows_read=sum(part.rows_read for part in parts),
        sha256="",
    )


def read_rows(table: Table, row_format: PairFormat, key: str, reading: EmbeddingReading) -> EmbeddingRows:
    """Reads the usable rows; training rows are converted where the recipe requests another format.

    Args:
        key: a split, or that of a further training file.
    """
    recipe, notes, split = reading.recipe, reading.notes, key if key in SPLITS else "train"
    group = recipe.data.columns.group
    if group is not None and group not in table.columns:
        if split == "train":
            message = f"There is no column {group!r} for the groups."
            raise DataError.one(table.source, message, f"Columns: {listed(table.columns)}.")
        group = None
    to = recipe.embedding.convert
    if to is None or row_format.kind == to:
        return usable_rows(table, row_format, split, score_range=recipe.embedding.score_range, group=group)
    if split != "train":
        return usable_rows(table, row_format, split, group=group)
    converted = convert(table, row_format, to, recipe.train.seed, named=reading.named_classes)
    notes.append(f"{table.source}: {converted.summary()}.")
    row_ids, sides = tuple(range(len(converted.rows))), tuple(zip(*converted.rows, strict=True))
    new_format = PairFormat(to, converted.columns, (), f"converted from {row_format.name}")
    n_read, repairs = converted.n_source, repaired_rows(table)
    return EmbeddingRows(
        "train", table.source, row_ids, new_format, sides, rows_read=n_read, repairs=repairs, sha256=table.sha256
    )


def data_record(data: EmbeddingData) -> dict[str, Any]:
    """Records the data for ``result.json`` as plain JSON types."""
    train_format, retrieval = data.train.format, data.retrieval
    record: dict[str, Any] = {
        "problem_type": "embedding",
        "format": train_format.kind,
        "shape": train_format.kind,  # the earlier name of ``format``
        "columns": {"texts": list(train_format.texts), "target": list(train_format.target)},
        "columns_reasons": {"texts": train_format.reason},
        "notes": list(data.notes),
        "splits": {name: split_record(rows, format_record(rows)) for name, rows in data.named().items()},
        "also": [split_record(rows, format_record(rows)) for rows in data.also],
    }
    named = data.named_classes
    if named.beside:
        record["pair_classes"] = {"classes": list(named.beside), "same": named.same, "different": named.different}
    if retrieval is not None:
        record["retrieval"] = {
            "source": retrieval.source,
            "split": retrieval.split,
            "documents": len(retrieval.documents),
            "queries": len(retrieval.queries),
            "notes": list(retrieval.notes),
        }
    return record


def format_record(rows: EmbeddingRows) -> dict[str, Any]:
    return {"format": rows.format.kind, "shape": rows.format.kind, "columns": list(rows.format.columns)}
