"""Builds the usable rows of an embedding data set: texts by column with their target, and the reasons of left-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.data.cells import clip, is_missing, is_number, listed, plural
from tunesmith.data.labelled.labels import class_name, marker
from tunesmith.data.near_duplicates import SearchedTexts
from tunesmith.data.numbers import plain_numbers
from tunesmith.data.pairs.formats import PairFormat, PairKind
from tunesmith.data.records import SourceRows
from tunesmith.data.split import SplitKeys, split_positions
from tunesmith.data.table import Table, not_text, repaired_rows, unread_rows
from tunesmith.errors import DataError

WITHOUT_TEXT, WITHOUT_TARGET, UNLABELLED = "without a text", "without a {}", "labelled {}"
WITHOUT_NEGATIVE = "without a negative"
SAME_NEGATIVE = "with a negative equal to the positive"
QUERY_DOCUMENT_KINDS: frozenset[PairKind] = frozenset({"positive_pair", "triplet", "tuple", "teacher_scores"})
"""Formats with a query column first and document columns after it."""
QUERY, DOCUMENT = ("query",), ("document", "passage", "corpus")
"""Prompt names that sentence-transformers looks up in a model for queries and for documents."""
CLASS_KINDS: frozenset[PairKind] = frozenset({"labelled_pair", "labelled_text"})


@dataclass(frozen=True)
class EmbeddingRows(SourceRows):
    """The usable rows of one split of an embedding run.

    Attributes:
        sides: texts by column, (N) each, in the order of ``format.texts``.
        target: (N) names of classes, scores, or lists of numbers; None where the format has none.
        unused: columns of the source that are not read.
    """

    format: PairFormat
    sides: tuple[tuple[str, ...], ...]
    target: tuple[Any, ...] | None = None
    unused: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, sorted; empty where there are none."""
        return tuple(sorted(set(self.target or ()))) if self.format.kind in CLASS_KINDS else ()

    def renamed(self, names: Mapping[str, str]) -> EmbeddingRows:
        """Returns the rows with classes renamed; those that ``names`` does not have stay."""
        if not names or self.target is None:
            return self
        return replace(self, target=tuple(names.get(name, name) for name in self.target))

    def take(self, positions: Sequence[int], split: str) -> EmbeddingRows:
        sides = tuple(tuple(side[i] for i in positions) for side in self.sides)
        target = None if self.target is None else tuple(self.target[i] for i in positions)
        return replace(super().take(positions, split), sides=sides, target=target)


def teacher_margins(rows: EmbeddingRows) -> list[tuple[float, ...]]:
    """Returns how much higher a teacher scores the positive of each row than each of its negatives.

    As MarginMSELoss reads them, its numbers are a score for each text after the first, or these margins themselves.
    """
    are_margins = len(rows.target[0]) == len(rows.sides) - 2 if rows.target else False
    return [tuple(row) if are_margins else tuple(row[0] - other for other in row[1:]) for row in rows.target or ()]


def highest_by_teacher(rows: EmbeddingRows) -> list[int]:
    """Returns which text after the first has the teacher's highest score in each row, from 0 on; the first of equals."""
    scores = [(0.0, *(-margin for margin in margins)) for margins in teacher_margins(rows)]
    return [row.index(max(row)) for row in scores]


def split_embedding_rows(
    rows: EmbeddingRows, share: float, seed: int, name: str, searched: SearchedTexts | None = None
) -> tuple[EmbeddingRows, EmbeddingRows]:
    """Splits a share of the rows off as the split ``name``.

    Rows with one first text, with the same two texts in any order, or of one group, stay together.
    """
    is_stratified = rows.format.kind in CLASS_KINDS or rows.format.kind == "scored_pair"
    strata = rows.target if is_stratified and rows.target is not None else (0,) * len(rows)
    groups = rows.groups if rows.groups is not None else ["\n".join(sorted(texts)) for texts in zip(*rows.sides[:2], strict=True)]
    keys = SplitKeys(rows.source, strata, rows.sides[0], groups=groups, searched=searched)
    rest, other = split_positions(keys, share, seed, name)
    return rows.take(rest, rows.split), rows.take(other, name)


