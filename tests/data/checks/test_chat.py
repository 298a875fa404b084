"""The linter names the rows in which a conversation is not what it should be, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.chat.formats import detect_chat_format
from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import Conversations, usable_conversations
from tunesmith.data.checks.chat import check_rows, common_lengths, role_error
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Table
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.results import Finding

LETTERS = {"s": "system", "u": "user", "a": "assistant", "t": "tool", "x": "text"}


def rows(*found: list[tuple[str, str]], split: str = "train", left_out: dict[str, tuple[int, ...]] | None = None):
    turns = tuple(tuple(Turn(LETTERS[role], content) for role, content in row) for row in found)
    form = "text" if turns[0][0].role == "text" else "messages"
    ids = tuple(range(100, 100 + len(turns)))
    return Conversations(split, "rows.jsonl", ids, form, ("messages",), turns, left_out=left_out or {})


def pair(question: str, answer: str) -> list[tuple[str, str]]:
    return [("u", question), ("a", answer)]


FINE = [pair(f"what is number {i} of them", f"It is the {i}th, they say.") for i in range(30)]


def named(*found: list[tuple[str, str]], **options) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_rows({"train": rows(*found)}, **options)}


def test_nothing_is_found_in_good_rows() -> None:
    assert named(*FINE) == {}
    assert named([("x", "One text.")], [("x", "Another text.")]) == {}
    assert named(*(pair(f"film {i}", "good") for i in range(50))) == {}  # labels are answers to many prompts


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ("ua", ""), ("suaua", ""), ("uata", ""), ("uatta", ""), ("usa", "turn 2 is the system's"),
        ("aua", "assistant comes before"),
        ("uua", "turns 1 and 2 are both the user's"), ("uaaua", "turns 2 and 3 are both the assistant's"),
        ("ssua", "turn 2 is the system's"), ("uta", "which no turn of the assistant called"), ("sa", "assistant comes before"),
    ],
)  # fmt: skip
def test_roles(roles: str, reason: str) -> None:
    assert (reason in role_error([LETTERS[role] for role in roles])) if reason else role_error([LETTERS[r] for r in roles]) == ""
    found = named(*FINE, [(role, f"{role} {i}") for i, role in enumerate(roles)])
    assert ("roles_out_of_order" in found) is bool(reason)
    if reason:
        assert [(row["row_id"], reason in row["reason"]) for row in found["roles_out_of_order"].rows] == [(130, True)]


ODD = {
    "empty_turns": ([("u", " "), ("a", "yes"), ("u", "so"), ("a", "no")], "turn 1 of 4, the user's, is empty"),
    "repeated_turns": ([*pair("Why?", "a b"), *pair("WHY", "c d")], "turns 1 and 3 of the user are the same"),
    "unclosed_thoughts": (pair("why", "<think> hm"), "<think> 1 time and </think> 0 times"),
    "template_tokens": (pair("why [INST]", "so."), "a turn of the user holds '[INST]'"),
    "echoed_prompts": (
        pair("who is it at the door?", "Who is it at the door: he is."),
        "holds its prompt: who is it at the door",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_one_bad_row_is_the_only_one_named(name: str) -> None:
    row, reason = ODD[name]
    found = named(*FINE[:15], row, *FINE[15:])
    assert set(found) == {name}
    assert found[name].flagged == 1
    assert [(shown["row_id"], shown["split"]) for shown in found[name].rows] == [(115, "train")]
    assert reason in found[name].rows[0]["reason"]
    assert found[name].remedy


def test_answers_that_many_prompts_have() -> None:
    refusals = [pair(f"tell me {i}", "I cannot do that for you.") for i in range(5)]
    found = named(*FINE, *refusals, *refusals[:2], pair("a", "This stands twice only."), pair("b", "This stands twice only."))
    assert found["same_answers"].flagged == 5
    assert {row["row_id"] for row in found["same_answers"].rows} == {130, 131, 132, 133, 134}
    assert "5 different prompts" in found["same_answers"].rows[0]["reason"]
    assert {row["row_id"] for row in found["repeated_rows"].rows} == {135, 136}


def test_answers_cut_at_a_limit() -> None:
    cut = [pair(f"what of {i}", ("abcdefg " * 40)[:198] + f"{i}q") for i in range(8)]
    whole = [pair(f"and of {i}", "abcdefg " * (14 + 2 * i) + "x" * (i % 7)) for i in range(40) if i != 5]  # at any length
    found = named(*FINE, *cut, *whole)
    assert {row["row_id"] for row in found["cut_off_answers"].rows} == set(range(130, 138))
    assert found["cut_off_answers"].rows[0]["reason"] == "it stops without an end after 200 characters"
    ended = [pair(question[1], answer[1] + ".") for question, answer in cut]
    assert "cut_off_answers" not in named(*FINE, *ended)
    odd = [pair(f"what of {i}", "abcdefg " * (14 + 2 * i) + "x" * (i * i % 23)) for i in range(20)]
    assert "cut_off_answers" not in named(*FINE, *odd)
    by_tokens = named(*odd, answer_tokens={"train": [256] * 12 + [40 * i for i in range(8)]})
    assert by_tokens["cut_off_answers"].flagged == 12
    assert "after 256 tokens" in by_tokens["cut_off_answers"].rows[0]["reason"]


def test_common_lengths() -> None:
    assert common_lengths([256] * 6 + list(range(200, 300))) == {256}
    assert common_lengths([50, 51, 52] * 10) == set()
    assert common_lengths([80] * 4) == set()


def test_special_tokens_of_this_tokenizer() -> None:
    assert "template_tokens" not in named(*FINE, pair("why", "<|new|>"))
    assert named(*FINE, pair("why", "<|new|>"), special_tokens=["<|new|>"])["template_tokens"].flagged == 1
    assert named([("x", "a text</s>")], [("x", "b")])["template_tokens"].rows[0]["reason"] == "the text holds '</s>'"


def test_prompts_and_answers_that_meet_inside_a_word() -> None:
    found = [pair("why?", "so"), pair("why? ", "so"), pair("why?", "\nso")]
    assert "no_gap_before_answer" not in named(*found)
    gap = named(*found, joined=True)["no_gap_before_answer"]
    assert [row["row_id"] for row in gap.rows] == [100]


def test_leaks_between_splits_and_rows_left_out() -> None:
    train = rows(*FINE, left_out={"without an answer": (7, 9)})
    test = rows(pair("What is number 3 of them?", "other"), pair("what else", "It is the 3th, they say."), split="test")
    found = {finding.name: finding for finding in check_rows({"train": train, "test": test})}
    assert set(found) == {"dropped_rows", "leakage_test"}
    assert [(row["row_id"], row["split"]) for row in found["leakage_test"].rows] == [(100, "test")]
    assert "train row 103" in found["leakage_test"].rows[0]["reason"]
    assert (found["dropped_rows"].flagged, [row["row_id"] for row in found["dropped_rows"].rows]) == (2, [7, 9])
    texts = {"train": rows([("x", "A text.")]), "test": rows([("x", "a text")], split="test")}
    assert [finding.name for finding in check_rows(texts)] == ["leakage_test"]


def test_real_rows(shared: Path) -> None:
    table = read_table(shared / "data" / "alpaca" / "alpaca_5000.json")
    train = usable_conversations(table, detect_chat_format(table, ColumnsSection()), "train")
    found = {finding.name: finding.flagged for finding in check_rows({"train": train})}
    assert found["dropped_rows"] == 2
    assert not found.keys() & {"roles_out_of_order", "empty_turns", "unclosed_thoughts", "repeated_turns"}


def test_answers_that_are_judged_bad_are_named() -> None:
    judged = [{"prompt": f"what is number {i}", "completion": f"It is {i}.", "label": i != 2} for i in range(4)]
    table = Table.whole("rows.jsonl", {name: [row[name] for row in judged] for name in judged[0]})
    found = check_rows({"train": usable_conversations(table, detect_chat_format(table, ColumnsSection()), "train")})
    assert [row["row_id"] for finding in found if finding.name == "judged_bad" for row in finding.rows] == [2]
