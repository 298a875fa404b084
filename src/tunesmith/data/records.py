"""Defines the fields that rows and splits of all tasks share, and their record in ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar


class SplitRows(Protocol):
    """The rows of one split, of any task.

    Attributes:
        rows_read: rows of the source that belong to this split.
        dropped: reason -> number of rows of the source that are not used.
        not_sampled: rows left out by ``data.max_rows`` or by a smoke run.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def split(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def rows_read(self) -> int: ...
    @property
    def dropped(self) -> dict[str, int]: ...
    @property
    def not_sampled(self) -> int: ...
    def __len__(self) -> int: ...
    def take(self, positions: list[int], split: str, /) -> Self: ...


Rows = TypeVar("Rows", bound=SplitRows)


@dataclass(frozen=True)
class SplitData(Generic[Rows]):
    """The splits of a run.

    Attributes:
        notes: assumptions and decisions, as sentences for the user.
    """

    train: Rows
    validation: Rows | None
    test: Rows | None
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def named(self) -> dict[str, Rows]:
        """Returns split name -> rows, for the splits that exist."""
        return {rows.split: rows for rows in (self.train, self.validation, self.test) if rows is not None}


def sample_rows(rows: Rows, positions: list[int]) -> Rows:
    """Selects the rows at those positions of the same split; the others count as not sampled."""
    n_left = len(rows) - len(positions)
    return replace(rows.take(positions, rows.split), rows_read=rows.rows_read, not_sampled=rows.not_sampled + n_left)


def split_record(rows: SplitRows, special: Mapping[str, Any]) -> dict[str, Any]:
    """Records one split as plain JSON types; ``special`` are the task's own fields.

    Where a row of the source is one row here, rows + dropped + not_sampled = rows_read.
    """
    return {
        "source": rows.source,
        "sha256": rows.sha256,
        "rows_read": rows.rows_read,
        "rows": len(rows),
        "dropped": rows.dropped,
        "not_sampled": rows.not_sampled,
        **special,
    }
