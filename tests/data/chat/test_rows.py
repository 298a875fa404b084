"""Usable conversations: roles, what is left out and why, and splits that share no question."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.chat.formats import detect_chat_format
from tunesmith.data.chat.messages import Turn, unread_keys
from tunesmith.data.chat.rows import (
    INPUT_HEADING,
    TWO_SYSTEMS,
    Conversations,
    first_prompt,
    split_conversations,
    usable_conversations,
)
from tunesmith.data.checks.chat import check_rows
from tunesmith.data.normalise import normalise
from tunesmith.data.table import BadRow, Table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection


def conversations(columns: dict[str, list[Any]], labels: tuple[str, ...] = (), group: str | None = None) -> Conversations:
    n = len(next(iter(columns.values())))
    table = Table("rows.jsonl", columns, [10 + i for i in range(n)], rows_read=n)
    found = detect_chat_format(table, ColumnsSection(), labels=bool(labels))
    return usable_conversations(table, found, "train", labels=labels, group=group)


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


GOOD = [message("user", "why"), message("assistant", "so")]


def test_every_row_is_used_or_left_out_for_a_reason() -> None:
    cells = [
        GOOD,
        json.dumps(GOOD),
        [message("user", "why")],
        [message("narrator", "once"), message("assistant", "so")],
        "no list",
        [message("user", "why"), message("assistant", None)],
        [message("assistant", "so")],
        [message("user", [{"type": "text", "text": "w"}, {"type": "text", "text": "hy"}]), message("assistant", "so")],
        [message("user", [{"type": "image", "url": "x"}]), message("assistant", "so")],
        [message("user", "why"), {"role": "assistant", "content": "", "images": ["x"]}, message("assistant", "so")],
        [message("user", ""), message("assistant", "what?"), message("user", "why"), message("assistant", "so")],
        None,
    ]
    rows = conversations({"messages": cells})
    assert rows.row_ids == (10, 11, 17, 20)
    assert rows.turns[0] == rows.turns[1] == rows.turns[2] == (Turn("user", "why"), Turn("assistant", "so"))
    assert rows.turns[3][0] == Turn("user", "")  # an empty turn is the linter's
    assert rows.left_out == {
        "whose last turn is not the assistant's": (12,),
        "with a role that is not known: 'narrator'": (13,),
        "without a readable list of messages": (14, 21),
        "without an answer": (15,),
        "without a prompt": (16,),
        "with a message that is not text: a part of the type 'image'": (18,),
        "with a message that has the key images, which is not read": (19,),
    }
    assert len(rows) + sum(map(len, rows.left_out.values())) == rows.rows_read
    assert rows.rows[1]["messages"] == cells[1]


def test_speakers_of_other_names_are_roles() -> None:
    speakers = ["developer", "human", "gpt", "function", "model"]
    rows = conversations({"conversations": [[{"from": who, "value": "x"} for who in speakers]]})
    assert rows.kind == "sharegpt"
    assert [turn.role for turn in rows.turns[0]] == ["system", "user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize("role", ["role", "from"])
@pytest.mark.parametrize("content", ["content", "value", "text", "parts"])
def test_either_key_of_the_role_goes_with_each_key_of_the_content(role: str, content: str) -> None:
    said = [[{"text": "w"}, {"text": "hy"}], [{"text": "so"}]] if content == "parts" else ["why", "so"]
    talk = [{role: who, content: text} for who, text in zip(("user", "model"), said, strict=True)]
    talk[0] |= {name: None for name in ("content", "value", "text", "parts") if name != content}
    found = detect_chat_format(Table("rows.jsonl", {"talk": [talk]}, [0]), ColumnsSection())
    rows = conversations({"talk": [talk]})
    assert rows.turns == ((Turn("user", "why"), Turn("assistant", "so")),)
    assert found.reason == f"since 'talk' holds lists of {{{role}, {content}}}"
    assert unread_keys(talk) == set()


def test_a_text_under_an_unknown_key_or_several_is_named() -> None:
    answers = [{"message": "so"}, {"value": "so", "text": "so"}, {"content": "", "text": "so"}, {"content": "so", "text": "it"}]
    cells = [[message("user", "why"), {"role": "assistant", **answer}] for answer in answers]
    rows = conversations({"messages": cells})
    assert rows.row_ids == (13,)
    assert unread_keys(cells[3]) == {"text"}
    assert rows.left_out == {
        "with a message that has no content, but message": (10,),
        "with a message that has no content, but text, value": (11,),
        "with a message that has no content, but text": (12,),
    }
    with pytest.raises(DataError, match=r"no content, but message.* read under one of the keys content, value, text, parts"):
        conversations({"messages": cells[:1]})


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "thinking", "thinking": "hm"}, "a part of the type 'thinking'"),
        ({"type": "tool_use", "name": "weather"}, "a part of the type 'tool_use'"),
        ({"text": None, "functionCall": {"name": "weather"}}, "a part with the key 'functionCall'"),
        ({"text": "hm", "thought": True}, "a part with the key 'thought'"),
        ("so", "a part that is no object"),
    ],
)
def test_a_part_that_is_not_text_is_named(part: object, words: str) -> None:
    cells = [GOOD, [message("user", "why"), message("assistant", [part, {"type": "text", "text": "so"}])]]
    assert conversations({"messages": cells}).left_out == {f"with a message that is not text: {words}": (11,)}


@pytest.mark.parametrize("written", [lambda value: value, json.dumps], ids=["objects", "JSON"])
def test_columns_of_messages_are_messages(written: Any) -> None:
    columns = {key: [turn[key] for turn in GOOD] for key in ("role", "content")}
    turns = (Turn("user", "why"), Turn("assistant", "so"))
    assert conversations({"messages": [written(columns)]}).turns == (turns,)
    assert conversations({"messages": [GOOD], "history": [written(columns)]}).turns == ((*turns, *turns),)
    assert unread_keys(written({**columns, "date": ["May", None]})) == {"date"}
    halves = [{key: cells[k : k + 1] for key, cells in columns.items()} for k in range(2)]
    assert conversations({"prompt": halves[:1], "completion": halves[1:]}).turns == (turns,)
    short = {**columns, "content": ["why"]}
    assert conversations({"messages": [GOOD, GOOD, short]}).left_out == {"without a readable list of messages": (12,)}


def test_prompts_and_completions() -> None:
    rows = conversations({"prompt": ["a ", None, "c", GOOD[:1]], "completion": [" b", "x", "", GOOD[1:]]})
    assert rows.turns == ((Turn("user", "a "), Turn("assistant", " b")), (Turn("user", "why"), Turn("assistant", "so")))
    assert rows.left_out == {"without a prompt": (11,), "without an answer": (12,)}
    assert conversations({"question": ["2+2"], "answer": [4]}).turns[0][1] == Turn("assistant", "4")


def test_instructions_and_seed_tasks() -> None:
    rows = conversations({"instruction": ["add", "sing"], "input": ["1 2", ""], "output": ["3", "la"]})
    assert [turns[0].content for turns in rows.turns] == [f"add{INPUT_HEADING}1 2", "sing"]
    instances = [[{"input": "1 2", "output": "3"}, {"input": "2 2", "output": "4"}], [{"input": "", "output": "la"}], []]
    tasks = conversations({"instruction": ["add", "sing", "hum"], "instances": instances})
    assert [turns[1].content for turns in tasks.turns] == ["3", "4", "la"]
    assert tasks.row_ids == (10, 10, 11)
    assert tasks.groups == ("10", "10", "11")
    assert tasks.left_out == {"without an answer": (12,)}
    late = conversations({"instruction": ["add"] * 61, "instances": [*[instances[0]] * 60, ["mm"]]})
    assert late.left_out == {"without an answer": (70,)}


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_turn_is_empty_and_no_word(missing: object) -> None:
    columns: dict[str, list[Any]] = {"instruction": ["go"], "input": [""], "output": ["so"], "history": [[["Start", missing]]]}
    rows = conversations(columns)
    assert rows.turns[0][:2] == (Turn("user", "Start"), Turn("assistant", ""))
    assert [finding.name for finding in check_rows({"train": rows})] == ["empty_turns"]
    talk = [message("system", missing), *GOOD]
    assert conversations({"messages": [talk]}).turns[0][0] == Turn("system", "")


def test_the_system_column_takes_the_place_of_an_empty_system_message() -> None:
    own = [None, " ", "be good", "be bad"]
    rows = conversations({"messages": [[message("system", text), *GOOD] for text in own], "system": ["be good"] * 4})
    assert rows.turns == ((Turn("system", "be good"), Turn("user", "why"), Turn("assistant", "so")),) * 3
    assert rows.left_out == {TWO_SYSTEMS: (13,)}


def test_labels() -> None:
    texts = [f"a film of {i} hours" for i in range(6)]
    named = conversations({"text": texts, "label": ["pos", "neg", "odd", "pos", None, "neg"]}, ("neg", "pos"))
    assert named.kind == "labelled"
    assert [turns[-1].content for turns in named.turns] == ["pos", "neg", "pos", "neg"]
    assert named.left_out == {"with a label that sft.labels does not name": (12,), "without an answer": (14,)}
    codes = conversations({"text": texts, "label": [0, 1.0, "1", 0, 1, 0]}, ("neg", "pos"))
    assert [turns[-1].content for turns in codes.turns] == ["neg", "pos", "pos", "neg", "pos", "neg"]
    with pytest.raises(DataError, match=r"holds none of sft.labels \(neg, pos\) but 3, 4"):
        conversations({"text": texts, "label": [3, 4] * 3}, ("neg", "pos"))
    completions = conversations({"prompt": ["a", "b"], "completion": [" pos ", "maybe"]}, ("neg", "pos"))
    assert completions.turns[0][1].content == "pos"


def test_rows_that_could_not_be_read_are_among_those_left_out() -> None:
    table = Table("rows.jsonl", {"text": ["a"]}, [0], rows_read=2, bad_rows=(BadRow(1, 2, "broken JSON"),))
    rows = usable_conversations(table, detect_chat_format(table, ColumnsSection()), "train")
    assert rows.left_out == {"not read: broken JSON": (1,)}
    with pytest.raises(DataError, match="none of 2 rows can be used"):
        conversations({"prompt": ["", "x"], "completion": ["y", " "]})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["Why?", "why", "who", "What", "when", "where"]), min_size=30, max_size=60), st.integers(0, 5))
def test_no_question_stands_in_two_splits(questions: list[str], seed: int) -> None:
    prompts = [*questions, *(f"one more {i}" for i in range(20))]
    rows = conversations({"prompt": prompts, "completion": [str(i) for i in range(len(prompts))]})
    rest, other = split_conversations(rows, 0.4, seed, "validation")
    assert sorted((*rest.row_ids, *other.row_ids)) == list(rows.row_ids)
    first = {normalise(first_prompt(turns)) for turns in rest.turns}
    assert not first & {normalise(first_prompt(turns)) for turns in other.turns}
    assert other.split == "validation"
    assert (rest.rows_read, other.rows_read) == (len(rest), len(other))


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    rows = conversations({"prompt": ["a", "b", "c"], "completion": ["x"] * 3, "thread": ["t", None, None]}, group="thread")
    assert rows.groups == ("t", "row 11 without a group", "row 12 without a group")


def test_groups_and_labels_in_splits() -> None:
    prompts = [f"question {i}" for i in range(60)]
    rows = conversations({"prompt": prompts, "completion": ["x"] * 60, "thread": [i // 3 for i in range(60)]}, group="thread")
    rest, other = split_conversations(rows, 0.3, 0, "test")
    assert not set(rest.groups or ()) & set(other.groups or ())
    labelled = conversations({"text": [f"{p} of the day" for p in prompts], "label": ["a", "b", "b", "b"] * 15}, ("a", "b"))
    _, held = split_conversations(labelled, 0.2, 0, "test")
    assert [turns[-1].content for turns in held.turns].count("a") == 3
