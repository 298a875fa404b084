"""Prompts in their forms: texts, messages, plain texts; what is left out, and where the user has to decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.chat.prompts import load_prompt_data
from tunesmith.errors import DataError
from tunesmith.recipe.load import recipe_from_mapping

MESSAGES = [{"role": "user", "content": "who?"}, {"role": "assistant", "content": "me"}, {"role": "user", "content": "why?"}]


def loaded(folder: Path, rows: list[dict[str, Any]], **data: Any):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"train": "rows.jsonl", "validation": None, "test": None, **data}
    recipe = recipe_from_mapping({"task": "ppo", "data": given, "rewards": {"reward_funcs": ["a.py:b"]}})
    return load_prompt_data(recipe, folder)


def test_a_column_of_prompts_is_read_with_the_other_cells(tmp_path: Path) -> None:
    rows = loaded(
        tmp_path, [{"prompt": "one", "answer": "1"}, {"prompt": "", "answer": "2"}, {"prompt": "three", "answer": "3"}]
    ).train
    assert (rows.kind, rows.columns, rows.row_ids) == ("prompt", ("prompt",), (0, 2))
    assert [(turn.role, turn.content) for turn in rows.turns[0]] == [("user", "one"), ("assistant", "")]
    assert rows.rows[1]["answer"] == "3"
    assert rows.left_out == {"without a prompt": (1,)}


def test_messages_lose_a_final_answer(tmp_path: Path) -> None:
    rows = loaded(tmp_path, [{"messages": MESSAGES}, {"messages": [*MESSAGES, {"role": "assistant", "content": "so"}]}]).train
    assert rows.turns[0] == rows.turns[1]
    assert [turn.role for turn in rows.turns[0]] == ["user", "assistant", "user", "assistant"]


def test_a_column_of_prompts_may_hold_messages(tmp_path: Path) -> None:
    rows = loaded(tmp_path, [{"prompt": MESSAGES}]).train
    assert [turn.content for turn in rows.turns[0]] == ["who?", "me", "why?", ""]


def test_plain_texts_are_prompts_by_their_beginnings(tmp_path: Path) -> None:
    rows = loaded(tmp_path, [{"text": "once upon a time there was a cat"}]).train
    assert (rows.kind, rows.turns[0][0].role) == ("text", "text")


def test_a_named_column_is_taken(tmp_path: Path) -> None:
    rows = loaded(tmp_path, [{"prompt": "one", "other": "two"}], columns={"prompt": "other"}).train
    assert rows.turns[0][0].content == "two"


def test_rows_without_any_prompt_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 row can be used"):
        loaded(tmp_path, [{"prompt": " "}])
    with pytest.raises(DataError, match="cannot be detected"):
        loaded(tmp_path, [{"height": 1.5, "width": 2.5}])


def test_dialogues_that_are_one_text_lose_their_answer(tmp_path: Path) -> None:
    rows = [
        {
            "chosen": f"\n\nHuman: Hi {i}\n\nAssistant: Well?\n\nHuman: More\n\nAssistant: Yes {i}.",
            "rejected": "\n\nHuman: Hi\n\nAssistant: No.",
        }
        for i in range(4)
    ]
    turns = loaded(tmp_path, rows).train.turns[0]
    assert [(turn.role, turn.content) for turn in turns] == [
        ("user", "Hi 0"),
        ("assistant", "Well?"),
        ("user", "More"),
        ("assistant", ""),
    ]


def test_the_input_of_an_instruction_and_the_system_column_belong_to_the_prompt(tmp_path: Path) -> None:
    rows = loaded(tmp_path, [{"instruction": "Summarise.", "input": "Boats float.", "system": "Be kind."}]).train
    assert [turn.role for turn in rows.turns[0]] == ["system", "user", "assistant"]
    assert "Boats float." in rows.turns[0][1].content
