"""Folds for cross-validation that keep groups and near-duplicates together."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import NearDuplicates, clusters, near_duplicates
from tunesmith.data.table import Examples
from tunesmith.errors import DataError

FOLDS, MORE_FOLDS = 5, 10
FEW_ROWS = 2_000
"""Fewer rows get ten folds: they cost seconds, and models of nine tenths of the rows find more than those of four fifths."""


def default_folds(requested: int | None, n_rows: int) -> int:
    """The requested number of folds, else ten for few rows and five for many."""
    return requested or (MORE_FOLDS if n_rows < FEW_ROWS else FOLDS)


def unit_numbers(rows: Examples, near: NearDuplicates | None = None) -> Array:
    """The number of each row's unit (N): rows of one group and near-duplicates, directly or through others, share one."""
    near = near if near is not None else near_duplicates(rows.texts, rows.pairs)
    if rows.groups is None:
        return clusters(near)
    _, first_of_group, group = np.unique(np.asarray(rows.groups, dtype=str), return_index=True, return_inverse=True)
    return clusters(near, (first_of_group[group], np.arange(len(rows))))


def assign_folds(given: Array, units: Array, n_folds: int = FOLDS, seed: int = 0, source: str = "") -> Array:
    """The fold of each row (N), 0 to n_folds - 1: units are never divided, and each class is spread evenly.

    Units come in random order, larger ones first, and go to the fold with the fewest rows of the class of their first row.

    Raises:
        DataError: there are fewer units than folds.
    """
    n_units = int(units.max()) + 1 if len(units) else 0
    if n_units < n_folds:
        message = f"{len(given):,} rows in {n_units:,} sets that must stay together cannot be divided into {n_folds} folds."
        raise DataError.one(source, message, "Give more rows, or fewer folds.")
    draw = np.random.default_rng(seed)
    order = draw.permutation(n_units)
    sizes = np.bincount(units, minlength=n_units)
    order = order[np.argsort(-sizes[order], kind="stable")]
    unit_class = np.empty(n_units, dtype=np.int64)
    unit_class[units[::-1]] = given[::-1]  # the class of each unit's first row
    class_sizes = np.zeros((int(given.max()) + 2, n_folds), dtype=np.int64)  # the last row is for the unlabelled
    fold_sizes = np.zeros(n_folds, dtype=np.int64)
    unit_fold = np.empty(n_units, dtype=np.int64)
    for unit in order.tolist():
        fold = int(np.lexsort((fold_sizes, class_sizes[unit_class[unit]]))[0])
        unit_fold[unit] = fold
        class_sizes[unit_class[unit], fold] += sizes[unit]
        fold_sizes[fold] += sizes[unit]
    return unit_fold[units]
