"""Mean PVI of the values of a column."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.slices import slices


def test_values_come_lowest_first_with_interval_and_rare_ones_are_counted() -> None:
    given = [i % 2 for i in range(60)]
    own = np.array([0.9] * 30 + [0.4] * 25 + [0.5] * 5)
    probs = np.stack([np.where(np.array(given) == k, own, 1 - own) for k in range(2)], axis=1)
    cells = ["news"] * 30 + [None] * 25 + ["a", "a", "b", "b", 3]
    found = slices(evidence([*given, None], pred_probs=np.vstack([probs, [0.5, 0.5]])), "genre", [*cells, "news"])
    first, second = found.figures["table"]
    assert (first["value"], first["n"], first["accuracy"]) == ("(missing)", 25, 0)
    assert (second["value"], second["n"], second["accuracy"]) == ("news", 30, 1)
    assert first["mean_pvi_bits"] == pytest.approx(1 + np.log2(0.4))
    assert second["low"] == pytest.approx(second["mean_pvi_bits"])
    assert found.name == "slices_genre"
    assert "lowest first: (missing) -0.32 [-0.32, -0.32] (accuracy 0.00, 25 rows)" in found.summary
    assert "Left out: 3 values with fewer than 20 rows, 5 rows in all." in found.summary


def test_it_is_skipped_where_no_value_is_frequent_or_nothing_is_known() -> None:
    probs = np.full((3, 2), 0.5)
    assert "20 rows" in slices(evidence([0, 1, 1], pred_probs=probs), "genre", ["x", "x", "y"]).skipped
    assert "no row has a label" in slices(evidence([None] * 3, n_classes=2, pred_probs=probs), "genre", ["x", "x", "y"]).skipped
    assert "out-of-fold" in slices(evidence([0, 1]), "genre", ["x", "x"]).skipped


def test_values_that_name_somebody_are_masked() -> None:
    found = slices(evidence([0, 1] * 10, pred_probs=np.full((20, 2), 0.5)), "sender", ["ada@example.org"] * 20)
    assert found.figures["table"][0]["value"] == "[email]"
    assert "ada@" not in found.summary
