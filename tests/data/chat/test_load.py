"""From the recipe to the splits of a language model's run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.chat.load import ConversationData, data_record, load_conversation_data
from tunesmith.errors import DataError
from tunesmith.recipe.sections import Recipe


def rows(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"question": f"what is {i}", "answer": f"it is {i}"} for i in range(start, start + n)]


def load(base: Path, task: str = "sft", **data: Any) -> ConversationData:
    return load_conversation_data(Recipe(task=task, data=data), base)  # type: ignore[arg-type]


def write(path: Path, found: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, found)))


def test_shares_files_and_samples(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", rows(100))
    write(tmp_path / "b.jsonl", [{"prompt": "p", "completion": "c"}, {"prompt": "q", "completion": "d"}])
    data = load(tmp_path, train="a.jsonl", validation=0.2, test="b.jsonl", max_rows=30)
    assert (len(data.train), len(data.validation or ()), len(data.test or ()), data.train.not_sampled) == (30, 20, 2, 50)
    record = data_record(data)
    for split in record["splits"].values():
        assert split["rows"] + sum(split["dropped"].values()) + split["not_sampled"] == split["rows_read"]
    assert record["form"] == "prompt_completion"
    assert any("question + answer" in note for note in data.notes)
    assert any("prompt + completion" in note for note in data.notes)
    again = load(tmp_path, train="a.jsonl", validation=0.2, test="b.jsonl", max_rows=30)
    assert again.train.row_ids == data.train.row_ids


def test_a_column_divides_the_rows_and_another_binds_them(tmp_path: Path) -> None:
    found = [
        {**row, "split": "test" if i % 5 == 0 else "train", "conversation_id": i // 4, "note": 1}
        for i, row in enumerate(rows(80))
    ]
    write(tmp_path / "a.jsonl", found)
    data = load(tmp_path, train="a.jsonl")
    assert len(data.test or ()) == 16
    assert data.validation is not None
    groups = [set(part.groups or ()) for part in (data.train, data.validation)]
    assert not groups[0] & groups[1]
    assert any("not used: split, conversation_id, note" in note for note in data.notes)
    assert any("'conversation_id' stay in one split" in note for note in data.notes)
    with pytest.raises(DataError, match="no column 'thread' for the groups"):
        load(tmp_path, train="a.jsonl", columns={"group": "thread"})


def test_plain_text_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n".join(f"It is {i}." for i in range(40)))
    (tmp_path / "test.txt").write_text("It was.\nIt is.")
    data = load(tmp_path, "pretraining", train="train.txt", test="test.txt")
    assert (len(data.train), len(data.validation or ()), len(data.test or ())) == (36, 4, 2)
    assert data.train.source == "train.txt"
    assert data.train.sha256
    folder = load(tmp_path, "pretraining", train=str(tmp_path))
    assert (len(folder.train), len(folder.test or ())) == (36, 2)
    assert any("is used for test" in note for note in folder.notes)
    assert load(tmp_path, "pretraining", train=str(tmp_path), test=None).test is None
    assert load(tmp_path, "sft", train="train.txt").train.kind == "text"


def test_texts_and_conversations_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", rows(20))
    (tmp_path / "b.txt").write_text("It was.\nIt is.")
    with pytest.raises(DataError, match="train has prompt completion rows"):
        load(tmp_path, train="a.jsonl", test="b.txt")
    with pytest.raises(DataError, match="pretraining learns from plain texts"):
        load(tmp_path, "pretraining", train="a.jsonl")


def test_tables_in_memory(tmp_path: Path) -> None:
    recipe = Recipe(task="sft", data={"train": "rows"}, sft={"labels": ["yes", "no"]})  # type: ignore[arg-type]
    frame = {"text": [f"is it {i} o'clock" for i in range(20)], "label": ["yes", "no"] * 10}
    data = load_conversation_data(recipe, tmp_path, {"train": frame})
    assert data.train.kind == "labelled"
    assert len(data.train) + len(data.validation or ()) == 20


REAL = {
    "alpaca/alpaca_5000.json": ("sft", "alpaca", 4998),
    "self_instruct/seed_tasks.jsonl": ("sft", "alpaca", 175),
    "gsm8k/test.jsonl": ("sft", "prompt_completion", 1319),
    "tinystories/minigpt_tinystories.txt": ("pretraining", "text", 104),
    "wikitext2/valid.txt": ("pretraining", "text", 60),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared: Path, name: str) -> None:
    task, form, n = REAL[name]
    data = load(shared / "data", task, train=name)
    assert data.train.kind == form
    assert sum(map(len, data.named().values())) == n
    assert (data.test is not None) == (n >= 200)
