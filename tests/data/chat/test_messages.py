"""Thoughts, calls and tools are read as templates want them, or the row is left out for a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.data.chat.test_rows import conversations
from tunesmith.data.chat.messages import BAD_CALL, NO_TOOLS, Turn, message_turns, read_calls, tools_of
from tunesmith.data.chat.rows import Conversations, last_answer
from tunesmith.data.checks.chat import check_rows, prompt_keys

ARGUMENTS = {"city": "Oslo", "days": None}
TOOLS = [{"type": "function", "function": {"name": "weather"}}]


def call(arguments: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}


def talk(answer: dict[str, Any], question: str = "why") -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", **answer}]


@pytest.mark.parametrize("arguments", [ARGUMENTS, json.dumps(ARGUMENTS)])
def test_arguments_become_objects(arguments: Any) -> None:
    assert read_calls([call(arguments)]) == [call(ARGUMENTS)]
    assert read_calls(json.dumps([call(arguments)])) == [call(ARGUMENTS)]
    assert read_calls([{"name": "weather", "arguments": arguments}]) == [{"name": "weather", "arguments": ARGUMENTS}]
    assert read_calls([call("")]) == [call({})]


def test_rows_with_calls_and_tools_that_cannot_be_read_are_left_out() -> None:
    bad = ["weather", call("Oslo"), call([1]), {"function": {"arguments": {}}}, {"function": "weather"}]
    cells = [talk({"content": "", "tool_calls": [each]}) for each in bad]
    rows = conversations({"messages": [*cells, talk({"content": "so"}), talk({"content": ""})], "tools": [TOOLS] * 7})
    assert rows.left_out == {BAD_CALL: (10, 11, 12, 13, 14), "without an answer": (16,)}
    tools = [json.dumps(TOOLS), None, [], TOOLS, TOOLS]
    rows = conversations({"messages": [talk({"content": "so"})] * 5, "tools": tools})
    assert [tools_of(turns) for turns in rows.turns] == [TOOLS, None, None, TOOLS, TOOLS]
    assert rows.columns == ("messages", "tools")
    late = [*[TOOLS] * 50, "weather"]
    rows = conversations({"messages": [talk({"content": "so"})] * 51, "tools": late})
    assert rows.left_out == {NO_TOOLS: (60,)}


def test_each_role_has_its_own_parts() -> None:
    messages = [
        {"role": "user", "content": "a", "name": "Ann"},
        {"role": "assistant", "content": None, "tool_calls": [call(ARGUMENTS)], "thinking": "hm", "reasoning": None},
        {"role": "tool", "content": "b", "name": "weather", "tool_call_id": "c1"},
    ]
    user, assistant, tool = message_turns(messages)
    assert user == Turn("user", "a")
    assert assistant.extra == {"tool_calls": [call(ARGUMENTS)], "thinking": "hm"}
    assert tool.extra == {"name": "weather", "tool_call_id": "c1"}


def test_a_label_has_no_thoughts() -> None:
    cells = [talk({"content": "yes", "thinking": "hm"}), talk({"content": "no"})]
    rows = conversations({"messages": cells}, labels=("yes", "no"))
    assert rows.left_out == {"with a message that has the key thinking, which is not read": (10,)}


def rows_of(*cells: Any, tools: Any = None) -> Conversations:
    return conversations({"messages": list(cells), "tools": tools or [TOOLS] * len(cells)})


def test_checks_tell_rows_apart_by_calls_and_tools() -> None:
    oslo, riga = (talk({"content": None, "tool_calls": [call({"city": city})]}) for city in ("Oslo", "Riga"))
    findings = {finding.name: finding for finding in check_rows({"train": rows_of(oslo, riga)})}
    assert not findings.keys() & {"empty_turns", "repeated_rows"}
    assert {finding.name for finding in check_rows({"train": rows_of(oslo, oslo)})} >= {"repeated_rows"}
    other = check_rows({"train": rows_of(oslo, oslo, tools=[TOOLS, [{"name": "rain"}]])})
    assert "repeated_rows" not in {finding.name for finding in other}
    rows = rows_of([*oslo, *talk({"content": "so"})], [*riga, *talk({"content": "so"})])
    assert len(set(prompt_keys(rows))) == 2
    assert "Oslo" in last_answer(rows_of(oslo).turns[0])
