"""Splits rows fairly: stratified by label, with groups and duplicates kept on one side; and samples them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import clip, is_missing, listed, plural
from tunesmith.data.column_names import SPLIT_WORDS
from tunesmith.data.near_duplicates import RELATED, SearchedTexts, near_duplicates
from tunesmith.data.records import Rows, sample_rows
from tunesmith.data.row_clusters import row_clusters
from tunesmith.data.run_rows import splits_of_run
from tunesmith.data.table import BadRow, Examples, Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import AUTO, Recipe

SplitOff = Callable[[Rows, float, int, str, SearchedTexts], tuple[Rows, Rows]]
SPLITS = ("train", "validation", "test")
SCORE_BINS = 10
"""Equally full bins by which scores are stratified; fewer where there are few rows."""
MIN_ROWS = 2
MIN_ROWS_FOR_TEST, TEST_SHARE, MOST_TEST_ROWS = 200, 0.2, 1_000


@dataclass(frozen=True)
class SplitKeys:
    """The fields of N rows that decide on which side of a split each row goes.

    Attributes:
        source: the rows' source, for messages.
        labels: (N) class ids, 0/1 tuples or scores to stratify by.
        texts, pairs: (N) rows with equal or nearly equal texts stay together, see ``row_clusters``.
        groups: (N) rows of one group stay together.
        searched: the texts of earlier searches for near-duplicates; None for none.
    """

    source: str
    labels: Sequence[Any]
    texts: Sequence[str]
    pairs: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    searched: SearchedTexts | None = None


def take_shares(
    splits: dict[str, Rows],
    recipe: Recipe,
    base: Path,
    split_off: SplitOff[Rows],
    notes: list[str],
    searched: SearchedTexts | None = None,
) -> None:
    """Moves the shares that the recipe requests out of train, in place: test first. Each is a share of all training rows.

    Where the model is that of a run on the same file, or ``data.split_as`` names such a run, the rows are those that it held out.

    Args:
        splits: split name -> rows; ``train`` at least.
        base: the folder that the recipe's paths start from.
        split_off: (rows, share, seed, name, searched) -> the remaining rows and the split ``name``.
        searched: the texts of earlier searches for near-duplicates, to which those of train are added.
    """
    n_rows, searched = len(splits["train"]), SearchedTexts() if searched is None else searched
    asked = [name for name in ("test", "validation") if name not in splits and recipe.data.is_share(name)]
    earlier = splits_of_run(recipe, base, splits["train"].sha256) if asked else None
    for name in ("test", "validation"):
        share = getattr(recipe.data, name)
        if name in asked and earlier is not None and name in earlier.row_ids:
            splits["train"], splits[name] = earlier.divide(splits["train"], name, notes)
            continue
        if share == AUTO and name not in splits:
            share = default_test_share(n_rows)
            if share is not None:
                notes.append(
                    f"No test rows are named: {share:.0%} of {plural(n_rows, 'training row')} are held out (data.test: null "
                    "for none)."
                )
        if not isinstance(share, float) or name in splits:
            continue
        n_left = len(splits["train"])
        if share * n_rows >= n_left:
            message = "The fractions for validation and test leave no training row."
            raise DataError.one(recipe.data.train, message, "Make them smaller.")
        splits["train"], splits[name] = split_off(splits["train"], share * n_rows / n_left, recipe.train.seed, name, searched)


def default_test_share(n_rows: int) -> float | None:
    """Returns the share of the training rows that is held out for the verdict by default; None if they are too few.

    Rows that selected the checkpoint judge it too kindly: false words in 8 to 10 of 100 instead of 5.
    """
    return min(TEST_SHARE, MOST_TEST_ROWS / n_rows) if n_rows >= MIN_ROWS_FOR_TEST else None


def limit_rows(splits: dict[str, Rows], recipe: Recipe, notes: list[str], row_ids: Container[int] | None = None) -> None:
    """Cuts each split, in place, down to the random rows that ``data.max_rows`` allows, in their order; by the seed.

    Args:
        row_ids: the training rows that are used instead of a random sample.
    """
    limits = {split: limit for split in splits if (limit := recipe.data.limit(split)) is not None}
    rest = "; other splits keep all of theirs." if limits.keys() == {"train"} else "."
    for split, limit in limits.items():
        rows, kind = splits[split], "a random sample"
        if len(rows) <= limit:
            continue
        if split == "train" and row_ids is not None:
            picked = [i for i, row_id in enumerate(rows.row_ids) if row_id in row_ids]
            kind = "those that the run was trained on"
        else:
            seed = recipe.train.seed if split == "train" else [recipe.train.seed, zlib.crc32(split.encode())]
            picked = np.sort(np.random.default_rng(seed).permutation(len(rows))[:limit]).tolist()
        name = "training" if split == "train" else split
        notes.append(f"{len(picked):,} of {plural(len(rows), f'{name} row')} are used, {kind} (data.max_rows){rest}")
        splits[split] = sample_rows(rows, picked)


def spread_positions(n_rows: int, count: int) -> list[int]:
    """Returns ``count`` positions spread evenly over ``n_rows`` rows, ascending; all positions where there are fewer."""
    count = min(count, n_rows)
    return [i * n_rows // count for i in range(count)]


def at_most(rows: Rows, max_rows: int | None) -> Rows:
    """Returns at most ``max_rows`` rows, spread evenly over all of them; all rows for None."""
    if max_rows is None or len(rows) <= max_rows:
        return rows
    return sample_rows(rows, spread_positions(len(rows), max_rows))


def split_examples(
    examples: Examples, share: float, seed: int, name: str = "validation", searched: SearchedTexts | None = None
) -> tuple[Examples, Examples]:
    """Splits a random share of the rows off as the split ``name``; see ``split_positions``."""
    keys = SplitKeys(examples.source, examples.labels, examples.texts, examples.pairs, examples.groups, searched)
    rest, other = split_positions(keys, share, seed, name)
    return examples.take(rest, examples.split), examples.take(other, name)


def split_positions(keys: SplitKeys, share: float, seed: int, name: str) -> tuple[list[int], list[int]]:
    """Draws the rows of a new split: (positions of the remaining rows, positions of the split ``name``), both ascending.

    Rows of one group, and rows with the same or nearly the same text, stay together. Within that the labels are stratified:
    classes (each with two rows or more is on both sides where groups allow it), the single labels of a multi-label task, or the
    deciles of a score. The result depends on the rows, the share, the seed and the name, and on nothing else.
    """
    n_rows = len(keys.texts)
    most = max(2, round(min(share, 1 - share) * n_rows))
    near = near_duplicates(keys.texts, keys.pairs, RELATED, keys.searched)
    clusters = row_clusters(keys.texts, keys.pairs, keys.groups, near, most=most).tolist()
    units: list[list[int]] = [[] for _ in range(max(clusters, default=-1) + 1)]
    for i, cluster in enumerate(clusters):
        units[cluster].append(i)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    chosen = choose(units, stratify(keys.labels), share, rng)
    rest = [i for i in range(n_rows) if i not in chosen]
    if min(len(chosen), len(rest)) < MIN_ROWS:
        message = f"A {name} fraction of {share:g} of {plural(n_rows, 'row')} gives {plural(len(chosen), 'row')}"
        message += f"; at least {MIN_ROWS} are needed on both sides."
        largest = len(max(units, key=len))
        if len(units) < MIN_ROWS + 1 or largest > n_rows / 2:
            message += f" The largest group of rows that must stay together has {largest}."
        raise DataError.one(keys.source, message, f"Give more rows, another fraction, or a file of its own (data.{name}).")
    return rest, sorted(chosen)


def stratify(labels: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Returns the strata of each row (N): its class; the bin of its score; or each of its labels and one stratum for all rows."""
    if any(isinstance(label, float) for label in labels):
        scores = np.asarray(labels, dtype=float)
        n_bins = max(1, min(SCORE_BINS, len(scores) // 10))
        edges = np.unique(np.quantile(scores, np.linspace(0, 1, n_bins + 1)[1:-1]))
        return [(int(b),) for b in np.searchsorted(edges, scores, side="left")]  # equal scores share a bin
    if any(isinstance(label, tuple) for label in labels):
        return [("row", *(i for i, flag in enumerate(label) if flag)) for label in labels]
    return [(label,) for label in labels]


def choose(units: list[list[int]], strata: list[tuple[Any, ...]], share: float, rng: np.random.Generator) -> set[int]:
    """Chooses the positions of the rows of the new split.

    Goes through the units in random order and takes each that brings the strata nearer to their quotas. Single rows fill a
    quota exactly, units of several rows as nearly as they can.
    """
    total = Counter(stratum for row in strata for stratum in row)
    left = quotas(total, share, rng)
    # In a unit of several strata a surplus row weighs more where the quota is small.
    weight = {stratum: 1 / max(1, quota) for stratum, quota in left.items()}
    taken: set[int] = set()
    for u in rng.permutation(len(units)).tolist():
        counts = count_strata(units[u], strata)
        # The change in the weighted sum of |left| if the unit is taken: negative is nearer.
        if sum((abs(left[s] - count) - abs(left[s])) * weight[s] for s, count in counts.items()) < 0:
            taken.add(u)
            for s, count in counts.items():
                left[s] -= count
    put_on_both_sides(units, strata, total, taken)
    return {i for u in taken for i in units[u]}


def count_strata(rows: list[int], strata: list[tuple[Any, ...]]) -> dict[Any, int]:
    """Counts the unit's rows by stratum. Nearly all units are one row, for which a Counter is ten times slower."""
    if len(rows) == 1:
        return dict.fromkeys(strata[rows[0]], 1)
    return Counter(stratum for i in rows for stratum in strata[i])


def quotas(total: Counter[Any], share: float, rng: np.random.Generator) -> dict[Any, int]:
    """Returns the rows of each stratum in the new split: its share, rounded; 1 to n - 1 from two rows on, else 0."""
    exact = {stratum: share * n for stratum, n in total.items()}
    quota = {stratum: int(amount) for stratum, amount in exact.items()}
    missing = round(sum(exact.values())) - sum(quota.values())
    order = [list(total)[i] for i in rng.permutation(len(total))]
    order.sort(key=lambda stratum: quota[stratum] - exact[stratum])
    for stratum in order[: max(0, missing)]:
        quota[stratum] += 1
    return {stratum: min(max(quota[stratum], 1), n - 1) if n > 1 else 0 for stratum, n in total.items()}


def put_on_both_sides(units: list[list[int]], strata: list[tuple[Any, ...]], total: Counter[Any], taken: set[int]) -> None:
    """Moves units until each stratum is on both sides, where that empties no other stratum on a side."""
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
    """Divides a table by the words of a split column: train, training; dev, val, validation, ...; test.

    Rows with an empty cell are dropped and counted, in the first split. Each split keeps the row ids of the source.

    Returns:
        train, validation, test -> rows, for those that occur.

    Raises:
        DataError: a cell is none of these words (the message names the first rows), or no row is marked as train.
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
        message = f"The split column {column!r} holds words that are not names of splits: {shown}."
        raise DataError.one(table.source, message, "Use train, validation and test, or remove the column from the recipe.")
    if "train" not in positions:
        message = f"The split column {column!r} marks no row as train."
        raise DataError.one(table.source, message, "Use train, validation and test.")
    present, parts = set(table.row_ids), {}
    for split in [split for split in SPLITS if split in positions]:
        own = {table.row_ids[i] for i in positions[split]}
        is_first = split == "train"
        own_bad = [row for row in table.bad_rows if row.row_id in own or (is_first and row.row_id not in present)]
        part = replace(table.take(positions[split]), bad_rows=tuple(own_bad + bad if is_first else own_bad))
        parts[split] = replace(part, rows_read=len(positions[split]) + sum(row.dropped for row in part.bad_rows))
    return parts
