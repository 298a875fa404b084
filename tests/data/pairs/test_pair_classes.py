"""Classes of labelled pairs: numbers are read only where the data leave one meaning."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tunesmith.data.pairs.pair_classes import NamedClasses, PairLabels, different_classes, means_same, same_class
from tunesmith.errors import DataError

QUESTIONS = ("question1", "question2")


def pairs(labels: list[str], columns: tuple[str, ...] = QUESTIONS, named: NamedClasses | None = None) -> PairLabels:
    rows = [(f"a {i}", f"b {i}", label) for i, label in enumerate(labels)]
    return PairLabels(rows, columns, "rows", named or NamedClasses())


@pytest.mark.parametrize(
    ("labels", "same"),
    [
        (["0", "1"], "1"),
        (["duplicate", "other"], "duplicate"),
        (["Entailment", "neutral", "contradiction"], "entailment"),
        (["e", "n", "c"], "e"),
        (["False", "True"], "true"),
        (["entailment", "not_entailment"], "entailment"),
    ],
)
def test_usual_words_and_numbers_of_duplicates_are_known(labels: list[str], same: str) -> None:
    assert same_class(pairs(labels)) == same
    assert means_same(pairs(labels)) == [int(label.casefold() == same) for label in labels]


@pytest.mark.parametrize(
    "labels", [["0", "1", "2"], ["1", "2"], ["1", "2", "3"], ["0", "1", "2", "3"], ["same", "similar", "other"], ["a", "b"]]
)
def test_the_user_is_asked_where_several_meanings_are_possible(labels: list[str]) -> None:
    with pytest.raises(DataError, match=r"which of them means the same cannot be detected.*embedding\.same: LABEL"):
        same_class(pairs(labels))
    for label in labels:
        assert same_class(pairs(labels, named=NamedClasses(label))) == label


def test_two_numbers_are_asked_about_beside_premise_and_hypothesis_and_beside_three_in_train() -> None:
    with pytest.raises(DataError, match="in NLI data with two classes 0 is mostly entailment"):
        same_class(pairs(["0", "1"], ("premise", "hypothesis")))
    with pytest.raises(DataError, match="3 numbers can be coded in several ways"):
        same_class(pairs(["0", "1"], named=NamedClasses(beside=("0", "1", "2"))))


def test_texts_that_contradict_the_usual_coding_are_asked_about() -> None:
    alike = [("how old are you", "how old are they", "{}")] * 30
    apart = [("how old are you", "where is it", "{}")] * 30
    for first, second in product("01", "01"):
        rows = [(a, b, first) for a, b, _ in alike] + [(a, b, second) for a, b, _ in apart]
        if first == "0" and second == "1":
            with pytest.raises(DataError, match="labelled 0 are more alike than"):
                same_class(PairLabels(rows, QUESTIONS, "rows"))
        else:
            assert same_class(PairLabels(rows, QUESTIONS, "rows")) == "1"


def test_numbers_without_a_tie_to_the_texts_are_seldom_asked_about() -> None:
    rng, asked = np.random.default_rng(0), 0
    words = [f"w{i}" for i in range(30)]
    for _ in range(200):
        n = int(rng.integers(4, 60))
        rows = [(" ".join(rng.choice(words, 5)), " ".join(rng.choice(words, 5)), str(i % 2)) for i in range(n)]
        try:
            same_class(PairLabels(rows, QUESTIONS, "rows"))
        except DataError:
            asked += 1
    assert asked <= 2


def test_contradictions_are_negatives_and_neutral_texts_are_not() -> None:
    assert different_classes(pairs(["entailment", "neutral", "contradiction"]), "entailment") == {"contradiction"}
    assert different_classes(pairs(["e", "n", "c"]), "e") == {"c"}
    assert different_classes(pairs(["0", "1"]), "1") == {"0"}
    assert different_classes(pairs(["same", "b", "c"]), "same") == {"b", "c"}
    with pytest.raises(DataError, match="means a contradiction"):
        different_classes(pairs(["0", "1", "2"]), "0")
    assert different_classes(pairs(["0", "1", "2"], named=NamedClasses("0", "2")), "0") == {"2"}
    with pytest.raises(DataError, match="cannot mean both"):
        different_classes(pairs(["0", "1", "2"], named=NamedClasses("0", "0")), "0")


def test_a_named_class_that_no_pair_has_is_an_error_unless_it_is_trains_coding() -> None:
    with pytest.raises(DataError, match="no pair has the label 3; the classes are 0, 1, 2"):
        same_class(pairs(["0", "1", "2"], named=NamedClasses("3")))
    in_words = pairs(["entailment", "contradiction"], named=NamedClasses("0", beside=("0", "1", "2")))
    assert same_class(in_words) == "entailment"
    with pytest.raises(DataError, match="no pair has the label 0"):
        same_class(pairs(["1", "2"], named=NamedClasses("0", beside=("0", "1", "2"))))
