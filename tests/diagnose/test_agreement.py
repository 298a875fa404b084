"""Agreement with an oracle, and data sets against each other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tunesmith.data.table import Examples
from tunesmith.diagnose.agreement import class_agreement, kappa, opposite_labels, transfer_matrix, wilson


def test_wilson_interval() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)  # Brown, Cai and DasGupta 2001, by hand
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == pytest.approx(1.0)


def test_kappa_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    a, b = (draw.choice(list("abc"), 60).tolist() for _ in range(2))
    assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    assert kappa(["a"] * 3, ["a"] * 3) is None


def test_agreement_by_class() -> None:
    found = class_agreement(["a", "a", "b", "b", "b"], ["a", "b", "b", "b", "b"])
    assert [(item.name, item.n, item.share) for item in found] == [("a", 2, 0.5), ("b", 3, 1.0)]
    assert all(item.low < item.share <= item.high for item in found)


def rows(texts: list[str], labels: list[int]) -> Examples:
    return Examples("train", "x.csv", list(range(len(texts))), texts, labels)


def test_opposite_labels_are_found_across_and_not_within() -> None:
    text, near = "you people should all go home right now", "you people should all go home right away now"
    first = rows([text, "something else", text], [0, 1, 1])
    second = rows([text.upper(), near, "something else"], [1, 1, 1])
    found = opposite_labels(first, ("ok", "hate"), second, ("ok", "hate"))
    assert [(o.first_row, o.second_row, o.first_label, o.second_label) for o in found] == [
        (0, 0, "ok", "hate"),
        (0, 1, "ok", "hate"),
    ]
    assert found[0].overlap == 1 > found[1].overlap


def test_the_transfer_matrix_trains_on_one_and_tests_on_the_other() -> None:
    sets = {"a": (np.array([[0.0], [1.0]]), np.array([0, 1])), "b": (np.array([[0.0], [1.0]]), np.array([1, 0]))}

    def fit(features, labels):
        return lambda others: np.array([labels[np.abs(features - row).argmin()] for row in others])

    found = transfer_matrix(sets, fit, lambda truth, said: float((truth == said).mean()))
    assert found == {("a", "b"): 0.0, ("b", "a"): 0.0}
