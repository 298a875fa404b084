"""Joins several columns of a table to one text by a template such as ``{title}. {body}`` (``data.template``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunesmith.data.cells import is_missing, listed
from tunesmith.data.columns import find_column
from tunesmith.data.table import BadRow, Table, not_text
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.template import parse_template

KEY = "data.template"
BRACKETS = re.compile(r"[()\[\]]")
CAPTION = re.compile(r"[^\W_]")
"""A letter or digit: separators with one are captions, such as ``Body:``."""


@dataclass(frozen=True)
class TextTemplate:
    """A parsed template: n columns with n + 1 separators around them, of which the first and the last may be empty."""

    text: str
    names: tuple[str, ...]
    separators: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> TextTemplate:
        return cls(text, *parse_template(text))

    def join(self, cells: Sequence[str | None]) -> str:
        """Joins the cells; a missing one (None) is left out with the separator that leads to it.

        A separator with a word in it is a caption and belongs to the cell after it: of ``Title: {title} Body: {body}`` without a
        title, ``Body: ...`` is left. Brackets around a missing cell are left out with it. Empty if all cells are missing.
        """
        present = [i for i, cell in enumerate(cells) if cell is not None]
        if not present:
            return ""
        parts = [self.start(present[0])]
        for before, i in zip((None, *present), present, strict=False):
            parts += [] if before is None else [self.between(before, i)]
            parts.append(str(cells[i]))
        return "".join([*parts, self.end(present[-1])])

    def start(self, first: int) -> str:
        """Returns what stands before the first cell that is not missing."""
        if first == 0:
            return self.separators[0]
        own = CAPTION.search(self.separators[first])
        return BRACKETS.sub("", self.separators[0]) if own is None else self.separators[first][own.start() :]

    def between(self, before: int, after: int) -> str:
        """Returns what stands between two cells of which those between are missing."""
        if after == before + 1:
            return self.separators[after]
        has_caption = CAPTION.search(self.separators[after]) is not None
        return BRACKETS.sub("", self.separators[after if has_caption else before + 1])

    def end(self, last: int) -> str:
        """Returns what stands after the last cell that is not missing."""
        return self.separators[-1] if last == len(self.names) - 1 else BRACKETS.sub("", self.separators[-1])


def with_template(table: Table, text: str) -> Table:
    """Adds the joined column, which is called as the template is; missing cells are counted as repairs of their rows.

    Raises DataError if the table lacks a column of the template, or a cell is a list or an object.
    """
    template = TextTemplate.parse(text)
    columns = {name: find_column(table, name) for name in template.names}
    absent = [name for name, column in columns.items() if column is None]
    if absent:
        remedy = closest(absent[0], table.columns) or f"Correct the names in {KEY}."
        message = f"There is no column {listed(map(repr, absent))}, which {KEY} names; the columns are {listed(table.columns)}."
        raise DataError([Problem("data", table.source, message, remedy)])
    own = [column for name in template.names if (column := columns[name]) is not None]
    cells = [text_cells(table, column) for column in own]
    joined, bad = [], []
    for i, row in enumerate(zip(*cells, strict=True)):
        joined.append(template.join(row) or None)
        missing = [name for name, cell in zip(own, row, strict=True) if cell is None]
        if missing and len(missing) < len(own):
            line = None if table.lines is None else table.lines[i]
            bad += [BadRow(table.row_ids[i], line, f"{name} is missing", dropped=False) for name in dict.fromkeys(missing)]
    return replace(
        table,
        columns={**table.columns, text: joined},
        bad_rows=(*table.bad_rows, *bad),
        joined={**table.joined, text: tuple(dict.fromkeys(own))},
    )


def text_cells(table: Table, name: str) -> list[str | None]:
    """Returns the cells of a column as texts, None for missing ones. Raises DataError for a list or an object."""
    cells: list[str | None] = []
    for i, cell in enumerate(table.columns[name]):
        if isinstance(cell, list | tuple | Mapping):
            raise not_text(table, name, i)
        cells.append(None if is_missing(cell) else str(cell).strip())
    return cells


def missing_columns(table: Table, text: str) -> list[str]:
    """Lists the columns of a template that a table does not have."""
    return [name for name in TextTemplate.parse(text).names if find_column(table, name) is None]
