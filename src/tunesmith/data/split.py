"""Dividing rows into splits so that each split is fair: stratified, groups together, duplicates on one side."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.data.cells import clip, is_missing, listed
from tunesmith.data.column_names import SPLIT_WORDS
from tunesmith.data.groups import linked_groups
from tunesmith.data.normalise import text_keys
from tunesmith.data.table import BadRow, Examples, Table
from tunesmith.errors import DataError

# A score is stratified by so many equally full bins, or fewer where there are few rows.
BINS = 10
SMALLEST = 2


def split_examples(examples: Examples, share: float, seed: int, name: str = "validation") -> tuple[Examples, Examples]:
    """(the rest under its own name, a random share of the rows as a split called ``name``), both in the order of the source.

    Rows of one group, and rows with the same normalised text, are never divided. Within that the labels are stratified:
    classes (each with two rows or more is on both sides where groups allow it), the single labels of a multi-label task, or
    the deciles of a score. The result depends on the rows, the share, the seed and the name, and on nothing else.

    Raises:
        DataError: fewer than two rows would be on one side.
    """
    units = bind(examples)
    strata = stratify(examples.labels)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    chosen = choose(units, strata, share, rng)
    other = sorted(chosen)
    rest = [i for i in range(len(examples)) if i not in chosen]
    if min(len(other), len(rest)) < SMALLEST:
        refuse_small(examples, share, name, units, len(other))
    kept = examples.take(rest, examples.split)
    dropped = sum(row.dropped for row in kept.bad_rows)
    return replace(kept, rows_read=len(rest) + dropped), examples.take(other, name)


def refuse_small(examples: Examples, share: float, name: str, units: list[list[int]], n: int) -> None:
    message = f"A {name} share of {share:g} of {len(examples)} rows gives {n} rows; at least {SMALLEST} are needed on both sides."
    if len(units) < SMALLEST + 1 or len(max(units, key=len)) > len(examples) / 2:
        message += f" The largest group of rows that must stay together has {len(max(units, key=len))}."
    raise DataError.one(examples.source, message, f"Give more rows, another share, or a file of its own (data.{name}).")


def bind(examples: Examples) -> list[list[int]]:
    """The rows as units that must not be divided: same group or same normalised text, directly or through other rows."""
    return linked_groups(len(examples), shared_keys(examples))


def shared_keys(examples: Examples) -> Iterator[tuple[int, int]]:
    """Pairs of rows with the same key: each row with the first that had it."""
    for keys in (text_keys(examples.texts, examples.pairs), examples.groups):
        first: dict[str, int] = {}
        for i, key in enumerate(keys or ()):
            if (j := first.setdefault(key, i)) != i:
                yield i, j


def stratify(labels: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The strata of each row (N): its class; the bin of its score; or each label it has, and one stratum for all rows."""
    if any(isinstance(label, float) for label in labels):
        return [(int(b),) for b in score_bins(labels)]
    if any(isinstance(label, tuple) for label in labels):
        return [("row", *(i for i, flag in enumerate(label) if flag)) for label in labels]
    return [(label,) for label in labels]


