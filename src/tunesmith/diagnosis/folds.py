"""Folds for cross-validation in which no row is judged by a model that saw its twin."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import NearDuplicates, clusters, near_duplicates
from tunesmith.data.table import Examples
from tunesmith.errors import DataError

FOLDS, MORE_FOLDS = 5, 10
FEW_ROWS = 2_000
"""Below, ten folds instead of five cost seconds, and models of nine tenths of the rows find more than those of four fifths."""


def folds_for(asked: int | None, n_rows: int) -> int:
    """The number of folds: what was asked for, or ten for few rows and five for many."""
    return asked or (MORE_FOLDS if n_rows < FEW_ROWS else FOLDS)


def units_of(rows: Examples, near: NearDuplicates | None = None) -> Array:
    """The number of each row's unit (N): rows of one group, and nearly the same rows, directly or through others, share one."""
    near = near if near is not None else near_duplicates(rows.texts, rows.pairs)
    if rows.groups is None:
        return clusters(near)
    _, first_of_group, group = np.unique(np.asarray(rows.groups, dtype=str), return_index=True, return_inverse=True)
    return clusters(near, (first_of_group[group], np.arange(len(rows))))


def fold_of(given: Array, units: Array, n_folds: int = FOLDS, seed: int = 0, source: str = "") -> Array:
    """The fold of each row (N), 0 to n_folds - 1: units are never divided, and each class is spread evenly.

    Units come in random order, larger ones first, and go where the class of their first row has the fewest rows so far.

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
    kind = first_label(given, units, n_units)
    held = np.zeros((int(given.max()) + 2, n_folds), dtype=np.int64)  # the last row is for the unlabelled
    total = np.zeros(n_folds, dtype=np.int64)
    fold_of_unit = np.empty(n_units, dtype=np.int64)
    for unit in order.tolist():
        fold = int(np.lexsort((total, held[kind[unit]]))[0])
        fold_of_unit[unit] = fold
        held[kind[unit], fold] += sizes[unit]
        total[fold] += sizes[unit]
    return fold_of_unit[units]


def first_label(given: Array, units: Array, n_units: int) -> Array:
    """The label of the first row of each unit."""
    kind = np.empty(n_units, dtype=np.int64)
    kind[units[::-1]] = given[::-1]
    return kind
