"""Defines the fields that rows and splits of all tasks share, and their record in ``result.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar


class SplitRows(Protocol):
    """The rows of one split, of any task.

    Attributes:
        row_ids: position of each row in its source.
        rows_read: rows of the source that belong to this split.
        dropped: reason -> number of rows of the source that are not used.
        repaired: reason -> number of rows of the source that were repaired while reading.
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
    def row_ids(self) -> Sequence[int]: ...
    @property
    def rows_read(self) -> int: ...
    @property
    def dropped(self) -> dict[str, int]: ...
    @property
    def repaired(self) -> dict[str, int]: ...
    @property
    def not_sampled(self) -> int: ...
    def __len__(self) -> int: ...
    def take(self, positions: list[int], split: str, /) -> Self: ...


Rows = TypeVar("Rows", bound=SplitRows)


@dataclass(frozen=True)
class SourceRows:
    """The usable rows of one split (N), of which unusable rows are counted by reason.

    Attributes:
        row_ids: position of each row in its source.
        groups: rows of one group stay in one split; None without a group column.
        left_out: reason -> row ids of the source that are not used.
        repairs: reason -> row ids of the source that were repaired while reading.
        not_sampled: see ``SplitRows``.
    """

    split: str
    source: str
    row_ids: tuple[int, ...]
    groups: tuple[str, ...] | None = field(default=None, kw_only=True)
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict, kw_only=True)
    repairs: Mapping[str, tuple[int, ...]] = field(default_factory=dict, kw_only=True)
    rows_read: int = field(default=0, kw_only=True)
    not_sampled: int = field(default=0, kw_only=True)
    sha256: str = field(default="", kw_only=True)

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def dropped(self) -> dict[str, int]:
        """Reason -> number of rows of the source that are not used."""
        return {reason: len(ids) for reason, ids in self.left_out.items()}

    @property
    def repaired(self) -> dict[str, int]:
        """Reason -> number of rows of the source that were repaired while reading."""
        return {reason: len(ids) for reason, ids in self.repairs.items()}

    def take(self, positions: Sequence[int], split: str) -> Self:
        """Selects the rows at those positions, in that order, as a split of that name; other rows stay with their split."""
        left_out = self.left_out if split == self.split else {}
        return replace(
            self,
            split=split,
            row_ids=tuple(self.row_ids[i] for i in positions),
            groups=None if self.groups is None else tuple(self.groups[i] for i in positions),
            left_out=left_out,
            repairs=self.repairs if split == self.split else {},
            rows_read=len(positions) + sum(map(len, left_out.values())),
            not_sampled=0,
        )


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

    Where a row of the source is one row here, rows + dropped + not_sampled = rows_read. Splits other than train record which rows
    of the source they are, so that a later run on the same file can hold out the same ones.
    """
    held_out = {} if rows.split == "train" else {"row_ids": row_ranges(rows.row_ids)}
    return {
        "source": rows.source,
        "sha256": rows.sha256,
        "rows_read": rows.rows_read,
        "rows": len(rows),
        "dropped": rows.dropped,
        "repaired": rows.repaired,
        "not_sampled": rows.not_sampled,
        **held_out,
        **special,
    }


def row_ranges(row_ids: Iterable[int]) -> str:
    """Writes row numbers as ranges: ``0-4,7,9-12``."""
    ids = sorted(set(row_ids))
    ends = [i for i in range(len(ids)) if i + 1 == len(ids) or ids[i + 1] > ids[i] + 1]
    starts = [0, *(end + 1 for end in ends[:-1])]
    pairs = ((ids[first], ids[last]) for first, last in zip(starts, ends, strict=False))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


def ids_of_ranges(text: str) -> frozenset[int]:
    """Reads what ``row_ranges`` wrote."""
    ends = [part.partition("-") for part in text.split(",") if part]
    return frozenset(i for first, _, last in ends for i in range(int(first), int(last or first) + 1))
