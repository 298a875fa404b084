"""Metrics of answers: hand-made cases, published definitions, and what holds for every pair of texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.answers import (
    METRICS,
    answer_function,
    answer_metrics_for,
    answer_scores,
    common_subsequence,
    exact_match,
    is_looping,
    json_equal,
    json_valid,
    rouge_l,
    token_f1,
)  # fmt: skip

PLAIN = st.text(st.sampled_from("ab c,.1T"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1), ("an apple", "apple", 1), ("apples", "apple", 0), ("", "", 1), ("", "x", 0),
        ("1,000", "1000", 1), ("$1,000", "1000", 1), ("72.", "72", 1), ("72.0", "72", 1), ("1.5", "15", 0), ("-5", "5", 0),
        ("1,00", "100", 1), ("+3", "3", 1), ("12,345,678.50", "12345678.5", 1), ("three", "3", 0),
    ],
)  # fmt: skip
def test_exact_match(answer: str, reference: str, score: float) -> None:
    assert exact_match(answer, reference) == score


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("the cat sat", "cat", 2 / 3),
        ("a b c", "c b b", 0.8),
        ("x", "y", 0),
        ("the", "an", 1),
        ("the", "cat", 0),
        ("big big cat", "big dog", 0.4),
    ],
)
def test_token_f1(answer: str, reference: str, f1: float) -> None:
    assert token_f1(answer, reference) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("she earn? she earn?", True), ("she earn? she earn? she", True), ("the end and so and so and so and so", True),
        ("ha ha ha ha", True), ("日本" * 11, True), ("it is me", False), ("no no", False), ("", False),
        ("one two three four five", False), ("a b c d e f g h i j a b", False),
    ],
)  # fmt: skip
def test_a_loop_at_the_end(text: str, loops: bool) -> None:
    assert is_looping(text) is loops


def test_rouge_separates_words_at_underscores_as_rouge_score_does() -> None:
    assert rouge_l("get_user_name", "get user name") == 1.0
    assert rouge_l("get_user", "get_user_name") == pytest.approx(0.8)


def test_rouge_l_as_lin_has_it() -> None:
    """Lin 2004, section 3.1: "police killed the gunman" with two candidates, F1 3/4 and 2/4."""
    assert rouge_l("police kill the gunman", "police killed the gunman") == 0.75
    assert rouge_l("the gunman kill police", "police killed the gunman") == 0.5
    assert rouge_l("Über Ähre", "über ähre, ja") == pytest.approx(0.8)
    assert rouge_l("", "...") == 1
    assert rouge_l("", "word") == 0


def slow_subsequence(one: str, two: str) -> int:
    table = np.zeros((len(one) + 1, len(two) + 1), dtype=int)
    for i, a in enumerate(one):
        for j, b in enumerate(two):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


@given(st.text("abc", max_size=80), st.text("abcd", max_size=80))
def test_the_longest_common_subsequence_is_the_textbooks(one: str, two: str) -> None:
    assert common_subsequence(one, two) == slow_subsequence(one, two)


@given(PLAIN, PLAIN)
def test_every_metric_is_between_0_and_1_and_1_for_the_reference_itself(one: str, two: str) -> None:
    for name, metric in METRICS.items():
        assert 0 <= metric(one, two) <= 1
        if not name.startswith("json"):
            assert metric(one, one) == 1
            assert metric(one, two) == metric(two, one)


@given(VALUES, VALUES)
def test_json_is_equal_by_value(one: Any, two: Any) -> None:
    text, other = json.dumps(one, indent=2), json.dumps(two, sort_keys=True)
    assert json_valid(text, "") == 1
    assert json_equal(text, json.dumps(one, sort_keys=True)) == 1
    assert json_equal(text, other) == (json.dumps(one, sort_keys=True) == other)


@pytest.mark.parametrize("text", ["", "{'a': 1}", '{"a": NaN}', '{"a": 1} and more', "[" * 100_000, '{"a": 1,}'])
def test_what_is_no_json_scores_0(text: str) -> None:
    assert json_valid(text, "{}") == json_equal(text, "{}") == 0


def test_true_is_not_one_and_spelling_does_not_matter() -> None:
    assert json_equal("[1]", "[true]") == 0
    assert json_equal('{"a": 1.0, "b": "\\u00e9"}', '{"b": "é", "a": 1}') == 1


def test_the_references_decide_which_metrics_there_are() -> None:
    assert answer_metrics_for(["yes", "no thank you"]) == ("exact_match", "token_f1", "rouge_l")
    assert answer_metrics_for(["one two three four five six"] * 2) == ("rouge_l", "token_f1", "exact_match")
    assert answer_metrics_for(["one two three four five six"] * 2, pattern="(.*)")[0] == "exact_match"
    assert answer_metrics_for(['{"a": 1}', "[2]"])[:2] == ("json_equal", "json_valid")
    assert "json_equal" not in answer_metrics_for(['{"a": 1}', "2"])
    assert answer_metrics_for(["{}"], function="scoring.py:f")[0] == "function"
    assert set(answer_metrics_for([])) <= set(METRICS)


def scored(answers: list[str], references: list[str], pattern: str) -> list[float]:
    ids = list(range(10, 10 + len(answers)))
    return answer_scores(["exact_match"], answers, references, [{}] * len(answers), ids, pattern)["exact_match"].tolist()


def test_what_the_pattern_finds_last_is_what_counts() -> None:
    pattern = r"#### (.*)"
    answers = ["#### 7 first\n#### 1,000", "the answer is 1000", "so\n#### 999"]
    assert scored(answers, ["work\n#### 1000"] * 3, pattern) == [1, 0, 0]
    assert scored(answers, ["1000"] * 3, pattern) == [1, 0, 0]
    with pytest.raises(RecipeError, match=r"matches 1 of 2 references; the first without a match is row 11"):
        scored(answers[:2], ["#### 1", "1"], pattern)
    with pytest.raises(RecipeError, match="no group"):
        scored(answers, ["1"] * 3, "####")
    with pytest.raises(RecipeError, match="no regular expression"):
        scored(answers, ["1"] * 3, "(")


def test_json_and_the_function_see_the_whole_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scoring.py").write_text(
        "def share(answer, reference, row):\n    return answer.count(row['letter']) / len(answer)\n"
    )
    function = answer_function("scoring.py:share", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert answer_function("scoring.py:share", tmp_path / "elsewhere") is not None  # as every file of a recipe
    found = answer_scores(["function", "json_valid"], ["[1, 11]"], ["[1]"], [{"letter": "1"}], [4], r"(\[\d+)", function)
    assert found["function"].tolist() == [3 / 7]
    assert found["json_valid"].tolist() == [1]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return 1 / 0", r"scoring\.py:f, row 4: the function failed: .*scoring\.py:2: ZeroDivisionError: division by zero\."),
        ("return 'good'", r"scoring\.py:f, row 4: the function returned 'good'; a number from 0 to 1"),
        ("return 2", "returned 2"),
        ("return float('nan')", "returned nan"),
    ],
)
def test_a_function_that_fails_is_named_with_its_file_and_row(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "scoring.py").write_text(f"def f(answer, reference, row):\n    {code}\n")
    function = answer_function("scoring.py:f", tmp_path)
    with pytest.raises(RecipeError, match=message):
        answer_scores(["function"], ["a"], ["b"], [{}], [4], None, function)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("scoring.py", "names no function"), ("scoring:f", "names no function"), ("absent.py:f", "there is no file"),
        ("scoring.py:g", "has no function g"), ("broken.py:f", "fails: NameError"),
    ],
)  # fmt: skip
def test_a_function_that_is_not_there(tmp_path: Path, named: str, message: str) -> None:
    (tmp_path / "scoring.py").write_text("def f(answer, reference, row):\n    return 1\n")
    (tmp_path / "broken.py").write_text("nothing\n")
    with pytest.raises(RecipeError, match=message):
        answer_function(named, tmp_path)
