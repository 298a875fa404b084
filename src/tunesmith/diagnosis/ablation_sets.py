"""The training sets of an ablation of corrections, and the rows that select and evaluate all of them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.cells import listed, plural
from tunesmith.data.corrections.changes import LabelChanges
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.labelled.label_map import LabelMap, map_cells
from tunesmith.data.labelled.labels import encode
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Examples, Labels, Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import Recipe

Mask = NDArray[np.bool_]
AS_GIVEN, CORRECTED, REMOVED, RANDOM_REMOVED = "as_given", "corrected", "removed", "random_removed"
MIN_ROWS = 2
SHOWN = 5
Label = int | float | tuple[int, ...] | None
"""A class id, a number, 0 or 1 for each class, or no label."""


@dataclass(frozen=True)
class Variant:
    """A training set for each seed; only the random removal differs from seed to seed."""

    name: str
    trains: tuple[Examples, ...]


@dataclass(frozen=True)
class HoldoutRows:
    """The rows that no variant changes or removes.

    Attributes:
        selection: validation rows without a correction; they select the best checkpoint.
        evaluation: the rows of the verdict with their given labels, those with a correction among them.
        split: ``test``, or ``validation`` if the recipe has no test rows; then the evaluation rows also select.
        disputed: (N,) bool: evaluation rows that have a correction.
    """

    selection: Examples
    evaluation: Examples
    split: str
    disputed: Mask


@dataclass(frozen=True)
class CorrectionCounts:
    """The number of corrected rows in each split; ``unused`` are rows that the recipe drops or does not sample."""

    train: int
    validation: int
    test: int
    unused: int


@dataclass(frozen=True)
class FileChanges:
    """The changes of one of the training files, by the row ids that its rows have among those of all files.

    Attributes:
        old, new: row id -> label cell before and after, as classes of the recipe; ``old`` has all rows of the file.
        removed: row ids.
    """

    source: str
    sha256: str
    old: Mapping[int, Any]
    new: Mapping[int, Any]
    removed: frozenset[int]

    @classmethod
    def of(cls, splits: LabelledData, table: Table, changes: LabelChanges, labels: Mapping[str, Any]) -> FileChanges:
        """Finds the file among those of train and maps its labels. Raises DataError if the recipe trains on another file."""
        require_this_file(splits, table, changes.column)
        first = next((file.first_row for file in splits.train.files if file.sha256 == table.sha256), 0)
        label_map = LabelMap.of_column(labels, table.classes.get(changes.column, ()))
        ids = [*changes.labels]
        old = as_classes(table.columns[changes.column], label_map)
        new = as_classes([changes.labels[row_id] for row_id in ids], label_map)
        return cls(
            table.source,
            table.sha256,
            {first + row_id: cell for row_id, cell in zip(table.row_ids, old, strict=True)},
            {first + row_id: cell for row_id, cell in zip(ids, new, strict=True)},
            frozenset(first + row_id for row_id in changes.removed),
        )


def as_classes(cells: Sequence[Any], label_map: LabelMap) -> Sequence[Any]:
    """Maps label cells to classes; without a map they are the classes, and so are those of a file that holds them already."""
    mapped = map_cells(cells, label_map, None) if label_map.classes else None
    return cells if mapped is None or not mapped.used else mapped.cells


def make_variants(splits: LabelledData, file: FileChanges, recipe: Recipe) -> tuple[Variant, ...]:
    """Makes the training sets: as given, corrected, without the corrected rows, and without as many random ones.

    If every correction removes its row, ``corrected`` equals ``removed``, and ``removed`` is left out.
    """
    train, seed = splits.train, recipe.train.seed
    touched = [i for i, row_id in enumerate(train.row_ids) if row_id in file.new or row_id in file.removed]
    if not touched:
        message = "None of the corrections is of a row that the recipe trains on; there is nothing to measure."
        raise DataError.one(file.source, message, "Rows taken for validation and test, and rows not used, do not count.")
    new_labels = encode_corrections(splits, file, recipe.data.label_separator)
    relabelled = [new_labels.get(row_id, label) for row_id, label in zip(train.row_ids, train.labels, strict=True)]
    gone = [i for i, row_id in enumerate(train.row_ids) if row_id in file.removed]
    corrected, removed = without(replace(train, labels=relabelled), gone), without(train, touched)
    seeds = range(seed, seed + recipe.train.n_seeds)
    drawn = tuple(without(train, random_rows(train, len(touched), s)) for s in seeds)
    variants = {AS_GIVEN: (train,) * len(seeds), CORRECTED: (corrected,) * len(seeds)}
    if new_labels:
        variants[REMOVED] = (removed,) * len(seeds)
    for name, trains in variants.items():
        require_classes(trains[0], train, splits.labels, name)
    return tuple(Variant(name, trains) for name, trains in (variants | {RANDOM_REMOVED: drawn}).items())


def make_holdout(splits: LabelledData, corrections: Sequence[Correction], sha256: str) -> HoldoutRows:
    """Selects the rows that select the checkpoint and evaluate all variants.

    Args:
        corrections: of all files; those that name no file are of the one with this ``sha256``.
    """
    validation = splits.validation
    assert validation is not None, "the pre-flight rejects recipes without validation rows"
    evaluation = splits.test if splits.test is not None else validation
    selection = validation.take(np.flatnonzero(~has_correction(validation, corrections, sha256)).tolist(), "validation")
    disputed = has_correction(evaluation, corrections, sha256)
    for name, n in ((validation.split, len(selection)), (evaluation.split, int((~disputed).sum()))):
        if n < MIN_ROWS:
            message = f"All but {n} of the {name} rows have corrections; the rest is too small to evaluate the corrections."
            raise DataError.one(evaluation.source, message, f"Give the recipe other rows: data.{name}.")
    return HoldoutRows(selection, replace(evaluation, split="test"), evaluation.split, disputed)


def count_corrections(splits: LabelledData, file: FileChanges) -> CorrectionCounts:
    """Counts the changed rows in each split."""
    changed = file.removed | set(file.new)
    counts = {
        split: len(changed & set(part.row_ids)) if part is not None and is_of(part, file.sha256) else 0
        for split, part in (("train", splits.train), ("validation", splits.validation), ("test", splits.test))
    }
    return CorrectionCounts(**counts, unused=len(changed) - sum(counts.values()))


def has_correction(part: Examples, corrections: Sequence[Correction], sha256: str) -> Mask:
    """(N,) bool: the rows of a split that a correction names."""
    corrected = {(c.source_sha256 or sha256, c.row_id) for c in corrections}
    places = [(part.sha256, i) if (row := part.row_of_file(i)) is None else (row.file.sha256, row.row_id) for i in part.row_ids]
    return np.array([place in corrected for place in places], dtype=bool)


def is_of(part: Examples, sha256: str) -> bool:
    """Returns whether the rows of a split are those of this file, or it is one of their files."""
    return sha256 in (part.sha256, *(file.sha256 for file in part.files))


def require_this_file(splits: LabelledData, table: Table, column: str) -> None:
    """Raises DataError if the recipe trains on another file than the corrected one, or predicts another column."""
    train = splits.train
    if is_of(train, table.sha256):
        if not train.files and splits.columns.label != (column,):  # each of several files has a column of its own
            message = f"The corrections are of the column {column!r}, the recipe predicts {listed(splits.columns.label)}."
            raise DataError.one(table.source, message, "Name the recipe's column with --label, or give another recipe.")
        return
    others = [part.split for part in (splits.validation, splits.test) if part is not None and is_of(part, table.sha256)]
    if others:
        message = f"The recipe has this file for {others[0]}, not for training; corrections there do not change the model."
        raise DataError.one(table.source, message, "Measure corrections of the training file.")
    message = f"The recipe trains on {train.source} (sha256 {train.sha256[:12]}...), not on this file ({table.sha256[:12]}...)."
    raise DataError.one(table.source, message, "Give the recipe that trains on it: --measure RECIPE.")


def encode_corrections(splits: LabelledData, file: FileChanges, separator: str | None) -> dict[int, Label]:
    """Returns row id -> encoded new label, for the relabelled training rows."""
    place = {row_id: i for i, row_id in enumerate(splits.train.row_ids)}
    ids = [row_id for row_id in file.new if row_id in place]
    old = encode([file.old[row_id] for row_id in ids], splits.labels, separator)[0]
    if any(label != splits.train.labels[place[row_id]] for row_id, label in zip(ids, old, strict=True)):
        message = "The recipe reads this file in another way (data.header, data.encoding): its rows have other labels."
        raise DataError.one(file.source, message, "Diagnose the file with this recipe.")
    new, wrong = encode([file.new[row_id] for row_id in ids], splits.labels, separator)
    if wrong:
        shown = listed((f"{str(file.new[ids[i]])!r} for row {ids[i]}" for i in wrong), SHOWN)
        message = f"{plural(len(wrong), 'correction', 'proposes', 'propose')} labels that no training row has: {shown}."
        raise DataError.one(file.source, message, "Correct their spelling; a new class cannot be evaluated.")
    return dict(zip(ids, new, strict=True))


def without(train: Examples, positions: Sequence[int]) -> Examples:
    """Returns the rows without those at these positions, in their order."""
    gone = set(positions)
    return train.take([i for i in range(len(train)) if i not in gone], train.split)


def random_rows(train: Examples, n: int, seed: int) -> list[int]:
    """Returns positions of n random rows; the last row of a class is drawn only after all others."""
    draw = np.random.default_rng([seed, zlib.crc32(RANDOM_REMOVED.encode())])
    left = Counter(k for label in train.labels for k in classes_in(label))
    drawn, last = [], []
    for i in draw.permutation(len(train)).tolist():
        own = classes_in(train.labels[i])
        if any(left[k] == 1 for k in own):
            last.append(i)
            continue
        drawn.append(i)
        left.subtract(own)
    return [*drawn, *last][:n]


def classes_in(label: Label) -> list[int]:
    """Returns the classes of a label; none for a number."""
    if isinstance(label, tuple):
        return [k for k, is_on in enumerate(label) if is_on]
    return [label] if isinstance(label, int) else []


CHANGE_WORDS: dict[str, str] = {CORRECTED: "Correcting", REMOVED: "Removing the rows with corrections"}


def require_classes(left: Examples, train: Examples, labels: Labels, name: str) -> None:
    """Raises DataError if a class, or nearly every row, is gone."""
    gone = sorted(set.difference(*({k for label in rows.labels for k in classes_in(label)} for rows in (train, left))))
    if gone:
        leaves = f"{CHANGE_WORDS[name]} leaves no training row of {listed((repr(labels.names[k]) for k in gone), SHOWN)}"
        message = f"{leaves}; a model that was not trained on a class cannot be compared."
        raise DataError.one(train.source, message, "Apply them without --measure, or take corrections out.")
    if len(left) < MIN_ROWS:
        raise DataError.one(
            train.source, f"{CHANGE_WORDS[name]} leaves {plural(len(left), 'training row')}.", "Take corrections out."
        )
