"""Prompts of rows: every column that training reads before an answer is before the generated text too, or named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.generation.made import tiny_llama, tokenizer_of
from tunesmith.data.chat.formats import detect_chat_format
from tunesmith.data.chat.rows import usable_conversations
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.errors import DataError
from tunesmith.generation.generator import TextGenerator, generate
from tunesmith.generation.prompt_rows import RowPrompt, prompts_of, read_prompts
from tunesmith.models.chat.prompts import prompt_ids
from tunesmith.models.chat.template import NO_TEMPLATE, Template
from tunesmith.progress import Event
from tunesmith.recipe.sections import ColumnsSection

WRITES_TOOLS = (
    "{% if tools %}{{ 'tools ' + tools | tojson }}{% endif %}{% for m in messages %}{{ m.role + ': ' + m.content }}"
    "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
DROPS_TOOLS = WRITES_TOOLS[WRITES_TOOLS.index("{% for") :]
TOOLS = [{"type": "function", "function": {"name": "cat", "parameters": {"type": "object"}}}]
QUESTION, ANSWER = {"role": "user", "content": "where is the cat"}, {"role": "assistant", "content": "in the house"}
ROWS: dict[str, dict[str, Any]] = {
    "tools": {"prompt": "where is the cat", "completion": "here", "tools": TOOLS},
    "tools as text": {"prompt": "where is the cat", "completion": "here", "tools": json.dumps(TOOLS)},
    "system and history": {"prompt": "the dog", "completion": "here", "system": "be kind", "history": [["a", "b"]]},
    "messages": {"messages": [QUESTION, ANSWER, QUESTION, ANSWER], "tools": TOOLS},
    "a prompt of messages": {"prompt": [QUESTION, ANSWER, QUESTION], "completion": "here"},
    "instruction and input": {"instruction": "say where", "input": "the cat", "output": "here"},
    "Dolly": {"instruction": "say where", "context": "the cat", "response": "here"},
}


def writer(template: str | None = WRITES_TOOLS) -> TextGenerator:
    tokenizer = copy.deepcopy(tokenizer_of("byte_level"))
    tokenizer.chat_template = template
    return TextGenerator(tiny_llama(len(tokenizer), 1), tokenizer)


def rows_of(row: dict[str, Any], n: int = 3) -> list[dict[str, Any]]:
    return [row for _ in range(n)]


@pytest.mark.parametrize("template", [WRITES_TOOLS, None])
@pytest.mark.parametrize("kind", ROWS)
def test_the_prompt_of_a_row_is_that_of_training(kind: str, template: str | None) -> None:
    model, table = writer(template), table_from_frame(rows_of(ROWS[kind]))
    chosen = NO_TEMPLATE if template is None else Template("tokenizer", template, "tokenizer")
    trained = usable_conversations(table, detect_chat_format(table, ColumnsSection()), "train").turns[0]
    assert model.prompt_ids(prompts_of(table)[0]) == prompt_ids(model.tokenizer, chosen, trained)


def test_tools_are_written_before_the_prompt() -> None:
    model = writer()
    (prompt, *_) = prompts_of(table_from_frame(rows_of(ROWS["tools"])))
    assert isinstance(prompt, RowPrompt)
    assert prompt == "where is the cat"
    text = model.tokenizer.decode(model.prompt_ids(prompt))
    assert text.startswith("tools [{")
    assert text.endswith("assistant: ")
    assert type(prompts_of(table_from_frame(rows_of({"prompt": "a", "tools": []})))[0]) is str


@pytest.mark.parametrize(
    ("template", "raw", "note"),
    [
        (WRITES_TOOLS, False, None),
        (DROPS_TOOLS, False, "tools of 3 of 4 prompts not used: the chat template does not write them"),
        (None, False, "tools of 3 of 4 prompts not used: the chat template does not write them"),
        (WRITES_TOOLS, True, "tools of 3 of 4 prompts not used: with raw, prompts are used alone"),
    ],
)
def test_what_is_not_used_is_named(template: str | None, raw: bool, note: str | None) -> None:
    events: list[Event] = []
    rows = [*rows_of(ROWS["tools"]), {"prompt": "a", "completion": "b", "tools": None}]
    texts = generate(writer(template), rows, raw=raw, max_new_tokens=2, listener=events.append)
    assert len(texts) == 4
    assert [event.text for event in events if event.kind == "note"] == ([] if note is None else [note])


def test_a_file_of_conversations_has_prompts(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows_of(ROWS["messages"])))
    prompts = read_prompts(file)
    assert [turn.role for turn in prompts[0].turns] == ["user", "assistant", "user"]  # type: ignore[attr-defined]
    bad = {"messages": [{"role": "ghost", "content": "a"}]}
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows_of(ROWS["messages"]), bad]))
    with pytest.raises(DataError, match=r"row 3 .*with a role that is not known"):
        read_prompts(file)
