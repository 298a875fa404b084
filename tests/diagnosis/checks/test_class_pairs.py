"""Divergence of word distributions: its limits, its null, and the published mode."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.published_divergence import published_divergence
from scipy.spatial.distance import jensenshannon

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.class_pairs import (
    class_difficulty,
    class_pairs,
    jensen_shannon,
    occurrences,
)


def test_it_is_scipys_squared_and_lies_between_0_and_1() -> None:
    draw = np.random.default_rng(0)
    p, q = draw.dirichlet(np.ones(20), 2)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert jensen_shannon(p, p) == pytest.approx(0)
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(1)


def test_smoothing_is_over_the_shared_vocabulary() -> None:
    (pair,) = class_pairs(["one one one", "two"], np.array([0, 1]), 2, min_frequency=1, alpha=1.0, n_permutations=1)
    assert pair.raw == pytest.approx(jensen_shannon(np.array([0.8, 0.2]), np.array([1 / 3, 2 / 3])))


def texts(given: np.ndarray, draw: np.random.Generator, shift: int) -> list[str]:
    """Rows of ten words; class 1 takes its words ``shift`` places further on."""
    return [" ".join(f"w{word + shift * label}" for word in draw.integers(0, 30, 10)) for label in given]


def test_equal_classes_have_a_raw_figure_and_no_corrected_one() -> None:
    draw = np.random.default_rng(1)
    given = np.repeat([0, 1], [200, 40])
    (same,) = class_pairs(texts(given, draw, 0), given, 2)
    (other,) = class_pairs(texts(given, draw, 15), given, 2)
    assert same.raw > 0.01
    assert abs(same.corrected) < 3 * same.null_deviation
    assert other.corrected > 0.2


def test_rare_words_and_unlabelled_rows_are_left_out() -> None:
    rows = ["often often once", "often seldom seldom", "other often seldom"]
    row_of, words, n_words = occurrences(rows, np.array([0, 1]), min_frequency=2)
    assert (row_of.tolist(), words.tolist(), n_words) == ([0, 0, 1, 1, 1], [0, 0, 0, 1, 1], 2)
    given = np.array([0, 1, -1])
    (pair,) = class_pairs(rows, given, 2, min_frequency=2, alpha=1.0)
    assert pair.raw == pytest.approx(jensen_shannon(np.array([3, 1]) / 4, np.array([2, 3]) / 5))


def test_the_most_alike_pair_comes_first() -> None:
    draw = np.random.default_rng(2)
    given = np.arange(300) % 3
    moved = np.array([0, 3, 30])[given]
    rows = [" ".join(f"w{word + shift}" for word in draw.integers(0, 30, 10)) for shift in moved]
    found = class_difficulty(evidence(given.tolist(), rows))
    assert (found.figures["pairs"][0]["first"], found.figures["pairs"][0]["second"]) == ("a", "b")
    assert "a and b" in found.summary


def test_too_many_classes_are_skipped() -> None:
    assert "2 to 30 classes" in class_difficulty(evidence([0, 0], n_classes=2)).skipped


def test_the_published_mode_counts_a_missing_word_as_one_of_all() -> None:
    found = published_divergence(["xxx xxx yyy the of", "xxx zzz zzz 1999"], np.array([0, 1]), 2, frozenset({"the"}))
    p = np.array([3 / 5, 2 / 5, 1 / 9])  # 6 words in all, 3 different ones
    q = np.array([2 / 5, 1 / 9, 3 / 5])
    assert found[0, 1] == pytest.approx(jensen_shannon(p / p.sum(), q / q.sum(), base=np.e))