def usable_rows(
    table: Table, row_format: PairFormat, split: str, *, score_range: Sequence[float] | None = None, group: str | None = None
) -> EmbeddingRows:
    """Builds the rows of a table that have all their texts and a target.

    Left out and counted are rows that could not be read, with an empty text or target, with a label such as -1 or - (NLI data
    mark rows without agreement of the annotators so), and with a negative that equals the positive.

    Args:
        score_range: the lowest and the highest score, which become 0 and 1.
        group: the column of groups.
    """
    if row_format.kind not in CLASS_KINDS:
        numbers = {name: plain_numbers(table.columns[name])[0] for name in row_format.target}
        table = replace(table, columns={**table.columns, **{name: list(cells) for name, cells in numbers.items()}})
    texts = [text_cells(table, name) for name in row_format.texts]
    targets = [table.columns[name] for name in row_format.target]
    reasons = unread_rows(table)
    kept = []
    for i in range(len(table)):
        reason = unusable_reason([column[i] for column in texts], [column[i] for column in targets], row_format)
        if reason:
            reasons.setdefault(reason, []).append(table.row_ids[i])
        else:
            kept.append(i)
    if not kept:
        counted = "; ".join(f"{len(ids):,} {reason}" for reason, ids in reasons.items())
        message = f"none of {plural(len(table), 'row')} can be used ({counted})."
        raise DataError.one(table.source, message, f"The columns are {listed(row_format.columns)}.")
    return EmbeddingRows(
        split,
        table.source,
        tuple(table.row_ids[i] for i in kept),
        row_format,
        tuple(tuple(str(column[i]).strip() for i in kept) for column in texts),
        target=tuple(read_target(table, row_format, i, score_range) for i in kept) if targets else None,
        groups=None if group is None else table.groups(group, kept),
        unused=tuple(name for name in table.columns if name not in (*row_format.columns, group)),
        left_out={reason: tuple(ids) for reason, ids in reasons.items()},
        repairs=repaired_rows(table),
        rows_read=table.rows_read or len(table),
        sha256=table.sha256,
    )


def text_cells(table: Table, name: str) -> list[Any]:
    """Returns the cells of a text column. Raises DataError for a list or an object."""
    for i, cell in enumerate(table.columns[name]):
        if isinstance(cell, list | tuple | Mapping):
            raise not_text(table, name, i)
    return table.columns[name]


def unusable_reason(texts: Sequence[object], targets: Sequence[object], row_format: PairFormat) -> str:
    """Returns the reason why a row cannot be used; empty if it can."""
    missing = [is_missing(text) or not str(text).strip() for text in texts]
    if any(missing):
        has_pair = row_format.kind in ("triplet", "tuple") and not any(missing[:2])
        return WITHOUT_NEGATIVE if has_pair else WITHOUT_TEXT
    if any(is_missing(target) for target in targets):
        return WITHOUT_TARGET.format(row_format.target[0])
    if row_format.kind in CLASS_KINDS and is_unlabelled(targets[0]):
        return UNLABELLED.format(class_name(targets[0]))
    negatives = {str(text).strip() for text in texts[2:]} if row_format.kind in QUERY_DOCUMENT_KINDS else set()
    return SAME_NEGATIVE if negatives and str(texts[1]).strip() in negatives else ""


def is_unlabelled(cell: object) -> bool:
    """Returns whether a class cell means "not labelled": -1, or a word such as ``-``, with which SNLI marks such rows."""
    return marker(cell) is not None or class_name(cell) == "-1"


def read_number(table: Table, cell: object, i: int) -> float:
    if not is_number(cell):
        raise DataError.one(f"{table.source}, {table.place(i)}", f"the score {clip(cell)} is no number.")
    return float(cell)  # type: ignore[arg-type]


def read_target(table: Table, row_format: PairFormat, i: int, score_range: Sequence[float] | None) -> Any:
    """Reads a row's class name, its score, or its numbers: a list in one cell, or one in each column, equally many a row."""
    cells = [table.columns[name][i] for name in row_format.target]
    if row_format.kind in CLASS_KINDS:
        return class_name(cells[0])
    if row_format.kind == "scored_pair":
        value = read_number(table, cells[0], i)
        if score_range is None:
            return value
        low, high = score_range
        if not low <= value <= high:
            message = f"the score {value:g} is outside {low:g} to {high:g}."
            raise DataError.one(f"{table.source}, {table.place(i)}", message, "Correct it, or embedding.score_range.")
        return (value - low) / (high - low)
    if len(cells) == 1 and isinstance(cells[0], list | tuple):
        cells = list(cells[0])
    first = table.columns[row_format.target[0]][0]
    n_expected = len(first) if isinstance(first, list | tuple) else len(row_format.target)
    if len(cells) != n_expected:
        message = f"it has {plural(len(cells), 'number')} in {listed(row_format.target)}; the first row has {n_expected}."
        raise DataError.one(f"{table.source}, {table.place(i)}", message)
    return tuple(read_number(table, cell, i) for cell in cells)
