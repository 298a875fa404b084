"""KNN-Shapley against the definition: the average gain over all orders of the rows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.diagnosis.rows import clouds, evidence
from tunesmith.diagnosis.checks import shapley as module
from tunesmith.diagnosis.checks.shapley import knn_shapley, shapley


def by_definition(embeddings: np.ndarray, given: np.ndarray, test_rows: np.ndarray, label: int, k: int) -> np.ndarray:
    """Shapley values of all rows for one test row, by every order."""
    near = embeddings @ test_rows

    def utility(rows: tuple[int, ...]) -> float:
        nearest = sorted(rows, key=lambda i: -near[i])[:k]
        return sum(given[i] == label for i in nearest) / k

    values = np.zeros(len(given))
    for order in itertools.permutations(range(len(given))):
        for place, row in enumerate(order):
            values[row] += utility(order[: place + 1]) - utility(order[:place])
    return values / math.factorial(len(given))


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_it_is_the_shapley_value(k: int) -> None:
    draw = np.random.default_rng(k)
    embeddings, test_rows = draw.normal(size=(6, 3)), draw.normal(size=(4, 3))
    given, labels = draw.integers(0, 2, 6), draw.integers(0, 2, 4)
    expected = np.mean([by_definition(embeddings, given, x, y, k) for x, y in zip(test_rows, labels, strict=True)], axis=0)
    assert knn_shapley(embeddings, given, test_rows, labels, k) == pytest.approx(expected)


def test_rows_beyond_the_nearest_agree_as_often_as_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values still add up to the accuracy of the vote, and rank the rows as the exact ones do."""
    rows, _ = clouds(15, n=300)
    assert rows.embeddings is not None
    exact = knn_shapley(rows.embeddings, rows.given, rows.embeddings, rows.given, same=True)
    monkeypatch.setattr(module, "NEAREST", 100)
    near = knn_shapley(rows.embeddings, rows.given, rows.embeddings, rows.given, same=True)
    assert near.sum() == pytest.approx(exact.sum())
    assert not np.array_equal(near, exact)
    assert spearmanr(near, exact).statistic > 0.97
    assert set(np.argsort(near)[:13].tolist()) <= set(range(15))


def test_one_ordered_row_fewer_than_there_are_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The average of one row is that row."""
    draw = np.random.default_rng(0)
    embeddings, given = draw.normal(size=(30, 3)), draw.integers(0, 3, 30)
    exact = knn_shapley(embeddings, given, embeddings, given, same=True)
    monkeypatch.setattr(module, "NEAREST", 28)
    assert knn_shapley(embeddings, given, embeddings, given, same=True) == pytest.approx(exact)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = clouds(10, n=60)
    assert rows.embeddings is not None
    whole = knn_shapley(rows.embeddings, rows.given, rows.embeddings, rows.given, same=True)
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 150)
    assert knn_shapley(rows.embeddings, rows.given, rows.embeddings, rows.given, same=True) == pytest.approx(whole)


def test_wrong_labels_have_the_lowest_values() -> None:
    rows, _ = clouds(15)
    found = shapley(rows)
    assert found.scores is not None
    assert found.flagged is not None
    assert set(np.argsort(found.scores)[:13].tolist()) <= set(range(15))
    assert found.flagged[:15].mean() > 0.9


def test_without_embeddings_it_is_skipped() -> None:
    assert "embeddings" in shapley(evidence([0, 1])).skipped
