"""Whole commands on conversations and pairs of texts as other tools write them: what is read, and what is named as not read."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cases.test_rows import TEXTS, N, run, write
from tunesmith.data.chat.load import ConversationData, load_conversation_data
from tunesmith.recipe.load import recipe_from_mapping

ANSWERS = [f'It\'s {i} "loud" ones.\nYes {{so}}' for i in range(N)]
TALKS = [
    [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    for text, answer in zip(TEXTS, ANSWERS, strict=True)
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(train: str, **data: Any) -> ConversationData:
    recipe = {"task": "sft", "model": {"name": "builtin:pocket"}, "data": {"train": train, "validation": None, **data}}
    return load_conversation_data(recipe_from_mapping(recipe, "test"), Path())


def checked(capsys: pytest.CaptureFixture[str], path: str, task: str = "sft") -> str:
    model = {"sft": "builtin:pocket", "embedding": "builtin:minilm", "classification": "builtin:minilm"}[task]
    code, out, err = run(capsys, "check", "--static", path, f"task={task}", f"model.name={model}")
    assert code == 0, err
    return out


def printed(talk: Sequence[dict[str, str]]) -> str:
    return str(np.array(talk, dtype=object))


@pytest.mark.parametrize("notation", [json.dumps, str, printed], ids=["json", "python", "numpy"])
def test_messages_written_as_text_in_csv(notation: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("rows.csv", messages=[notation(talk) for talk in TALKS])
    data = load(path)
    assert data.train.kind == "messages"
    assert [[turn.content for turn in turns] for turns in data.train.turns] == [
        [TEXTS[i], ANSWERS[i]] for i in data.train.row_ids
    ]
    assert "task: sft" in run(capsys, "init", path)[1]


def test_prompts_that_look_like_printed_messages_stay_texts() -> None:
    data = load(write("rows.csv", prompt=[str(talk[:1]) for talk in TALKS], completion=ANSWERS))
    assert data.train.turns[0][0].content == str(TALKS[data.train.row_ids[0]][:1])


def test_a_role_that_is_not_known_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    talks = [[{"role": "narrator", "content": "once"}, *talk] for talk in TALKS]
    code, _, err = run(capsys, "check", "--static", write("rows.jsonl", messages=talks), "task=sft", "model.name=builtin:pocket")
    assert (code, "60 with a role that is not known: 'narrator'" in err, "Known roles: system, " in err) == (2, True, True)


def test_calls_of_llama_factory_are_tool_calls() -> None:
    arguments = {"town": "Oslo"}
    call = json.dumps({"name": "weather", "arguments": arguments})
    talks = [
        [
            {"from": "human", "value": text},
            {"from": "function_call", "value": call if i % 2 else f"[{call}]"},
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "It rains."},
        ]
        for i, text in enumerate(TEXTS)
    ]
    data = load(write("rows.jsonl", conversations=talks))
    assert len(data.train) == N
    for turns in data.train.turns:
        assert [turn.role for turn in turns] == ["user", "assistant", "tool", "assistant"]
        assert (turns[1].content, turns[1].extra) == ("", {"tool_calls": [{"name": "weather", "arguments": arguments}]})


def test_keys_of_messages_that_are_not_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    talks = [[{**talk[0], "name": "Ann"}, {**talk[1], "train_detail": [1], "weight": 1, "id": ""}] for talk in TALKS]
    out = checked(capsys, write("rows.jsonl", messages=talks))
    assert "columns: messages; not used in messages: name (54 rows), train_detail (54 rows)" in out
    assert "not used" not in checked(capsys, write("plain.jsonl", messages=TALKS))


def test_columns_that_are_not_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"query": [f"what of {text}" for text in TEXTS], "pos": [[text] for text in TEXTS], "pos_scores": [[0.5]] * N}
    path = write("pairs.jsonl", **rows, prompt=["Find it."] * N)
    assert "ok   columns: query + pos; not used: pos_scores, prompt" in checked(capsys, path, "embedding")
    assert "not used: pos_scores (lists), prompt (only 'Find it.')" in run(capsys, "init", path)[1]
    path = write("answers.jsonl", prompt=TEXTS, completion=ANSWERS, label=[True, False] * (N // 2))
    assert "not used: label (only False and True)" in run(capsys, "init", path, "--force")[1]


def test_how_files_were_read_is_said_in_check(capsys: pytest.CaptureFixture[str]) -> None:
    lists = [[f"bad {text}", f"worse {text}"][: 1 + i % 3 // 2] for i, text in enumerate(TEXTS)]
    path = write("pairs.jsonl", query=[f"what of {text}" for text in TEXTS], pos=[[text] for text in TEXTS], neg=lists)
    assert "ok   read as: pairs.jsonl: Lists of texts" in (out := checked(capsys, path, "embedding"))
    assert "20 negatives of longer lists left out" in out
    with Path("rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows([text, "Ab"[i % 2]] for i, text in enumerate(TEXTS))
    out = checked(capsys, "rows.csv", "classification")
    assert "ok   read as: rows.csv: The file has no header" in out
