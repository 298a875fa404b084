"""Defines the two forms of data: a table as it was read, and examples as a task uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.data.cells import clip, is_missing
from tunesmith.data.concatenated import FileRow, SourceFile, find_row
from tunesmith.errors import DataError, Problem

NOT_TEXT_REMEDY = "Write one string a cell, or name another text column."
PER_ROW = ("row_ids", "texts", "labels", "pairs", "groups", "ids", "annotations")
"""Fields of ``Examples`` with a value for each row."""


@dataclass(frozen=True)
class BadRow:
    """A row that is not used, or is used with a repair.

    Attributes:
        row_id: 0-based position among the data rows of the source.
        line: 1-based line of the source file; None where the source has no lines.
        reason: short, and equal for all rows of one kind, so that rows can be counted by it.
        dropped: False where the row is used with a repair.
        label: the label that train does not have, as written.
        is_read: True where the row was read, and is left out because ``data.labels`` maps its label to null.
    """

    row_id: int
    line: int | None
    reason: str
    dropped: bool = True
    label: str = ""
    is_read: bool = False


@dataclass(frozen=True)
class Table:
    """The uninterpreted rows of one source.

    Attributes:
        source: path, hub name, or ``DataFrame``.
        columns: column name -> cells, all of the same length. csv and tsv cells are str; json, parquet and
            DataFrame cells keep their type (str, int, float, bool, list, None).
        row_ids: for each row its 0-based position in the source.
        has_header: False where the column names are generated (``column_1``, ...).
        sha256: hash of the file's bytes; empty where there is no file.
        bad_rows: rows dropped or repaired while reading.
        notes: assumptions (encoding, delimiter, header), as sentences for the user.
        lines: for each row the 1-based line of the source on which it starts; None where the source has no lines.
        classes: column -> class names in the order of their numbers, where the source declares them (``ClassLabel``).
        files: the files whose rows are concatenated here; empty for a single source.
        joined: column that ``data.template`` made -> the columns that it joins.
    """

    source: str
    columns: dict[str, list[Any]]
    row_ids: list[int]
    has_header: bool = True
    sha256: str = ""
    rows_read: int = 0
    bad_rows: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = ()
    lines: Sequence[int] | None = None
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: tuple[SourceFile, ...] = ()
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def whole(cls, source: str, columns: dict[str, list[Any]], **others: Any) -> Table:
        """Makes the table of a source of which every row was read."""
        n_rows = len(next(iter(columns.values()), []))
        return cls(source, columns, list(range(n_rows)), rows_read=n_rows, **others)

    def __len__(self) -> int:
        return len(self.row_ids)

    def place(self, position: int) -> str:
        """Names a row in messages: ``row 3 (line 5)``; of several files: ``row 3 of more.csv (line 5)``.

        Args:
            position: counts the rows of this table, not of the source.
        """
        if row_of_file := find_row(self.files, self.row_ids[position]):
            return row_of_file.words
        row = f"row {self.row_ids[position]}"
        return row if self.lines is None else f"{row} (line {self.lines[position]})"

    def groups(self, name: str, positions: Iterable[int]) -> tuple[str, ...]:
        """Names the group of the rows at those positions by a column; a row with a missing cell is a group of its own."""
        cells = ((i, self.columns[name][i]) for i in positions)
        return tuple(f"row {self.row_ids[i]} without a group" if is_missing(cell) else str(cell) for i, cell in cells)

    def take(self, positions: Sequence[int]) -> Table:
        """Selects the rows at those positions, in that order; notes and bad rows stay."""
        return replace(
            self,
            columns={name: [cells[i] for i in positions] for name, cells in self.columns.items()},
            row_ids=[self.row_ids[i] for i in positions],
            lines=None if self.lines is None else [self.lines[i] for i in positions],
        )


def not_text(table: Table, name: str, i: int) -> DataError:
    """Returns the error about a list or an object in a text column."""
    cell = table.columns[name][i]
    kind = "a list" if isinstance(cell, list | tuple) else "an object" if isinstance(cell, dict) else type(cell).__name__
    message = f"The column {name!r} holds no text there: the cell is {kind}, {clip(cell)}."
    return DataError([Problem("data", f"{table.source}, {table.place(i)}", message, NOT_TEXT_REMEDY)])


def unread_rows(table: Table) -> dict[str, list[int]]:
    """Returns reason -> row ids of the rows that were dropped while reading, or for a label that is mapped to null."""
    reasons: dict[str, list[int]] = {}
    for row in table.bad_rows:
        if row.dropped:
            reason = row.reason if row.is_read else f"not read: {row.reason}"
            reasons.setdefault(reason, []).append(row.row_id)
    return reasons


def repaired_rows(table: Table) -> dict[str, tuple[int, ...]]:
    """Returns reason -> row ids of the rows that were repaired while reading."""
    reasons: dict[str, tuple[int, ...]] = {}
    for row in table.bad_rows:
        if not row.dropped:
            reasons[row.reason] = (*reasons.get(row.reason, ()), row.row_id)
    return reasons


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their role.

    Attributes:
        label: one column, or several 0/1 columns (multi-label).
        annotators: columns with one annotator's labels each, or with the number of annotators that chose a class.
        counted: the class that each of ``annotators`` counts; empty where they hold labels.
        unused: the columns without a role.
        other_texts: those of them that also read like language, where neither text nor pair is named in the recipe and only one
            was found.
        reasons: role -> why this column was chosen, for the user.
    """

    text: str
    pair: str | None = None
    label: tuple[str, ...] = ()
    id: str | None = None
    group: str | None = None
    split: str | None = None
    annotators: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    other_texts: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """The label set of a run.

    Attributes:
        problem_type: as in transformers' config.
        names: class names in id order; a single name for a regression.
        mean, scale: mean of a regression's training targets, and the power of two next to their standard deviation; the loss
            is in units of its square.
        value_type: the type of the training rows' label cells: ``str``, ``int``, ``float`` or ``bool``.
        order: class names in the order of their class numbers, as the training file gives it; empty if it does not.
        keep_null: words such as ``null`` and ``n/a`` are names of classes.
    """

    problem_type: str  # single_label_classification | multi_label_classification | regression
    names: tuple[str, ...]
    mean: float = 0.0
    scale: float = 1.0
    value_type: str = "str"
    order: tuple[str, ...] = ()
    keep_null: bool = False

    @property
    def n(self) -> int:
        return len(self.names)

    @property
    def values(self) -> tuple[Any, ...]:
        """Returns the class names as values of the type that the training rows have."""
        readers: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": lambda name: name.lower() == "true"}
        return tuple(map(readers.get(self.value_type, str), self.names))


