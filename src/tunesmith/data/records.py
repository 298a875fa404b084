"""Defines the fields that rows and splits of all tasks share, and their record in ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar


class SplitRows(Protocol):
    """The rows of one split, of any task.

    Attributes:
        dropped: reason -> number of rows of the source that are not used.
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
    def __len__(self) -> int: ...
    def take(self, positions: list[int], split: str, /) -> Self: ...


Rows = TypeVar("Rows", bound=SplitRows)


@dataclass(frozen=True)
class SplitData(Generic[Rows]):
    """The splits of a run.

    Attributes:
        notes: assumptions and decisions, as sentences for the user.
        not_sampled: training rows left out by ``data.max_rows``.
    """

    train: Rows
    validation: Rows | None
    test: Rows | None
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    not_sampled: int = field(default=0, kw_only=True)

    def named(self) -> dict[str, Rows]:
        """Returns split name -> rows, for the splits that exist."""
        return {rows.split: rows for rows in (self.train, self.validation, self.test) if rows is not None}


def split_record(rows: SplitRows, data: SplitData[Any], special: Mapping[str, Any]) -> dict[str, Any]:
    """Records one split as plain JSON types; ``special`` are the task's own fields.

    Where a row of the source is one row here, rows + dropped + not_sampled = rows_read.
    """
    return {
        "source": rows.source,
        "sha256": rows.sha256,
        "rows_read": rows.rows_read,
        "rows": len(rows),
        "dropped": rows.dropped,
        "not_sampled": data.not_sampled if rows.split == "train" else 0,
        **special,
    }
