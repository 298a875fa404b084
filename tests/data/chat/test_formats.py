"""Rows of a language model are recognised by names and contents, and by no order of columns."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from tunesmith.data.chat.formats import detect_chat_format
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection

CHAT = [{"role": "user", "content": "why"}, {"role": "assistant", "content": "so"}]
SHARED = [{"from": "human", "value": "why"}, {"from": "gpt", "value": "so"}]
BOTH = {"prompt": "prompt", "completion": "completion"}
CASES: dict[str, tuple[dict[str, list[Any]], str, dict[str, str]]] = {
    "text": ({"id": [1, 2], "text": ["a b", "c d"]}, "text", {"text": "text"}),
    "prompt": ({"prompt": ["a"], "completion": ["b"], "id": [7]}, "prompt_completion", BOTH),
    "question": (
        {"Question": ["a"], "Answer": [3], "text": ["c d"]}, "prompt_completion", {"prompt": "Question", "completion": "Answer"},
    ),
    "lists": ({"prompt": [CHAT[:1]], "completion": [CHAT[1:]]}, "prompt_completion", BOTH),
    "messages": ({"messages": [CHAT], "prompt": ["why"]}, "messages", {"messages": "messages"}),
    "other name": ({"dialog_turns": [CHAT], "text": ["why"]}, "messages", {"messages": "dialog_turns"}),
    "json": ({"id": ["x"], "chat": [json.dumps(CHAT)]}, "messages", {"messages": "chat"}),
    "sharegpt": ({"conversations": [SHARED], "id": ["x"]}, "sharegpt", {"messages": "conversations"}),
    "alpaca": (
        {"instruction": ["a"], "input": [""], "output": ["c"]}, "alpaca",
        {"instruction": "instruction", "input": "input", "completion": "output"},
    ),
    "alpaca alone": ({"instruction": ["a"], "output": ["c"]}, "alpaca", {"instruction": "instruction", "completion": "output"}),
    "dolly": (
        {"instruction": ["a"], "context": [None], "response": ["c"], "category": ["qa"]}, "alpaca",
        {"instruction": "instruction", "input": "context", "completion": "response"},
    ),
    "seed tasks": (
        {"instruction": ["a"], "instances": [[{"input": "", "output": "c"}]], "is_classification": [False]}, "alpaca",
        {"instruction": "instruction", "instances": "instances"},
    ),
    "better answers": (
        {"prompt": ["How are you?"] * 2, "chosen": ["I am well."] * 2, "rejected": ["Go away now."] * 2}, "prompt_completion",
        {"prompt": "prompt", "completion": "chosen"},
    ),
    "better dialogues": (
        {"rejected": ["\n\nHuman: Hi\n\nAssistant: No."], "chosen": ["\n\nHuman: Hi\n\nAssistant: Yes."]}, "dialogue",
        {"messages": "chosen"},
    ),
    "better lists of messages": ({"prompt": ["a"], "chosen": [CHAT], "rejected": [CHAT]}, "messages", {"messages": "chosen"}),
    "only column": ({"lines": ["a b", "c d"]}, "text", {"text": "lines"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_forms_whatever_the_order(case: str) -> None:
    columns, form, parts = CASES[case]
    for order in permutations(columns):
        found = detect_chat_format(Table("a.jsonl", {name: columns[name] for name in order}, [0]), ColumnsSection())
        assert (found.kind, dict(found.columns)) == (form, parts)
        assert found.sentence().endswith(found.reason)


def recognised(columns: dict[str, list[Any]], labels: bool = False, texts_only: bool = False, **given: str):
    return detect_chat_format(Table("a.csv", columns, [0]), ColumnsSection(**given), labels=labels, texts_only=texts_only)


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        ({"prompt": ["a"], "response": ["b"], "answer": ["c"]}, {}, "could each be question and answer"),
        ({"messages": [CHAT], "dialog": [CHAT]}, {}, "messages, dialog hold lists of messages"),
        ({"messages": [CHAT], "question": ["a"], "answer": ["b"]}, {}, "question, answer are a question and its answer"),
        ({"a": ["x y"], "b": ["z w"]}, {}, "The format of the rows cannot be detected"),
        ({"messages": [[]]}, {}, "Columns: messages"),
        ({"text": [1, 2]}, {}, "Columns: text"),
        ({"a": ["x"]}, {"prompt": "b"}, "no column 'b' for the prompt"),
        ({"a": ["x"], "b": ["y"]}, {"prompt": "a"}, "names a prompt and no completion"),
        ({"a": ["x"]}, {"messages": "a"}, "holds no lists of messages"),
        ({"prompt": ["a b"], "chosen": ["a b: yes it is"], "rejected": ["a b: no no"]}, {}, "'chosen' begin with their prompt"),
    ],
)
def test_a_question_to_the_user(columns: dict[str, list[Any]], given: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        recognised(columns, **given)
    assert error.value.problems[0].remedy


def test_the_recipe_goes_before_names() -> None:
    columns: dict[str, list[Any]] = {"prompt": ["a"], "completion": ["b"], "x": ["c"], "y": ["d"]}
    found = recognised(columns, prompt="x", completion="y")
    assert (found.columns["prompt"], found.columns["completion"], found.reason) == ("x", "y", "named in the recipe")
    assert recognised(columns, text="x").kind == "text"


def test_labels_are_answers() -> None:
    columns: dict[str, list[Any]] = {"review": ["good film of mine", "bad film of his"] * 5, "label": ["pos", "neg"] * 5}
    found = recognised(columns, labels=True)
    assert (found.kind, dict(found.columns)) == ("labelled", {"text": "review", "label": "label"})
    assert recognised({"prompt": ["a"], "completion": ["pos"]}, labels=True).kind == "prompt_completion"


def test_pretraining_takes_texts_only() -> None:
    assert recognised({"story": ["a b", "c d"], "label": [1, 2]}, texts_only=True).columns == {"text": "story"}
    columns: dict[str, list[Any]] = {"key": ["1", "2"], "notes": ["a long note of the day", "and one of the night"]}
    assert recognised(columns, texts_only=True).columns == {"text": "notes"}
    with pytest.raises(DataError, match="pretraining learns from plain texts") as error:
        recognised({"question": ["a"], "answer": ["b"]}, texts_only=True)
    assert "task: sft" in error.value.problems[0].remedy
    assert recognised({"question": ["a"], "answer": ["b"]}, texts_only=True, text="answer").kind == "text"


def test_chosen_answers_keep_the_input_of_their_instruction_and_their_messages() -> None:
    row = {"instruction": "Summarise.", "input": "Boats float.", "chosen": "They do.", "rejected": "They sink."}
    table = Table.whole("rows.jsonl", {name: [cell] for name, cell in row.items()})
    assert detect_chat_format(table, ColumnsSection()).columns == {
        "instruction": "instruction",
        "input": "input",
        "completion": "chosen",
    }
    asked = {
        "messages": [{"role": "user", "content": "q"}],
        "chosen": {"role": "assistant", "content": "a"},
        "rejected": {"role": "assistant", "content": "b"},
    }
    table = Table.whole("rows.jsonl", {name: [cell] for name, cell in asked.items()})
    detected = detect_chat_format(table, ColumnsSection())
    assert (detected.kind, detected.columns) == ("prompt_completion", {"prompt": "messages", "completion": "chosen"})
