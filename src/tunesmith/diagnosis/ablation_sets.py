"""The training sets between which corrections are measured, and the rows they are judged on: the same for all of them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.corrections.apply import LabelChanges
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.labelled.labels import encode
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Columns, Examples, Labels, Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import Recipe

AS_GIVEN, CORRECTED, REMOVED, RANDOM_REMOVED = "as_given", "corrected", "removed", "random_removed"
SMALLEST = 2
SHOWN = 5


@dataclass(frozen=True)
class Variant:
    """A training set, once for each seed; only the random removal differs from seed to seed."""

    name: str
    trains: tuple[Examples, ...]


@dataclass(frozen=True)
class Held:
    """The rows that no variant changes or removes.

    Attributes:
        steering: validation rows without a correction; they choose the best checkpoint.
        judged: the rows of the verdict with the labels given, those with a correction among them.
        split: ``test``, or ``validation`` where the recipe has no test rows; then the judged rows also steer.
        disputed: (N,) bool: judged rows that have a correction.
    """

    steering: Examples
    judged: Examples
    split: str
    disputed: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Places:
    """Where the corrections of the file fall; ``unused`` are rows that the recipe drops or does not sample."""

    train: int
    validation: int
    test: int
    unused: int


def variants_of(splits: LabelledData, table: Table, changes: LabelChanges, recipe: Recipe) -> tuple[Variant, ...]:
    """The training rows as given, corrected, without the corrected rows, and without as many random ones.

    Where every correction removes its row, corrected is removed, and ``removed`` is not there a second time.

    Raises:
        DataError: the recipe does not train on this file and its label column, no correction is of a training row, a
            proposed label is no class of the recipe, or a class would be left without a row.
    """
    train, seed = splits.train, recipe.train.seed
    require_this_file(splits, table)
    require_column(splits.columns, changes, table)
    touched = [i for i, row_id in enumerate(train.row_ids) if row_id in changes.labels or row_id in changes.removed]
    if not touched:
        message = "None of the corrections is of a row that the recipe trains on; there is nothing to measure."
        raise DataError.one(table.source, message, "Rows taken for validation and test, and rows not used, do not count.")
    given = encoded(splits, table, changes, recipe.data.label_separator)
    corrected = with_labels(train, given, changes)
    removed = without(train, touched)
    seeds = range(seed, seed + recipe.train.n_seeds)
    drawn = tuple(without(train, random_rows(train, len(touched), s)) for s in seeds)
    found = {AS_GIVEN: (train,) * len(seeds), CORRECTED: (corrected,) * len(seeds)}
    if given:
        found[REMOVED] = (removed,) * len(seeds)
    for name, trains in found.items():
        require_classes(trains[0], train, splits.labels, name)
    return tuple(Variant(name, trains) for name, trains in (found | {RANDOM_REMOVED: drawn}).items())


def held_out(splits: LabelledData, corrections: Sequence[Correction], sha256: str) -> Held:
    """What steers and what judges all variants.

    Args:
        corrections: of all files; those that name no file are of the one with this ``sha256``.

    Raises:
        DataError: corrections leave fewer than two rows to steer or to judge.
    """
    validation = splits.validation
    assert validation is not None, "the pre-flight refuses recipes without validation rows"
    judged = splits.test if splits.test is not None else validation
    questioned = are_questioned(validation, corrections, sha256)
    steering = validation.take(np.flatnonzero(~questioned).tolist(), "validation")
    disputed = are_questioned(judged, corrections, sha256)
    for name, n in ((validation.split, len(steering)), (judged.split, int((~disputed).sum()))):
        if n < SMALLEST:
            message = f"All but {n} of the {name} rows have corrections; what is left cannot judge what corrections are worth."
            raise DataError.one(judged.source, message, f"Give the recipe other rows: data.{name}.")
    return Held(steering, replace(judged, split="test"), judged.split, disputed)


def places_of(splits: LabelledData, changes: LabelChanges, sha256: str) -> Places:
    """How many of the changed rows are in which split."""
    changed = changes.removed | set(changes.labels)
    counts = {
        split: len(changed & set(part.row_ids)) if part is not None and part.sha256 == sha256 else 0
        for split, part in (("train", splits.train), ("validation", splits.validation), ("test", splits.test))
    }
    return Places(**counts, unused=len(changed) - sum(counts.values()))


def are_questioned(part: Examples, corrections: Sequence[Correction], sha256: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(N,) bool: the rows of a split that a correction names."""
    named = {c.row_id for c in corrections if (c.source_sha256 or sha256) == part.sha256}
    return np.array([row_id in named for row_id in part.row_ids], dtype=bool)


