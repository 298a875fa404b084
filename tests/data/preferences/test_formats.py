"""Formats of preference data that users' files have, and the messages for those that cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.preferences.formats import detect_preference_format
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection

MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
KNOWN: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "trl": (
        {"prompt": "hi", "chosen": "hello", "rejected": "no"},
        "chosen_rejected",
        {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
    ),
    "hh-rlhf": ({"chosen": "\n\nHuman: a", "rejected": "b"}, "chosen_rejected", {"chosen": "chosen", "rejected": "rejected"}),
    "answers that are JSON or numbers": (
        {"prompt": "list them", "chosen": '["a", "b"]', "rejected": 3},
        "chosen_rejected",
        {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
    ),
    "messages": ({"chosen": MESSAGES, "rejected": MESSAGES}, "chosen_rejected", {"chosen": "chosen", "rejected": "rejected"}),
    "margin": (
        {"chosen": "a", "rejected": "b", "margin": 1.5},
        "chosen_rejected",
        {"chosen": "chosen", "rejected": "rejected", "margin": "margin"},
    ),
    "question and other names": (
        {"question": "q", "preferred": "a", "dispreferred": "b"},
        "chosen_rejected",
        {"prompt": "question", "chosen": "preferred", "rejected": "dispreferred"},
    ),
    "system": (
        {"system": "be kind", "prompt": "q", "chosen": "a", "rejected": "b"},
        "chosen_rejected",
        {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected", "system": "system"},
    ),
    "arena": (
        {"conversation_a": MESSAGES, "conversation_b": MESSAGES, "winner": "model_a"},
        "compared",
        {"completion": "conversation_a", "second": "conversation_b", "label": "winner"},
    ),
    "beaver": (
        {"prompt": "q", "response_0": "a", "response_1": "b", "better_response_id": 1},
        "compared",
        {"prompt": "prompt", "completion": "response_0", "second": "response_1", "label": "better_response_id"},
    ),
    "ultrafeedback": (
        {"instruction": "q", "completions": [{"response": "a", "overall_score": 7.5}, {"response": "b", "overall_score": 3}]},
        "scored",
        {"prompt": "instruction", "completion": "completions"},
    ),
    "lists": (
        {"prompt": "q", "responses": ["a", "b"], "scores": [1, 2]},
        "scored",
        {"prompt": "prompt", "completion": "responses", "score": "scores"},
    ),
    "ranks": (
        {"prompt": "q", "responses": ["a", "b"], "ranks": [1, 2]},
        "ranked",
        {"prompt": "prompt", "completion": "responses", "rank": "ranks"},
    ),
    "helpsteer": (
        {"prompt": "q", "response": "a", "helpfulness": 3},
        "rated",
        {"prompt": "prompt", "completion": "response", "score": "helpfulness"},
    ),
    "kto": (
        {"prompt": "q", "completion": "a", "label": True},
        "judged",
        {"prompt": "prompt", "completion": "completion", "label": "label"},
    ),
}


def table_of(*rows: dict[str, Any]) -> Table:
    return Table.whole("rows.jsonl", {name: [row[name] for row in rows] for name in rows[0]})


@pytest.mark.parametrize("name", KNOWN)
def test_formats_of_known_data_sets_are_detected(name: str) -> None:
    row, kind, columns = KNOWN[name]
    detected = detect_preference_format(table_of(row, row), ColumnsSection())
    assert (detected.kind, dict(detected.columns)) == (kind, columns)


def test_columns_that_the_recipe_names_come_first() -> None:
    row = {"a": "first answer", "b": "second answer", "chosen": "x", "rejected": "y", "c": 1, "ask": "q"}
    given = ColumnsSection(chosen="a", rejected="b", prompt="ask", margin="c")
    detected = detect_preference_format(table_of(row, row), given)
    assert dict(detected.columns) == {"prompt": "ask", "chosen": "a", "rejected": "b", "margin": "c"}
    compared = detect_preference_format(table_of(row, row), ColumnsSection(completion=["a", "b"], label="c"))
    assert (compared.kind, compared.columns["second"], compared.columns["label"]) == ("compared", "b", "c")


@pytest.mark.parametrize(
    ("row", "given", "message"),
    [
        ({"prompt": "q", "chosen": "a"}, {}, "there is a column 'chosen' and no 'rejected'"),
        ({"text": "some words", "label": "x y z, much longer than a judgement is"}, {}, "cannot be detected"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {"chosen": "choosen"}, "choosen"),
        ({"prompt": "q", "a": "a", "b": "b", "c": "c"}, {"completion": ["a", "b", "c"]}, "a comparison has two answers"),
        ({"response": "a", "score": 3}, {}, "there is no column of prompts"),
    ],
)
def test_what_is_missing_is_named(row: dict[str, Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        detect_preference_format(table_of(row, row), ColumnsSection(**given))
