"""The rows of an embedding data set that can be used: texts by side, and what is said of them; with what was left out and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.data.cells import clip, is_missing, is_number, listed
from tunesmith.data.pairs.formats import Kind, Shape
from tunesmith.data.split import split_examples
from tunesmith.data.table import Examples, Table
from tunesmith.errors import DataError

NO_TEXT, NO_TARGET, NO_CLASS = "without a text", "without a {}", "labelled -1"
SAME_NEGATIVE = "with a negative equal to the positive"
RANKED: frozenset[Kind] = frozenset({"positive_pair", "triplet", "tuple", "teacher_scores"})
"""Shapes whose first text asks and whose others answer."""
QUERY, DOCUMENT = ("query",), ("document", "passage", "corpus")
"""Names under which models keep the prompts that they were trained with, as sentence-transformers looks for them."""
LABELLED: frozenset[Kind] = frozenset({"labelled_pair", "labelled_text"})


@dataclass(frozen=True)
class EmbeddingRows:
    """The usable rows of one split.

    Attributes:
        row_ids: position of each row in its source (N).
        sides: texts by column, (N) each, in the order of ``shape.texts``.
        target: (N) names of classes, scores, or lists of numbers; None where the shape has none.
        groups: (N) rows of one group stay in one split; None where no column says so.
        left_out: why rows of the source are not here -> their row ids.
    """

    split: str
    source: str
    shape: Shape
    row_ids: tuple[int, ...]
    sides: tuple[tuple[str, ...], ...]
    target: tuple[Any, ...] | None = None
    groups: tuple[str, ...] | None = None
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    rows_read: int = 0
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, sorted; empty where there are none."""
        return tuple(sorted(set(self.target or ()))) if self.shape.kind in LABELLED else ()

    def take(self, positions: Sequence[int], split: str) -> EmbeddingRows:
        """The rows at those positions, in that order, as a split of that name; what was left out stays with the first split."""

        def pick(cells: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(cells[i] for i in positions)

        return replace(
            self, split=split, row_ids=pick(self.row_ids), sides=tuple(pick(side) for side in self.sides),
            target=None if self.target is None else pick(self.target), groups=None if self.groups is None else pick(self.groups),
            left_out=self.left_out if split == self.split else {},
        )  # fmt: skip


def usable_rows(
    table: Table, shape: Shape, split: str, *, score_range: Sequence[float] | None = None, group: str | None = None
) -> EmbeddingRows:
    """The rows of a table that have all their texts and a target.

    Left out and counted are rows with an empty text or target, with the label -1 (which NLI data give where annotators did not
    agree), and with a negative that is the positive.

    Args:
        score_range: the lowest and the highest score, which become 0 and 1.
        group: the column of groups.

    Raises:
        DataError: a score is no number or outside its range, vectors have other lengths, or no row is left.
    """
    texts = [table.columns[name] for name in shape.texts]
    targets = [table.columns[name] for name in shape.target]
    reasons: dict[str, list[int]] = {}
    kept = []
    for i in range(len(table)):
        reason = why_not([column[i] for column in texts], [column[i] for column in targets], shape)
        if reason:
            reasons.setdefault(reason, []).append(table.row_ids[i])
        else:
            kept.append(i)
    if not kept:
        counted = "; ".join(f"{len(ids):,} {reason}" for reason, ids in reasons.items())
        message = f"none of {len(table):,} rows can be used ({counted})."
        raise DataError.one(table.source, message, f"The columns are {listed(shape.columns)}.")
    return EmbeddingRows(
        split, table.source, shape, tuple(table.row_ids[i] for i in kept),
        tuple(tuple(str(column[i]).strip() for i in kept) for column in texts),
        None if not targets else tuple(READ[shape.kind](table, shape, i, score_range) for i in kept),
        None if group is None else tuple(str(table.columns[group][i]) for i in kept),
        {reason: tuple(ids) for reason, ids in reasons.items()}, table.rows_read or len(table), table.sha256,
    )  # fmt: skip


def why_not(texts: Sequence[Any], targets: Sequence[Any], shape: Shape) -> str:
    """Why a row cannot be used; empty where it can."""
    if any(is_missing(text) or not str(text).strip() for text in texts):
        return NO_TEXT
    if any(is_missing(target) for target in targets):
        return NO_TARGET.format(shape.target[0])
    if shape.kind in LABELLED and str(targets[0]).strip() in ("-1", "-1.0"):
        return NO_CLASS
    if shape.kind in RANKED and len(texts) > 2 and str(texts[1]).strip() in {str(text).strip() for text in texts[2:]}:
        return SAME_NEGATIVE
    return ""


def class_name(table: Table, shape: Shape, i: int, _range: Sequence[float] | None) -> str:
    """``1.0`` is the class ``1``, as a table of numbers with a gap in it has it."""
    cell = table.columns[shape.target[0]][i]
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def score(table: Table, shape: Shape, i: int, score_range: Sequence[float] | None) -> float:
    value = number(table, table.columns[shape.target[0]][i], i)
    if score_range is None:
        return value
    low, high = score_range
    if not low <= value <= high:
        message = f"the score {value:g} is outside {low:g} to {high:g}."
        raise DataError.one(f"{table.source}, {table.place(i)}", message, "Correct it, or embedding.score_range.")
    return (value - low) / (high - low)


def number(table: Table, cell: Any, i: int) -> float:
    if not is_number(cell):
        raise DataError.one(f"{table.source}, {table.place(i)}", f"the score {clip(cell)} is no number.")
    return float(cell)


def numbers(table: Table, shape: Shape, i: int, _range: Sequence[float] | None) -> tuple[float, ...]:
    """A list in one cell, or a number in each of several columns; all rows have as many."""
    cells = [table.columns[name][i] for name in shape.target]
    if len(cells) == 1 and isinstance(cells[0], list | tuple):
        cells = list(cells[0])
    wanted = table.columns[shape.target[0]][0]
    n_wanted = len(wanted) if isinstance(wanted, list | tuple) else len(shape.target)
    if len(cells) != n_wanted:
        message = f"it has {len(cells)} numbers in {listed(shape.target)}; the first row has {n_wanted}."
        raise DataError.one(f"{table.source}, {table.place(i)}", message)
    return tuple(number(table, cell, i) for cell in cells)


Read = Callable[[Table, Shape, int, Sequence[float] | None], Any]
READ: Mapping[Kind, Read] = {
    "scored_pair": score, "labelled_pair": class_name, "labelled_text": class_name, "teacher_scores": numbers,
    "teacher_vectors": numbers,
}  # fmt: skip


def divided(rows: EmbeddingRows, share: float, seed: int, name: str) -> tuple[EmbeddingRows, EmbeddingRows]:
    """(the rest, a share of the rows as the split ``name``). Rows with one first text, or of one group, stay together.

    Raises:
        DataError: fewer than two rows would be on one side.
    """
    strata = rows.target if rows.shape.kind in (*LABELLED, "scored_pair") and rows.target is not None else (0,) * len(rows)
    examples = Examples(
        rows.split, rows.source, list(range(len(rows))), list(rows.sides[0]), list(strata),
        groups=None if rows.groups is None else list(rows.groups),
    )  # fmt: skip
    rest, other = split_examples(examples, share, seed, name)
    return rows.take(rest.row_ids, rows.split), rows.take(other.row_ids, name)
