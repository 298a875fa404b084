"""A few rows spread over many: the rows of a smoke run and of trial evaluations."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar


class Rows(Protocol):
    """The rows of one split."""

    @property
    def split(self) -> str: ...

    def __len__(self) -> int: ...

    def take(self, positions: list[int], split: str, /) -> Self: ...


RowsT = TypeVar("RowsT", bound=Rows)


def spread_positions(n_rows: int, count: int) -> list[int]:
    """Returns at most ``count`` of ``n_rows`` positions, in order and evenly spread."""
    if n_rows <= count:
        return list(range(n_rows))
    return [i * n_rows // count for i in range(count)]


def at_most(rows: RowsT, max_rows: int | None) -> RowsT:
    """Returns at most so many rows, spread over all; all where ``max_rows`` is None."""
    if max_rows is None or len(rows) <= max_rows:
        return rows
    return rows.take(spread_positions(len(rows), max_rows), rows.split)
