"""Builds the findings about rows that the checks of pairs and of chats share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from tunesmith.data.cells import plural
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.results import Finding

LISTED_ROWS = 20
Rows: TypeAlias = Conversations | EmbeddingRows
Flagged: TypeAlias = Iterable[tuple[int, str]]
"""Positions of rows, each with the reason why it is flagged."""


def row_finding(name: str, rows: Rows, flagged: Flagged, summary: str, remedy: str) -> Finding | None:
    """Builds the finding about the flagged rows; None if there are none. Each row counts once, with its first reason.

    Args:
        summary: may hold ``{count}``, such as ``3 of 10 rows of train``, and ``{n}``, the number alone.
    """
    reasons: dict[int, str] = {}
    for position, reason in flagged:
        reasons.setdefault(position, reason)
    if not reasons:
        return None
    shown = tuple(
        {"row_id": rows.row_ids[position], "split": rows.split, "reason": reason}
        for position, reason in list(reasons.items())[:LISTED_ROWS]
    )
    n = f"{len(reasons):,}"
    text = summary.format(count=f"{n} of {len(rows):,} rows of {rows.split}", n=n)
    return Finding(name, text, len(reasons), rows=shown, remedy=remedy)


def dropped_rows(splits: Iterable[Rows]) -> Iterator[Finding]:
    """Yields a finding for each split and each reason for which rows are not used."""
    for rows in splits:
        for reason, ids in rows.left_out.items():
            summary = f"{plural(len(ids), 'row')} of {rows.split} {reason} {'is' if len(ids) == 1 else 'are'} not used"
            shown = tuple({"row_id": i, "split": rows.split, "reason": reason} for i in ids[:LISTED_ROWS])
            yield Finding("dropped_rows", summary, len(ids), rows=shown, remedy="Correct them, or remove them from the file.")
