"""Folds: twins and groups together, classes spread."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.table import Examples
from tunesmith.diagnosis.folds import assign_folds, unit_numbers
from tunesmith.errors import DataError


def rows(texts: list[str], groups: list[str] | None = None) -> Examples:
    return Examples("train", "rows.csv", list(range(len(texts))), texts, [0] * len(texts), groups=groups)


def test_near_duplicates_and_groups_share_a_unit() -> None:
    texts = ["the parcel has not arrived and I am waiting", "The parcel has not arrived, and I am waiting!",
             "the parcel has not arrived and I am waiting now", "how do I change my address", "another question"]  # fmt: skip
    units = unit_numbers(rows(texts, ["x", "y", "z", "w", "w"]))
    assert units[0] == units[1] == units[2]
    assert units[3] == units[4] != units[0]


def test_a_group_joins_what_its_rows_are_near_to() -> None:
    texts = [
        "the parcel has not arrived and I am waiting",
        "the parcel has not arrived and I am waiting!",
        "another thing altogether",
    ]
    units = unit_numbers(rows(texts, ["a", "b", "b"]))
    assert len(set(units.tolist())) == 1


def test_units_are_never_divided_and_classes_are_spread() -> None:
    draw = np.random.default_rng(0)
    units = np.repeat(np.arange(200), draw.integers(1, 4, 200))
    given = draw.integers(0, 4, 200)[units]
    folds = assign_folds(given, units, 5)
    assert all(len(set(folds[units == unit].tolist())) == 1 for unit in range(200))
    counts = np.array([np.bincount(folds[given == k], minlength=5) for k in range(4)])
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 3


def test_the_same_seed_gives_the_same_folds() -> None:
    given, units = np.arange(50) % 2, np.arange(50)
    assert np.array_equal(assign_folds(given, units, seed=1), assign_folds(given, units, seed=1))
    assert not np.array_equal(assign_folds(given, units, seed=1), assign_folds(given, units, seed=2))


def test_fewer_units_than_folds_are_refused() -> None:
    with pytest.raises(DataError, match="3 sets that must stay together"):
        assign_folds(np.zeros(9, dtype=int), np.repeat(np.arange(3), 3), 5)


def test_unlabelled_rows_have_folds_too() -> None:
    folds = assign_folds(np.array([0, 1, -1, -1, 0, 1, -1, -1]), np.arange(8), 2)
    assert np.bincount(folds).tolist() == [4, 4]