def score_bins(labels: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Equally full bins of the scores (N); equal scores share a bin."""
    scores = np.asarray(labels, dtype=float)
    n_bins = max(1, min(BINS, len(scores) // 10))
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, scores, side="left")


def choose(units: list[list[int]], strata: list[tuple[Any, ...]], share: float, rng: np.random.Generator) -> set[int]:
    """The positions of the rows of the new split.

    Units come in random order, and each is taken where that brings the strata nearer to what they need. Single rows then fill
    up each stratum exactly; units of several rows as nearly as they can.
    """
    total = Counter(stratum for row in strata for stratum in row)
    left = allot(total, share, rng)
    # In a unit of several strata a row too many weighs more where few are needed.
    weight = {stratum: 1 / max(1, owed) for stratum, owed in left.items()}
    taken: set[int] = set()
    for u in rng.permutation(len(units)).tolist():
        counts = count_strata(units[u], strata)
        # What taking the unit changes in the weighted sum of |left|: negative is nearer.
        if sum((abs(left[s] - count) - abs(left[s])) * weight[s] for s, count in counts.items()) < 0:
            taken.add(u)
            for s, count in counts.items():
                left[s] -= count
    spread(units, strata, total, taken)
    return {i for u in taken for i in units[u]}


def count_strata(rows: list[int], strata: list[tuple[Any, ...]]) -> dict[Any, int]:
    """Stratum -> rows of the unit in it. Nearly all units are one row, for which a Counter is ten times too slow."""
    if len(rows) == 1:
        return dict.fromkeys(strata[rows[0]], 1)
    return Counter(stratum for i in rows for stratum in strata[i])


def allot(total: Counter[Any], share: float, rng: np.random.Generator) -> dict[Any, int]:
    """Rows that each stratum owes: its share, rounded so that the sum is right; 1 to n - 1 from two rows on, 0 for one."""
    exact = {stratum: share * n for stratum, n in total.items()}
    owed = {stratum: int(amount) for stratum, amount in exact.items()}
    missing = round(sum(exact.values())) - sum(owed.values())
    order = [list(total)[i] for i in rng.permutation(len(total))]
    order.sort(key=lambda stratum: owed[stratum] - exact[stratum])
    for stratum in order[: max(0, missing)]:
        owed[stratum] += 1
    return {stratum: min(max(owed[stratum], 1), n - 1) if n > 1 else 0 for stratum, n in total.items()}


def spread(units: list[list[int]], strata: list[tuple[Any, ...]], total: Counter[Any], taken: set[int]) -> None:
    """Moves units so that each stratum is on both sides, where a unit can be moved without emptying another stratum there."""
    inside = Counter(s for u in taken for i in units[u] for s in strata[i])
    for stratum in [s for s, n in total.items() if not 0 < inside[s] < n]:
        add = inside[stratum] == 0
        owners = [u for u, rows in enumerate(units) if any(stratum in strata[i] for i in rows)]
        for u in sorted(owners, key=lambda u: (len(units[u]), u)) if len(owners) > 1 else ():
            counts = count_strata(units[u], strata)
            after = {s: inside[s] + (n if add else -n) for s, n in counts.items()}
            if all(0 < n < total[s] for s, n in after.items()):
                taken.symmetric_difference_update({u})
                inside.update(counts) if add else inside.subtract(counts)
                break


def split_by_column(table: Table, column: str) -> dict[str, Table]:
    """train, validation, test -> the rows of which the column says so (train, training; dev, val, validation, ...; test).

    Rows without a word are dropped and counted, in the first split. Each split keeps the row ids of the source.

    Raises:
        DataError: another word than these (the first rows are named), or no row for train.
    """
    positions: dict[str, list[int]] = {}
    bad: list[BadRow] = []
    unknown: dict[str, int] = {}
    for i, cell in enumerate(table.columns[column]):
        word = "" if is_missing(cell) else str(cell).strip().casefold()
        if not word:
            bad.append(BadRow(table.row_ids[i], None if table.lines is None else table.lines[i], "no split named"))
        elif word in SPLIT_WORDS:
            positions.setdefault(SPLIT_WORDS[word], []).append(i)
        else:
            unknown.setdefault(str(cell), i)
    if unknown:
        shown = listed((f"{clip(word)} in {table.place(i)}" for word, i in unknown.items()), 5)
        message = f"The split column {column!r} holds words that name no split: {shown}."
        raise DataError.one(table.source, message, "Use train, validation and test, or leave the column out of the recipe.")
    if "train" not in positions:
        raise DataError.one(
            table.source, f"The split column {column!r} names no row for train.", "Use train, validation and test."
        )
    order = [split for split in ("train", "validation", "test") if split in positions]
    return {split: part_of(table, positions[split], bad, is_first=split == "train") for split in order}


def part_of(table: Table, positions: list[int], bad: list[BadRow], is_first: bool) -> Table:
    """The rows at those positions as a table, with the repairs of its own rows; the first part also has the rows of no split."""
    own = {table.row_ids[i] for i in positions}
    present = set(table.row_ids)
    kept = [row for row in table.bad_rows if row.row_id in own or (is_first and row.row_id not in present)]
    part = replace(table.take(positions), bad_rows=tuple(kept + bad if is_first else kept))
    return replace(part, rows_read=len(positions) + sum(row.dropped for row in part.bad_rows))
