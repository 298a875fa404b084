"""The online code: known lengths of labels without and with information, units that stay together, and bad models."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tunesmith.diagnosis.checks.codelength import FRACTIONS, ORDERS, FitAndPredict, block_ends, online_code


def entropy(share: float) -> float:
    return float(-share * np.log2(share) - (1 - share) * np.log2(1 - share))


def noisy(overconfidence: float, seed: int) -> FitAndPredict:
    """A model without information: random probabilities, near 0 and 1 for a large overconfidence."""
    draw = np.random.default_rng(seed)

    def predict(_seen: np.ndarray, block: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-overconfidence * draw.normal(size=len(block))))
        return np.stack([p, 1 - p], axis=1)

    return predict


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("overconfidence", [0.5, 8.0])
@pytest.mark.parametrize("n", [200, 2_000])
def test_labels_that_the_model_does_not_know_cost_their_entropy(share: float, overconfidence: float, n: int) -> None:
    given = (np.random.default_rng(n).random(n) < share).astype(np.int64)
    code = online_code(noisy(overconfidence, 1), given, 2, np.arange(n))
    least = n * entropy(given.mean())
    assert least * 0.98 < code.bits < 1.02 * least + 20


def test_labels_that_the_model_knows_cost_little() -> None:
    given = np.arange(1_000) % 2

    def knows(seen: np.ndarray, block: np.ndarray) -> np.ndarray:
        return np.eye(2)[given[block]] * 0.98 + 0.01

    code = online_code(knows, given, 2, np.arange(1_000))
    assert code.bits < 60
    assert code.compression > 15


def test_the_mean_and_the_range_are_over_the_orders_and_follow_from_the_seed() -> None:
    given = (np.random.default_rng(2).random(300) < 0.3).astype(np.int64)
    codes = [online_code(noisy(1.0, 0), given, 2, np.arange(300), seed) for seed in (0, 0, 1)]
    assert codes[0] == codes[1] != codes[2]
    assert len(codes[0].bits_of_order) == ORDERS
    low, high = codes[0].ends
    assert low < codes[0].bits_per_label < high


def test_labels_of_one_class_cost_what_the_class_frequencies_give() -> None:
    """By hand: one bit for each label of the first block, then -log2 of Krichevsky and Trofimov's estimate before a block."""
    code = online_code(noisy(1.0, 0), np.zeros(100, dtype=np.int64), 2, np.arange(100))
    ends = block_ends(np.arange(100))
    later = [-(stop - start) * np.log2((start + 0.5) / (start + 1)) for start, stop in itertools.pairwise(ends)]
    assert code.bits == pytest.approx(ends[0] + sum(later))
    assert online_code(noisy(1.0, 0), np.arange(12) % 4, 4, np.zeros(12, dtype=int)).bits == pytest.approx(24)  # a single block


def test_a_class_that_was_not_seen_costs_a_finite_number_of_bits() -> None:
    given = np.array([0] * 40 + [1] * 40 + [2])

    def never_the_third(seen: np.ndarray, block: np.ndarray) -> np.ndarray:
        return np.tile([0.5, 0.5, 0.0], (len(block), 1))

    code = online_code(never_the_third, given, 3, np.arange(81))
    assert 81 < code.bits < 110


def test_blocks_end_with_units_and_at_the_last_row() -> None:
    ends = block_ends(np.repeat(np.arange(50), 4))
    assert ends[-1] == 200
    assert all(end % 4 == 0 for end in ends)
    assert block_ends(np.arange(1_000)) == sorted({max(1, round(share * 1_000)) for share in FRACTIONS})
    assert block_ends(np.zeros(7, dtype=int)) == [7]


def test_a_block_is_predicted_by_rows_of_other_units_alone() -> None:
    given, units = np.arange(120) % 2, np.arange(120) // 3

    def check(seen: np.ndarray, block: np.ndarray) -> np.ndarray:
        assert not set(units[seen]) & set(units[block])
        return np.full((len(block), 2), 0.5)

    assert online_code(check, given, 2, units).bits == pytest.approx(120, abs=4)
