"""Builds the findings about rows that the checks of pairs, chats and preferences share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from tunesmith.data.cells import plural
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.checks.leakage import counted, divided, find_leaks
from tunesmith.data.labelled.label_map import MAPPED_TO_NULL
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.table import Examples
from tunesmith.results import Finding

LISTED_ROWS = 20
Rows: TypeAlias = Conversations | EmbeddingRows | PreferencePairs | JudgedAnswers
T = TypeVar("T", Conversations, EmbeddingRows, PreferencePairs, JudgedAnswers)
Flagged: TypeAlias = Iterable[tuple[int, str]]
"""Positions of rows, each with the reason why it is flagged."""


def row_finding(name: str, rows: Rows | Examples, flagged: Flagged, summary: str, remedy: str) -> Finding | None:
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
    text = summary.format(count=f"{n} of {plural(len(rows), 'row')} of {rows.split}", n=n)
    return Finding(name, text, len(reasons), rows=shown, remedy=remedy)


def leakage(train: T, others: Sequence[T], texts_of: Callable[[T], list[str]], what: str, summary: str) -> list[Finding | None]:
    """Finds rows of evaluation splits whose text is in train, or nearly: one finding a split.

    Args:
        texts_of: the text of each row (N) that must not be in train.
        what: names that text in the reason of a row.
        summary: see ``row_finding``; the number of exact and of near copies is added.
    """
    leaks = find_leaks(texts_of(train), [text for rows in others for text in texts_of(rows)])
    by_split = divided(leaks, {rows.split: len(rows) for rows in others})
    remedy = "Remove them from train: metrics on training rows are too high."
    findings: list[Finding | None] = []
    for rows in others:
        own = by_split[rows.split]
        flagged = [(leak.position, leak.reason(train.row_ids[leak.train_position], what)) for leak in own]
        findings.append(row_finding(f"leakage_{rows.split}", rows, flagged, f"{summary} {counted(own)}", remedy))
    return findings


def dropped_rows(splits: Iterable[Rows]) -> Iterator[Finding]:
    """Yields a finding for each split and each reason for which rows are not used, or were repaired while reading."""
    for rows in splits:
        unusable = {reason: ids for reason, ids in rows.left_out.items() if not reason.endswith(MAPPED_TO_NULL)}  # as requested
        for reason, ids in unusable.items():
            summary = f"{plural(len(ids), 'row')} of {rows.split} {reason} {'is' if len(ids) == 1 else 'are'} not used"
            shown = tuple({"row_id": i, "split": rows.split, "reason": reason} for i in ids[:LISTED_ROWS])
            yield Finding("dropped_rows", summary, len(ids), rows=shown, remedy="Correct them, or remove them from the file.")
        for reason, ids in rows.repairs.items():
            summary = f"{plural(len(ids), 'row')} of {rows.split} {'was' if len(ids) == 1 else 'were'} repaired: {reason}."
            shown = tuple({"row_id": i, "split": rows.split, "reason": reason} for i in ids[:LISTED_ROWS])
            yield Finding("repaired_rows", summary, len(ids), rows=shown, remedy="Check these rows in the source.")
