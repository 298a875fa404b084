"""Agreement with an oracle: shares, intervals, kappa, the rows that differ."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.agreement import (
    OracleAnswers,
    OracleLabels,
    disagreement,
    kappa,
    measure_agreement,
    share_interval,
)
from tunesmith.diagnosis.evidence import UNLABELLED, worst_first


def rows_right(n_right: int, n: int) -> np.ndarray:
    return np.arange(n) < n_right


def test_the_interval_of_independent_rows_is_wilsons() -> None:
    assert share_interval(rows_right(0, 0)) == (0.0, 1.0)
    by_hand = (0.4901625, 0.9433178)  # Brown, Cai and DasGupta 2001
    assert share_interval(rows_right(8, 10)) == pytest.approx(by_hand, abs=1e-6)
    assert share_interval(rows_right(8, 10), np.arange(10)) == pytest.approx(by_hand, abs=1e-6)
    assert share_interval(rows_right(0, 20))[0] == 0.0
    assert share_interval(rows_right(20, 20))[1] == pytest.approx(1.0)


def test_copies_of_a_row_do_not_narrow_the_interval() -> None:
    right = np.random.default_rng(0).random(60) < 0.7
    alone, copied = share_interval(right), share_interval(np.repeat(right, 5), np.repeat(np.arange(60), 5))
    assert copied == pytest.approx(alone, abs=0.01)
    assert share_interval(rows_right(3, 5), np.zeros(5)) == (0.0, 1.0)


def test_the_interval_of_dependent_rows_covers_the_true_share() -> None:
    """30 clusters of 2 to 20 rows that are mostly right or mostly wrong together."""
    draw, covered = np.random.default_rng(1), 0
    for _ in range(400):
        clusters = np.repeat(np.arange(30), draw.integers(2, 21, 30))
        right = draw.random(len(clusters)) < draw.beta(1.6, 0.4, 30)[clusters]
        low, high = share_interval(right, clusters)
        covered += low <= 0.8 <= high
    assert covered >= 0.91 * 400


def test_kappa_of_cohens_own_kind_of_table() -> None:
    given = ["yes"] * 25 + ["no"] * 25
    answers = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(given, answers) == pytest.approx(0.4)  # observed 0.70, by chance 0.50
    assert kappa(["a"] * 3, ["a"] * 3) is None
    assert kappa([], []) is None


def test_agreement_by_class() -> None:
    labels = OracleLabels(["b", "b", "b", "a", "b"])
    classes = measure_agreement("train", "an oracle", ["b", "b", "b", "a", "a"], labels, ["a", "b"]).classes
    assert [(item.name, item.n, item.share) for item in classes] == [("a", 2, 0.5), ("b", 3, 1.0)]
    assert all(item.low < item.share <= item.high for item in classes)


def test_what_was_not_compared_is_counted() -> None:
    answers = OracleLabels(["a", None, "unsure", "b", "b"], known=frozenset({"a", "b", "unsure"}))
    found = measure_agreement("train", "an oracle", ["a", "a", "a", "b", "c"], answers, ["a", "b", "c"])
    assert (found.n, found.share, found.n_unanswered, found.n_unknown) == (3, pytest.approx(2 / 3), 1, 1)
    assert found.foreign == {"unsure": 1}
    assert [(item.name, item.n) for item in found.classes] == [("a", 2), ("b", 1)]


def test_without_answers_there_is_no_share_and_the_diagnosis_is_skipped() -> None:
    rows, answers = evidence([0, 1]), OracleLabels([None, None])
    found = measure_agreement("train", "labels.csv", ["a", "b"], answers, ["a", "b"])
    assert (found.share, found.low, found.high, found.kappa) == (None, 0.0, 1.0, None)
    assert disagreement(rows, found, answers).skipped == "labels.csv has no label for these rows"


def oracle_answers(names: list[str | None], confidence: list[float] | None = None) -> OracleAnswers:
    return OracleAnswers("runs/other", {"train": OracleLabels(names, None if confidence is None else np.array(confidence))})


def test_the_row_the_oracle_is_surest_of_comes_first() -> None:
    found = oracle_answers(["b", "b", "b", "c"], [0.6, 0.9, 0.8, 1.0]).diagnosis(evidence([0, 0, 1, 1], n_classes=2))
    assert found.flagged is not None
    assert found.scores is not None
    assert found.proposed is not None
    assert found.flagged.tolist() == [True, True, False, True]
    assert found.scores == pytest.approx([0.2, 0.05, 0.9, 0.0])
    assert found.proposed.tolist() == [1, 1, UNLABELLED, UNLABELLED]  # c is no label of these rows
    assert found.reasons[1] == "labelled a, runs/other answers b (90%)"


def test_a_row_without_a_probability_comes_last() -> None:
    found = oracle_answers(["b", "b"], [float("nan"), 0.9]).diagnosis(evidence([0, 0], n_classes=2))
    assert worst_first(found) == [1, 0]
    assert found.reasons == {0: "labelled a, runs/other answers b", 1: "labelled a, runs/other answers b (90%)"}


def test_without_probabilities_rows_are_flagged_and_not_ranked() -> None:
    found = oracle_answers(["b", "b"]).diagnosis(evidence([0, 1]))
    assert found.flagged is not None
    assert (found.scores, found.flagged.tolist()) == (None, [True, False])
    assert "agrees with the label of 50.0% of 2 rows (95 %: 9.5% to 90.5%), kappa 0.00." in found.summary
    assert "Least on a 0% (0% to 79%)." in found.summary
