"""Writes and reads the quotes that keep a spreadsheet from running texts of a csv file as formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import escape_formula, unescape_formula
from tunesmith.data.labelled.labels import marker
from tunesmith.data.table import Table


def is_predictions(names: Sequence[str]) -> bool:
    """Returns whether columns are those of written predictions: ``row_id`` first, and ``prediction`` next or after an id."""
    return [*names[:1]] == ["row_id"] and "prediction" in names[1:3]


def without_quotes(table: Table) -> Table:
    """Returns a table of written predictions with the texts as they were; every other table unchanged."""
    if not is_predictions([*table.columns]):
        return table
    columns = {name: [unescape_formula(cell) for cell in cells] for name, cells in table.columns.items()}
    return replace(table, columns={unescape_formula(name): cells for name, cells in columns.items()})


def as_written(cells: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns the cells of a row as its file has them, see ``without_quotes``."""
    return [str(escape_formula(cell)) for cell in cells] if is_predictions(names) else [*cells]


def quoted_if_new(labels: Mapping[int, Any], column: Sequence[str]) -> dict[int, Any]:
    """Returns row id -> label to write into a column: with a quote before a new text that a spreadsheet would run as a formula.

    A label that other rows have without a quote stays so: with one it would be another label.
    """
    known = {cell.strip() for cell in column}
    return {i: label if label in known or marker(label) else escape_formula(label) for i, label in labels.items()}
