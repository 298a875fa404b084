"""Loads the data of an embedding run: reads, detects formats, converts and splits; and reads the retrieval folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.columns import find_column
from tunesmith.data.concatenated import first_rows, following_note
from tunesmith.data.pairs.class_names import align_classes, occurring_classes, require_one_coding, with_class_names
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
from tunesmith.recipe.sections import ColumnsSection, Recipe

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
    base: Path
    train: Table
    train_format: PairFormat
    notes: list[str]

    @cached_property
    def named_classes(self) -> NamedClasses:
        """The classes of labelled pairs that the recipe names."""
        section = self.recipe.embedding
        beside = occurring_classes(self.train, self.train_format)
        return NamedClasses(section.same, section.different, beside=beside)

    def aligned(self, table: Table, row_format: PairFormat) -> Table:
        """Returns a further table with its classes by their names, in the notation of the training table."""
        named = with_noted_names(table, row_format, self.notes)
        return align_classes(named, row_format, self.train, self.train_format, self.notes)


def load_embedding_data(recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None) -> EmbeddingData:
    """Loads the rows of an embedding run and its retrieval folder.

    The format is detected in train; validation and test have the same columns, or a format of their own. A folder in the BEIR
    layout as ``data.train`` gives each query of ``qrels/train.tsv`` with each of its relevant documents.
    """
    notes: list[str] = []
    tables = read_tables(recipe, base, frames or {}, notes)
    train_format = detect_and_note(tables["train"], requested_columns(recipe.data.columns), notes)
    tables["train"] = with_noted_names(tables["train"], train_format, notes)
    reading = EmbeddingReading(recipe, base, tables["train"], train_format, notes)
    splits = {"train": read_rows(tables["train"], train_format, "train", reading)}
    also = read_also(reading)
    if also and recipe.embedding.mix == "concatenate":
        splits["train"], also = concatenate([splits["train"], *also], notes), []
    for split in SPLITS[1:]:
        if split in tables:
            # A table with train's columns has its format, unless that cannot be evaluated, as single texts cannot.
            has_all = all(name in tables[split].columns for name in train_format.columns)
            is_same = train_format.kind != "single_text" and has_all
            row_format = train_format if is_same else detect_and_note(tables[split], {}, notes)
            splits[split] = read_rows(reading.aligned(tables[split], row_format), row_format, split, reading)
    take_shares(splits, recipe, split_embedding_rows, notes)
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


def read_also(reading: EmbeddingReading) -> list[EmbeddingRows]:
    """Reads each file of ``data.also`` in its own format; the recipe's columns apply where a file has all of them."""
    data, notes = reading.recipe.data, reading.notes
    columns = requested_columns(data.columns)
    names = [name for value in columns.values() for name in (value if isinstance(value, list) else [value])]
    files = []
    for source in data.also:
        table = read_table(source, header=data.header, encoding=data.encoding, base=reading.base, split="train")
        table = with_single_texts(table, notes)
        has_all = all(find_column(table, name) is not None for name in names)
        own_format = detect_and_note(table, columns if has_all else {}, notes)
        files.append(read_rows(reading.aligned(table, own_format), own_format, "train", reading))
    return files


def concatenate(parts: Sequence[EmbeddingRows], notes: list[str]) -> EmbeddingRows:
    """Concatenates rows of several files; class names that differ only in case are one. Raises DataError for other formats."""
    first = parts[0]
    placed = list(zip(first_rows((part.rows_read, part.row_ids) for part in parts), parts, strict=True))
    for part in parts:
        if (part.format.kind, len(part.sides)) != (first.format.kind, len(first.sides)):
            message = f"{first.source} has {first.format.name} rows and these {part.format.name} rows; one table has one format."
            raise DataError.one(part.source, message, "Use embedding.mix: proportional, or embedding.convert.")
    if first.format.kind in CLASS_KINDS:
        require_one_coding([(part.source, part.classes) for part in parts], first.format)
    for offset, part in placed:
        if part is not first:
            notes.append(following_note(part.source, offset))
    targets = [value for part in parts for value in part.target or ()]
    if first.format.kind in CLASS_KINDS:  # a class name is written as in the first file that has it
        names = {name.casefold(): name for name in first.classes}
        targets = [names.setdefault(value.casefold(), value) for value in targets]

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


def read_rows(table: Table, row_format: PairFormat, split: str, reading: EmbeddingReading) -> EmbeddingRows:
    """Reads the usable rows; training rows are converted where the recipe requests another format."""
    recipe, notes = reading.recipe, reading.notes
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
