"""The words about label criteria, and data sets whose similar texts all depend on one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunesmith.diagnosis.checks.criteria import Chosen, Criteria, LabelCriterion
from tunesmith.diagnosis.criteria import agreement_words, choice_words, criteria_finding, linked_pairs, rule_words
from tunesmith.report.data_sets import EVERY

FIGURES: dict[str, Any] = {
    "agreement": 0.6,
    "low": 0.55,
    "high": 0.65,
    "majority_agreement": 0.5,
    "gain": 0.1,
    "gain_low": 0.05,
    "gain_high": 0.15,
}
LAST = LabelCriterion(EVERY, "x", "y", "x", 50, 50, 0.75, 0.25, 0.3, 0.7)
FIRST = replace(LAST, condition='the text contains "word"', first_label="y")
FOUND = Criteria("a", "b", n_pairs=200, n_held_out=100, rules=(FIRST, LAST), tendencies=(), **FIGURES)


@pytest.mark.parametrize(
    ("ends", "words"), [((0.05, 0.15), ", more than"), ((-0.1, 0.1), ", not surely more than"), ((-0.2, -0.1), ", less than")]
)
def test_the_list_is_called_better_or_worse_than_the_most_frequent_labels_by_its_interval(
    ends: tuple[float, float], words: str
) -> None:
    found = replace(FOUND, gain_low=ends[0], gain_high=ends[1])
    assert f"held-out pairs of similar texts{words} the most frequent label" in agreement_words(found)
    chosen = Chosen(rule=FIRST, n_candidates=3, **{**FIGURES, "gain_low": ends[0], "gain_high": ends[1]})
    assert f"of the held-out labels{words} the most frequent label" in choice_words(chosen, ("a", "b"))


def test_lists_without_a_condition() -> None:
    assert agreement_words(replace(FOUND, rules=(LAST,))).endswith(
        "better than the most frequent label of each data set; but shares differ."
    )
    assert agreement_words(replace(FOUND, rules=(), tendencies=(FIRST,))).endswith("but shares differ.")
    assert (
        agreement_words(replace(FOUND, rules=()))
        == "no word or length decides differently in 100 held-out pairs of similar texts."
    )


def test_conditions_that_are_no_rule_are_marked_in_the_finding() -> None:
    finding = criteria_finding(replace(FOUND, rules=(LAST,), tendencies=(FIRST,)), ("a", "b"))
    assert 'otherwise: a x, b y (x 75% of 50 and 25% of 50); also if the text contains "word": a y, b y' in finding.summary
    assert criteria_finding(None, ("a", "b")).skipped == "fewer than 40 independent pairs of similar texts"


def test_differences_that_held_out_texts_do_not_show_are_marked() -> None:
    assert rule_words(replace(LAST, low=-0.1), ("a", "b")).endswith(", not confirmed)")
    assert not rule_words(LAST, ("a", "b")).endswith(", not confirmed)")
    assert "no text" in rule_words(replace(LAST, n_second=0, second_share=None, low=None, high=None), ("a", "b"))


def test_pairs_that_share_a_cluster_are_one_unit() -> None:
    units = linked_pairs(np.array([0, 0, 1, 2, 3]), np.array([4, 5, 5, 6, 7]))
    assert units.tolist() == [0, 0, 0, 1, 2]
