"""The baselines of pairs: the sign of the length is fitted, words are found, and a baseline that knows nothing is at a half."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.preferences.test_pairs import pairs_of
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.evaluation.baselines.preferences import bag_of_words_baseline, length_baseline


def drawn(n: int, seed: int, *, longer: float = 0.5, word: float = 0.5) -> PreferencePairs:
    """Pairs in which this share of the chosen answers is the longer one, and has the good word."""
    draw, rows = np.random.default_rng(seed), []
    for i in range(n):
        sizes = sorted(draw.integers(3, 40, 2).tolist(), reverse=bool(draw.random() < longer))
        marks = ("kind", "rude") if draw.random() < word else ("rude", "kind")
        texts = [" ".join([mark, *draw.choice(list("abcdefgh"), size)]) for mark, size in zip(marks, sizes, strict=True)]
        rows.append({"prompt": f"question {seed} {i}", "chosen": texts[0], "rejected": texts[1]})
    return pairs_of(*rows)


def accuracy(baseline, rows: PreferencePairs) -> float:
    return float(baseline.outputs[rows.split].row_scores["accuracy"].mean())


@pytest.mark.parametrize("longer", [0.1, 0.9])
def test_the_length_has_the_sign_of_train(longer: float) -> None:
    train, test = drawn(300, 0, longer=longer), drawn(300, 1, longer=longer).take(range(300), "test")
    baseline = length_baseline(train, [test])
    assert accuracy(baseline, test) == pytest.approx(0.9, abs=0.05)
    assert ("longer" if longer > 0.5 else "shorter") in baseline.note


def test_words_are_found_where_the_length_tells_nothing() -> None:
    train, test = drawn(300, 0, word=0.9), drawn(300, 1, word=0.9).take(range(300), "test")
    assert accuracy(bag_of_words_baseline(train, [test]), test) == pytest.approx(0.9, abs=0.06)
    assert accuracy(length_baseline(train, [test]), test) == pytest.approx(0.5, abs=0.08)


def test_a_baseline_without_anything_to_learn_is_at_a_half() -> None:
    train, test = drawn(400, 0), drawn(400, 1).take(range(400), "test")
    for baseline in (bag_of_words_baseline(train, [test]), length_baseline(train, [test])):
        assert accuracy(baseline, test) == pytest.approx(0.5, abs=0.08)