def require_this_file(splits: LabelledData, table: Table) -> None:
    """Raise DataError where the recipe trains on another file than the one that is corrected."""
    train = splits.train
    if train.sha256 == table.sha256:
        return
    others = [part.split for part in (splits.validation, splits.test) if part is not None and part.sha256 == table.sha256]
    if others:
        message = f"The recipe has this file for {others[0]}, not for training; corrections there teach a model nothing."
        raise DataError.one(table.source, message, "Measure corrections of the training file.")
    message = f"The recipe trains on {train.source} (sha256 {train.sha256[:12]}...), not on this file ({table.sha256[:12]}...)."
    raise DataError.one(table.source, message, "Give the recipe that trains on it: --measure RECIPE.")


def require_column(columns: Columns, changes: LabelChanges, table: Table) -> None:
    """Raise DataError where the recipe learns another column than the one that is corrected."""
    if columns.label != (changes.column,):
        message = f"The corrections are of the column {changes.column!r}, the recipe learns {listed(columns.label)}."
        raise DataError.one(table.source, message, "Name the recipe's column with --label, or give another recipe.")


def encoded(splits: LabelledData, table: Table, changes: LabelChanges, separator: str | None) -> dict[int, Any]:
    """Row id -> new label as the task uses it, for the relabelled training rows.

    Raises:
        DataError: a proposed label that is no class, or a recipe that numbers the rows in another way than the file.
    """
    place = {row_id: i for i, row_id in enumerate(splits.train.row_ids)}
    ids = [row_id for row_id in changes.labels if row_id in place]
    position = {row_id: i for i, row_id in enumerate(table.row_ids)}
    old = encode([table.columns[changes.column][position[row_id]] for row_id in ids], splits.labels, separator)[0]
    if any(label != splits.train.labels[place[row_id]] for row_id, label in zip(ids, old, strict=True)):
        message = "The recipe reads this file in another way (data.header, data.encoding): its rows have other labels."
        raise DataError.one(table.source, message, "Diagnose the file with this recipe.")
    new, wrong = encode([changes.labels[row_id] for row_id in ids], splits.labels, separator)
    if wrong:
        shown = listed((f"{str(changes.labels[ids[i]])!r} for row {ids[i]}" for i in wrong), SHOWN)
        message = f"{len(wrong)} corrections propose labels that no training row has: {shown}."
        raise DataError.one(table.source, message, "Correct their spelling; what a new class is worth cannot be measured.")
    return dict(zip(ids, new, strict=True))


def with_labels(train: Examples, new: dict[int, Any], changes: LabelChanges) -> Examples:
    """The rows with their new labels, and without those that are removed."""
    relabelled = [new.get(row_id, label) for row_id, label in zip(train.row_ids, train.labels, strict=True)]
    gone = [i for i, row_id in enumerate(train.row_ids) if row_id in changes.removed]
    return without(replace(train, labels=relabelled), gone)


def without(train: Examples, positions: Sequence[int]) -> Examples:
    """The rows but those at these positions, in their order."""
    gone = set(positions)
    return train.take([i for i in range(len(train)) if i not in gone], train.split)


def random_rows(train: Examples, n: int, seed: int) -> list[int]:
    """Positions of so many random rows; the last row of a class only where no others are left."""
    draw = np.random.default_rng([seed, zlib.crc32(RANDOM_REMOVED.encode())])
    left = Counter(k for label in train.labels for k in classes_in(label))
    chosen, last = [], []
    for i in draw.permutation(len(train)).tolist():
        own = classes_in(train.labels[i])
        if any(left[k] == 1 for k in own):
            last.append(i)
            continue
        chosen.append(i)
        left.subtract(own)
    return [*chosen, *last][:n]


def classes_in(label: Any) -> list[int]:
    """The classes that a label names; none for a number."""
    if isinstance(label, tuple):
        return [k for k, is_on in enumerate(label) if is_on]
    return [label] if isinstance(label, int) else []


DOING: dict[str, str] = {CORRECTED: "Correcting", REMOVED: "Removing the rows with corrections"}


def require_classes(left: Examples, train: Examples, labels: Labels, name: str) -> None:
    """Raise DataError where a class, or nearly every row, is gone."""
    gone = sorted(classes_of(train) - classes_of(left))
    if gone:
        names = listed((repr(labels.names[k]) for k in gone), SHOWN)
        message = f"{DOING[name]} leaves no training row of {names}; a model that never saw a class cannot be compared."
        raise DataError.one(train.source, message, "Apply them without --measure, or take corrections out.")
    if len(left) < SMALLEST:
        raise DataError.one(train.source, f"{DOING[name]} leaves {len(left)} training rows.", "Take corrections out.")


def classes_of(rows: Examples) -> set[int]:
    return {k for label in rows.labels for k in classes_in(label)}
