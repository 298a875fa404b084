"""Numbers the rows of several files that are concatenated: row ids continue, and each row is found in its file again."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any


@dataclass(frozen=True)
class SourceFile:
    """One of several files whose rows are concatenated.

    Attributes:
        first_row: the row id that its row 0 has among the concatenated rows.
        row_ids: positions of its rows in the file, ascending.
        lines: for each of them the 1-based line on which it starts; None where the file has no lines.
    """

    source: str
    sha256: str
    first_row: int
    rows_read: int
    row_ids: Sequence[int]
    lines: Sequence[int] | None = None

    def line(self, row_id: int) -> int | None:
        """Returns the line of a row of this file; None if it is not known."""
        if self.lines is None:
            return None
        position = bisect_left(self.row_ids, row_id)
        is_here = position < len(self.row_ids) and self.row_ids[position] == row_id
        return self.lines[position] if is_here else None


@dataclass(frozen=True)
class FileRow:
    """A row in its own file: the 0-based position among the file's data rows, and its line if that is known."""

    file: SourceFile
    row_id: int

    @property
    def words(self) -> str:
        """Names the row for a message: ``row 3 of more.csv (line 5)``."""
        line = self.file.line(self.row_id)
        return f"row {self.row_id} of {self.file.source}" + ("" if line is None else f" (line {line})")

    @property
    def columns(self) -> dict[str, Any]:
        """Returns the fields that name the row in a finding: ``source``, ``source_row_id`` and ``line``."""
        return {"source": self.file.source, "source_row_id": self.row_id, "line": self.file.line(self.row_id)}


def first_rows(sizes: Iterable[tuple[int, Sequence[int]]]) -> list[int]:
    """Returns the row id at which each file begins: after those of the files before it, left-out rows included.

    Args:
        sizes: for each file the number of rows read, and its row ids.
    """
    lengths = [max(rows_read, max(row_ids, default=-1) + 1) for rows_read, row_ids in sizes]
    return [0, *accumulate(lengths[:-1])]


def following_note(source: str, first_row: int) -> str:
    """Says at which row id the rows of a concatenated file begin."""
    return f"{source}: its rows follow from row {first_row:,} on."


def find_row(files: Sequence[SourceFile], row_id: int) -> FileRow | None:
    """Finds the file of a concatenated row, and its position there; None if there is one file only."""
    if not files:
        return None
    file = files[bisect_right([file.first_row for file in files], row_id) - 1]
    return FileRow(file, row_id - file.first_row)
