"""The table of difficulty: figures against arithmetic, the order, and intervals that cover V-information of known models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.codelength import Codelength
from tunesmith.diagnosis.checks.difficulty import Difficulty, difficulty, hardest_first
from tunesmith.diagnosis.checks.pvi import evidence_information, tempered


def measured(labels: np.ndarray, probs: np.ndarray, name: str = "a", groups: list[str] | None = None) -> Difficulty:
    data = evidence(labels.tolist(), n_classes=probs.shape[1], pred_probs=probs)
    data = data if groups is None else replace(data, rows=replace(data.rows, groups=groups))
    code = Codelength((100.0, 110.0), len(labels), probs.shape[1])
    return difficulty(name, data, evidence_information(data, probs), code)


def test_the_figures_are_those_of_their_definitions() -> None:
    labels = np.array([0] * 30 + [1] * 10)
    probs = np.tile([0.75, 0.25], (40, 1))
    probs[:20] = [0.9, 0.1]
    probs[30:34] = [0.95, 0.05]
    row = measured(labels, probs)
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert row.entropy_bits == pytest.approx(entropy)
    bits = (20 * np.log2(0.9 / 0.75) + 4 * np.log2(0.05 / 0.25)) / 40
    assert row.v_information_bits == pytest.approx(bits)
    assert row.share == pytest.approx(bits / entropy)
    assert (row.accuracy, row.majority_accuracy, row.hard_share) == (0.75, 0.75, 0.1)
    assert (row.codelength_bits, row.codelength_low, row.codelength_high) == (105 / 40, 100 / 40, 110 / 40)
    assert row.compression == pytest.approx(40 / 105)


def test_the_hardest_is_first_by_the_share_and_not_by_bits() -> None:
    draw = np.random.default_rng(0)
    two, four = draw.integers(0, 2, 400), draw.integers(0, 4, 400)
    of_two, of_four = np.full((400, 2), 0.4), np.full((400, 4), 0.5 / 3)
    of_two[np.arange(400), two] = 0.6
    of_four[np.arange(400), four] = 0.5
    of_two[0], of_four[0] = [0.5, 0.5], [0.25] * 4
    hard, easy = measured(two, of_two, "two"), measured(four, of_four, "four")
    assert hard.share < easy.share
    assert [row.data for row in hardest_first([easy, hard])] == ["two", "four"]


def test_a_model_that_knows_everything_gives_the_whole_entropy_and_its_share_is_certain() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    row = measured(labels, np.eye(3)[labels] * (1 - 3e-12) + 1e-12)
    assert row.n_classes == 2  # of three that the file may have
    assert (row.share, row.share_low, row.share_high) == pytest.approx((1, 1, 1), abs=1e-6)
    assert row.low < row.v_information_bits - 0.05 < row.high - 0.1


def test_rows_of_one_group_count_as_one() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat(draw.integers(0, 2, 40), 10)
    p = np.repeat(draw.uniform(0.3, 0.7, 40), 10)
    single, grouped = (
        measured(labels, np.stack([1 - p, p], axis=1), groups=groups) for groups in (None, [str(i // 10) for i in range(400)])
    )
    assert single.v_information_bits == grouped.v_information_bits
    assert 2 < (grouped.high - grouped.low) / (single.high - single.low) < 4.5  # the root of 10


def test_a_data_set_of_one_class_is_the_hardest() -> None:
    easy, hard = (
        measured(np.array([0, 1] * 20), np.tile([0.5, 0.5], (40, 1)), "easy"),
        measured(np.zeros(9, int), np.ones((9, 1)), "one"),
    )
    assert np.isnan(hard.share)
    assert [row.data for row in hardest_first([easy, hard])] == ["one", "easy"]


@pytest.mark.parametrize("n", [60, 400])
@pytest.mark.parametrize("knows", [True, False])
def test_the_interval_covers_the_v_information_of_the_model(n: int, knows: bool) -> None:
    """80 data sets of two classes; the true value is that of the model's own probabilities over endless rows.

    With 60 rows it covers in about 89 of 100, since the weight that shrinks the probabilities is fitted to as few.
    """
    draw = np.random.default_rng(n)
    slope, covered, n_sets = (2.0 if knows else 0.0), 0, 80
    x = draw.normal(size=200_000)
    p = 1 / (1 + np.exp(-slope * x))
    truth = 1 + float((p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean())
    for _ in range(n_sets):
        x = draw.normal(size=n)
        p = 1 / (1 + np.exp(-slope * x))
        labels = (draw.random(n) < p).astype(np.int64)
        probs = tempered(np.stack([1 - p, p], axis=1), labels, np.arange(n) % 5)
        row = measured(labels, probs)
        covered += row.low - 1e-9 <= truth <= row.high + 1e-9 or (not knows and row.low <= 0.0)
    assert covered >= (0.9 if n > 100 else 0.8) * n_sets