@dataclass(frozen=True)
class Examples:
    """The usable rows of one split.

    Attributes:
        split: ``train``, ``validation`` or ``test``.
        row_ids: position of each row in its source (N).
        texts: (N).
        pairs: second texts (N), or None for single texts.
        labels: (N): class id (int), or a 0/1 tuple over the classes, or a float; None where unlabelled.
        groups: (N) or None: rows of one group stay in one split.
        ids: the user's own row names (N), or None.
        annotations: number of annotators that chose each class (N, K), or None.
        bad_rows: rows of the source that are left out, or are here with a repair.
        not_sampled: see ``data.records.SplitRows``.
        others: cells (N) of further requested columns, by the name they were requested with.
        files: the files whose rows are concatenated here (``data.also``); empty for a single source.
    """

    split: str
    source: str
    row_ids: list[int]
    texts: list[str]
    labels: list[Any]
    pairs: list[str] | None = None
    groups: list[str] | None = None
    ids: list[str] | None = None
    annotations: list[tuple[int, ...]] | None = None
    bad_rows: tuple[BadRow, ...] = ()
    rows_read: int = 0
    not_sampled: int = 0
    sha256: str = ""
    others: dict[str, list[Any]] = field(default_factory=dict)
    files: tuple[SourceFile, ...] = ()

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def dropped(self) -> dict[str, int]:
        """Reason -> number of rows of the source that are left out."""
        return dict(Counter(row.reason for row in self.bad_rows if row.dropped))

    @property
    def repaired(self) -> dict[str, int]:
        """Reason -> number of rows of the source that are used with a repair."""
        return dict(Counter(row.reason for row in self.bad_rows if not row.dropped))

    def row_of_file(self, row_id: int) -> FileRow | None:
        """Finds a row in its file, of several; None for a single source, whose row ids are those of the file."""
        return find_row(self.files, row_id)

    def take(self, positions: list[int], split: str) -> Examples:
        columns = {name: getattr(self, name) for name in PER_ROW}
        taken: dict[str, Any] = {name: cells and [cells[i] for i in positions] for name, cells in columns.items()}
        others = {name: [cells[i] for i in positions] for name, cells in self.others.items()}
        bad_rows = self.bad_rows if split == self.split else ()
        rows_read = len(positions) + sum(row.dropped for row in bad_rows)
        return replace(self, split=split, **taken, others=others, bad_rows=bad_rows, rows_read=rows_read, not_sampled=0)


def file_columns(examples: Examples) -> dict[str, list[Any]]:
    """Returns the columns (N) that name the rows in their files: ``source``, ``source_row_id``, ``line``; none for one file."""
    rows = [row.columns for row_id in examples.row_ids if (row := examples.row_of_file(row_id)) is not None]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
