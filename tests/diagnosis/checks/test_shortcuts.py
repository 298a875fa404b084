"""Words and forms that give a label away: the published z-statistics of SNLI, and planted ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.shortcuts import count_words, critical_z, pmi, shortcut_words, surface, z_statistics

SNLI = {"sleeping": (2, 12.47), "nobody": (2, 9.49), "to": (1, 17.28), "outside": (0, 14.07), "for": (1, 15.42)}
CLASSES = ["entailment", "neutral", "contradiction"]


def test_the_published_words_of_snli(shared: Path) -> None:
    folder = shared / "data/snli"
    hypotheses = (folder / "s2.test").read_text(encoding="utf-8").splitlines()
    given = np.array([CLASSES.index(label) for label in (folder / "labels.test").read_text(encoding="utf-8").split()])
    found = count_words(hypotheses, given, 3)
    z = z_statistics(found.counts, np.full(3, 1 / 3))
    place = {word: i for i, word in enumerate(found.words)}
    for word, (label, expected) in SNLI.items():
        assert z[place[word], label] == pytest.approx(expected, abs=0.005), word


def test_z_and_critical_value() -> None:
    assert z_statistics(np.array([[30, 10]]), np.array([0.5, 0.5])) == pytest.approx(np.array([[3.1623, -3.1623]]), abs=1e-4)
    assert critical_z(28_000) == pytest.approx(4.957, abs=0.01)  # Gardner et al.: 28k words, alpha 0.01


def test_pmi_is_zero_for_independent_words() -> None:
    assert pmi(np.array([[10, 30], [20, 60]])) == pytest.approx(np.zeros((2, 2)))
    assert pmi(np.array([[10, 0], [0, 10]]))[0].tolist() == [1.0, -np.inf]


def test_a_planted_word_is_found_and_a_rare_one_left_out() -> None:
    draw = np.random.default_rng(0)
    given = draw.integers(0, 2, 600)
    texts = [
        f"{'alas ' if label and draw.random() < 0.5 else ''}word{draw.integers(40)} word{draw.integers(40)}" for label in given
    ]
    texts[0] += " once"
    found = shortcut_words(evidence(given.tolist(), texts))
    words = [row["word"] for row in found.figures["words"]]
    assert words == ["alas"]
    assert found.figures["words"][0]["label"] == "b"


def test_the_prior_is_the_null_of_unbalanced_classes() -> None:
    given = [0] * 900 + [1] * 100
    texts = ["common words here"] * 1000
    assert shortcut_words(evidence(given, texts)).figures["words"] == []


def test_length_that_predicts_the_class_is_reported() -> None:
    given = [0, 1] * 50
    texts = ["short one" if label == 0 else "this is a much longer text with many more words in it" for label in given]
    found = surface(evidence(given, texts))
    assert "AUROC 1.00" in found.summary
    assert "hardly predict" in surface(evidence(given, ["the same form"] * 100)).summary


def test_the_form_of_a_few_rows_is_chance() -> None:
    few = evidence([0, 1] * 19, ["long text", "x"] * 19)
    assert surface(few).skipped == "no class has 20 rows"
    uneven = surface(evidence([0] * 20 + [1] * 2, ["long text"] * 20 + ["x"] * 2))
    assert {row["label"] for row in uneven.figures["features"]} == {"a"}


@pytest.mark.parametrize("diagnosis", [shortcut_words, surface])
def test_one_class_is_skipped(diagnosis) -> None:
    assert "two classes" in diagnosis(evidence([0, 0], n_classes=2)).skipped
