"""Contradictory constraints are refused with one message each, and texts are checked against constraints."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.errors import GenerationError
from tunesmith.generation.constraints import Constraints, unfulfilled

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"must_include": ["fox"], "forbid": ["fox"]}, "must_include 'fox': the required text is also forbidden."),
    ({"must_include": ["red fox"], "forbid": ["fox"]}, "also forbidden (it contains 'fox')"),
    ({"any_of": [["cat", "dog"]], "forbid": ["dog", "cat"]}, "any_of cat,dog: the required text is also forbidden"),
    ({"must_include": [""]}, "must_include: a word is empty."),
    ({"forbid": [" fox"]}, "forbid: ' fox' has a blank at an end, which is no part of a word. Write 'fox'."),
    ({"any_of": [[]]}, "any_of: a group has no words."),
    ({"choices": ["yes", "yes"]}, "choices: 'yes' is there twice."),
    ({"regex": "a", "choices": ["a"]}, "choices and regex: each determines the whole text."),
    ({"regex": "a", "must_include": ["b"]}, "regex and must_include: regex determines the whole text."),
    ({"json_schema": {}, "forbid": ["b"]}, "json_schema and forbid"),
    ({"regex": "(a"}, "regex: '(a' is no regular expression"),
    (
        {"must_include": ["fox\ud83e"]},
        r"must_include: 'fox\ud83e' holds half a character (a cut emoji, or a byte that is not UTF-8)",
    ),
    ({"choices": ["yes", "caf\udce9"]}, "choices: "),
    ({"forbid": ["\ud83e"]}, "Write whole characters."),
    ({"any_of": [["cat", "\ud83e"]]}, "any_of: "),
    ({"bias": {"\ud83e": 1.0}}, "bias: "),
    ({"regex": "[a\ud83e]"}, "regex: "),
    ({"json_schema": {"enum": ["\ud83e"]}}, "json_schema: "),
    ({"json_schema": "x"}, "json_schema: a schema is a JSON object."),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[ascii(options) for options, _ in REFUSED])
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GenerationError) as refused:
        Constraints(**options)
    assert message in str(refused.value)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(GenerationError) as refused:
        Constraints(must_include=("", "fox"), forbid=("fox",))
    assert len(refused.value.problems) == 2


def test_a_group_may_hold_a_forbidden_word_beside_another() -> None:
    wanted = Constraints(any_of=(("cat", "dog"),), forbid=("dog",))
    assert unfulfilled(wanted, "a cat") == []
    assert unfulfilled(wanted, "a dog") == ["'dog' is in it"]


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@pytest.mark.parametrize(
    ("options", "text", "problems"),
    [
        ({"must_include": ["fox", "red hat"]}, "a fox in a red hat.", []),
        ({"must_include": ["fox"]}, "two foxes", ["'fox' is missing"]),
        ({"choices": ["yes", "not sure"]}, " not sure", []),
        ({"choices": ["yes", "not sure"]}, "not", ["it is none of the choices"]),
        ({"regex": "[a-c]+"}, "abc", []),
        ({"regex": "[a-c]+"}, "abcd", ["it does not match the regular expression"]),
        ({"json_schema": SCHEMA}, '{"age": 3}', []),
        ({"json_schema": SCHEMA}, '{"age": ', ["it is no JSON"]),
        ({"json_schema": SCHEMA}, '{"age": "3"}', ["it does not fulfil the schema: '3' is not of type 'integer'"]),
    ],
)
def test_a_text_is_checked_by_its_characters(options: dict[str, Any], text: str, problems: list[str]) -> None:
    assert unfulfilled(Constraints(**options), text) == problems


def test_constraints_are_true_where_they_ask_for_something() -> None:
    assert not Constraints()
    assert Constraints(bias={"fox": 1.0})
    assert Constraints(regex="")
