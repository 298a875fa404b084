"""The pairs that rows of each format give, and the rows that are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.data.preferences.test_formats import table_of
from tunesmith.data.preferences.conversions import judged_of_pairs, pairs_of_judged
from tunesmith.data.preferences.formats import detect_preference_format
from tunesmith.data.preferences.pairs import NONE_DIFFERENT, usable_preferences
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.preferences.within_prompts import MOST_PAIRS
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection

HEAD = "\n\nHuman: About birds?\n\nAssistant: Which?\n\nHuman: All of them.\n\nAssistant:"


def read(
    *rows: dict[str, Any], labels: Mapping[str, Any] | None = None, notes: list[str] | None = None
) -> PreferencePairs | JudgedAnswers:
    table = table_of(*rows)
    row_format = detect_preference_format(table, ColumnsSection())
    return usable_preferences(table, row_format, "train", labels=labels or {}, group=None, notes=[] if notes is None else notes)


def pairs_of(*rows: dict[str, Any], labels: Mapping[str, Any] | None = None) -> PreferencePairs:
    found = read(*rows, labels=labels)
    assert isinstance(found, PreferencePairs)
    return found


def answers(rows: PreferencePairs) -> list[tuple[str, str]]:
    return [(a[-1].content, b[-1].content) for a, b in zip(rows.chosen, rows.rejected, strict=True)]


def test_a_dialogue_is_split_at_the_last_answer_and_not_at_the_common_beginning() -> None:
    rows = pairs_of({"chosen": f"{HEAD} About 150 species.", "rejected": f"{HEAD} A lot."})
    assert [turn.role for turn in rows.prompts[0]] == ["user", "assistant", "user"]
    assert rows.prompts[0][-1].content == "All of them."
    assert answers(rows) == [("About 150 species.", "A lot.")]


def test_messages_are_split_like_dialogues() -> None:
    head = [{"role": "user", "content": "q"}]
    rows = pairs_of(
        *[
            {
                "chosen": [*head, {"role": "assistant", "content": good}],
                "rejected": [*head, {"role": "assistant", "content": "x"}],
            }
            for good in ("a", "b")
        ]
    )
    assert answers(rows) == [("a", "x"), ("b", "x")]
    assert rows.prompts[0][0].content == "q"


def test_answers_as_messages_may_repeat_their_prompt() -> None:
    both = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = pairs_of({"prompt": "q", "chosen": both, "rejected": [{"role": "assistant", "content": "b"}]})
    assert answers(rows) == [("a", "b")]
    assert [turn.content for turn in rows.prompts[0]] == ["q"]


def test_a_prompt_that_both_answers_repeat_is_left_out_of_them() -> None:
    rows = pairs_of(*[{"prompt": f"Why {i}?", "chosen": f"Why {i}? Since.", "rejected": f"Why {i}? No."} for i in range(3)])
    assert answers(rows) == [("Since.", "No.")] * 3


def test_rows_without_a_preference_are_left_out_with_their_reason() -> None:
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    rows = pairs_of(
        good, {**good, "rejected": "a "}, {**good, "chosen": "  "}, {**good, "rejected": None}, {**good, "prompt": ""}, good
    )
    assert rows.row_ids == (0, 5)
    assert rows.dropped == {
        "whose two answers are the same": 1, "with an empty answer": 1, "without an answer": 1, "without a prompt": 1,
    }  # fmt: skip
    other = {"chosen": f"{HEAD} a", "rejected": "\n\nHuman: Another?\n\nAssistant: b"}
    assert pairs_of({"chosen": f"{HEAD} a", "rejected": f"{HEAD} b"}, other).dropped == {
        "whose two answers follow different prompts": 1
    }


def test_pairs_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(DataError, match=r"none of 3 rows can be used \(3 whose two answers are the same\)"):
        pairs_of(*[{"prompt": f"q{i}", "chosen": "a", "rejected": "a"} for i in range(3)])


def test_a_negative_margin_is_refused_with_its_row() -> None:
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "margin": 0.5}
    assert pairs_of(row).margins == (0.5,)
    with pytest.raises(DataError, match="exchange the two answers") as error:
        pairs_of(row, {**row, "margin": -1})
    assert "row 1" in error.value.problems[0].where


def test_a_list_of_scores_gives_a_pair_for_each_two_that_differ() -> None:
    rows = pairs_of({"prompt": "q", "responses": ["a", "b", "c", "d"], "scores": [1, 3, 3, None]})
    assert answers(rows) == [("b", "a"), ("c", "a")]
    assert rows.gaps == (2, 2)
    assert rows.row_ids == (0, 0)
    ranked = pairs_of({"prompt": "q", "responses": ["a", "b", "c"], "ranks": [2, 1, 3]})
    assert answers(ranked) == [("b", "a"), ("b", "c"), ("a", "c")]
    assert ranked.gaps == (1, 2, 1)
    many = pairs_of({"prompt": "q", "responses": [f"a{i}" for i in range(30)], "scores": list(range(30))})
    assert len(many) == MOST_PAIRS
    assert all(gap > 0 for gap in many.gaps or ())


def test_answers_and_pairs_that_rows_in_use_lose_are_counted() -> None:
    notes: list[str] = []
    rows = read(
        {"prompt": "q", "responses": [f"a{i}" for i in range(13)], "scores": [None, *range(12)]},
        {"prompt": "r", "responses": ["a", "a ", "b"], "scores": [1, 2, 3]},
        {"prompt": "s", "responses": ["a", "a"], "scores": [1, 2]},
        notes=notes,
    )
    assert len(rows) == MOST_PAIRS + 2
    assert notes == [
        "1 prompt of train has more pairs of answers than the 64 that are used: 2 pairs are left out.",
        "1 pair of train with twice the same answer, scored or judged differently, is left out.",
        "1 answer of train without a score or a rank is left out.",
    ]
    assert rows.dropped == {NONE_DIFFERENT: 1}


def test_every_judged_answer_is_in_a_pair_or_counted() -> None:
    words = [("q", "a", True), ("q", "a", False), ("r", "a", True), ("r", "a", False), ("r", "b", False), ("s", "a", True)]
    many = [("t", f"a{i}", i % 2 == 0) for i in range(18)]
    rows, notes = read(*[{"prompt": p, "completion": c, "label": good} for p, c, good in [*words, *many]]), list[str]()
    assert isinstance(rows, JudgedAnswers)
    pairs = pairs_of_judged(rows, notes)
    assert pairs.left_out == {NONE_DIFFERENT: (0, 1, 3), "whose prompt has no answer with another score": (5,)}
    assert len(pairs) == MOST_PAIRS + 1
    assert notes == [
        "1 prompt of train has more pairs of answers than the 64 that are used: 17 pairs are left out.",
        "1 pair of train with twice the same answer, scored or judged differently, is left out.",
    ]


def test_a_position_between_two_answers_is_none_of_a_list() -> None:
    rows = pairs_of(*[{"prompt": "q", "completions": ["a", "b"], "choice": choice} for choice in (*[0] * 50, 0.5)])
    assert rows.dropped == {"with the position of an answer that its list has not": 1}


def test_rated_answers_are_compared_within_their_prompt() -> None:
    rows = pairs_of(
        {"prompt": "q", "response": "a", "score": 1}, {"prompt": "r", "response": "z", "score": 9},
        {"prompt": "q", "response": "b", "score": 4},
    )  # fmt: skip
    assert answers(rows) == [("b", "a")]
    assert rows.dropped == {"whose prompt has no answer with another score": 1}


def test_comparisons_are_read_by_the_names_of_the_answers() -> None:
    base = {"prompt": "q", "response_a": "x", "response_b": "y"}
    rows = pairs_of(*[{**base, "winner": word} for word in ("a", "B", "response_a", "tie", None)])
    assert answers(rows) == [("x", "y"), ("y", "x"), ("x", "y")]
    assert rows.dropped == {"with a tie": 1, "without a judgement": 1}
    numbered = pairs_of({"prompt": "q", "response_0": "x", "response_1": "y", "better_response_id": 1})
    assert answers(numbered) == [("y", "x")]


def test_a_comparison_of_unsure_meaning_is_refused_and_can_be_mapped() -> None:
    rows = [{"prompt": "q", "response_a": "x", "response_b": "y", "winner": number} for number in (0, 1, 2)]
    with pytest.raises(DataError, match="should say which of two answers is better, and holds 0, 1, 2"):
        pairs_of(*rows)
    mapped = pairs_of(*rows, labels={"0": "response_a", "1": "response_b", "2": None})
    assert answers(mapped) == [("x", "y"), ("y", "x")]


def test_a_judgement_with_three_values_is_refused_and_can_be_mapped() -> None:
    rows = [{"prompt": "q", "completion": word, "label": label} for word, label in zip("xyz", (1, 0, -1), strict=True)]
    with pytest.raises(DataError, match="should say whether an answer is good, and holds 1, 0, -1"):
        read(*rows)
    mapped = read(*rows, labels={"1": True, "0": None, "-1": False})
    assert isinstance(mapped, JudgedAnswers)
    assert mapped.desirable == (True, False)
    words = [{**row, "label": label} for row, label in zip(rows, ("good", "bad", "ok"), strict=True)]
    with pytest.raises(DataError, match="holds good, bad, ok"):
        read(*words)


def test_judged_answers_become_pairs_within_a_prompt_and_back() -> None:
    rows = read(
        *[{"prompt": p, "completion": c, "label": good} for p, c, good in (("q", "a", True), ("q", "b", False), ("r", "c", True))]
    )
    assert isinstance(rows, JudgedAnswers)
    pairs = pairs_of_judged(rows, [])
    assert answers(pairs) == [("a", "b")]
    assert sum(pairs.dropped.values()) == 1
    assert judged_of_pairs(pairs).desirable == (True, False)
    with pytest.raises(DataError, match="no prompt has both"):
        pairs_of_judged(rows.take([0, 2], "train"), [])
