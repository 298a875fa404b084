"""A few rows spread over many: the rows of a smoke run."""

from __future__ import annotations

from tunesmith.data.records import Rows, sample_rows
from tunesmith.data.split import spread_positions


def at_most(rows: Rows, max_rows: int | None) -> Rows:
    """Returns at most so many rows, spread over all; all where ``max_rows`` is None."""
    if max_rows is None or len(rows) <= max_rows:
        return rows
    return sample_rows(rows, spread_positions(len(rows), max_rows))
