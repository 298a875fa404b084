"""``init`` on rows without labels: the task is found, the recipe loads, and labelled texts stay what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import DataError
from tunesmith.recipe.load import load_recipe
from tunesmith.workflows.init import draft_recipe

TALK = [{"role": "user", "content": "who?"}, {"role": "assistant", "content": "me"}]
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "alpaca": ("sft", {"instruction": "Say {i}.", "input": "", "output": "{i} is said"}),
    "pairs": ("sft", {"question": "What is {i}?", "answer": "It is number {i}."}),
    "messages": ("sft", {"messages": TALK}),
    "texts": ("pretraining", {"text": "The boat number {i} came into the harbour."}),
    "search": ("embedding", {"query": "where is {i}?", "passage": "Number {i} lies in the harbour."}),
    "triplets": ("embedding", {"anchor": "boat {i}", "positive": "ship {i}", "negative": "tree {i}"}),
    "labels": ("classification", {"text": "The boat number {i} came.", "label": "{parity}"}),
    "answers that are classes": ("classification", {"question": "Is the boat number {i} there?", "answer": "{parity}"}),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_task_is_found_and_the_recipe_loads(name: str, tmp_path: Path) -> None:
    task, row = ROWS[name]
    path = tmp_path / "rows.jsonl"
    rows = [{key: filled(value, i) for key, value in row.items()} for i in range(240)]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    text, lines = draft_recipe(str(path))
    (tmp_path / "recipe.yaml").write_text(text)
    recipe = load_recipe(tmp_path / "recipe.yaml").recipe
    assert recipe.task == task
    assert any(line.startswith(f"task: {task}, ") for line in lines)
    assert recipe.data.test == {"classification": 0.2}.get(task, 0.1)
    assert recipe.model.name == ("builtin:pocket" if task in ("sft", "pretraining") else "builtin:minilm")


def filled(value: Any, i: int) -> Any:
    return value.format(i=i, parity=("even", "odd")[i % 2]) if isinstance(value, str) else value


def test_files_that_are_given_stay_and_few_rows_keep_no_test(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Say {i}.", "completion": f"{i} is said"}) + "\n" for i in range(30)))
    other = tmp_path / "other.jsonl"
    other.write_text(path.read_text())
    assert f"  test: {other}" in draft_recipe(str(path), test=str(other))[0]
    text, lines = draft_recipe(str(path))
    assert "test:" not in text
    assert "the verdict will be computed on validation" in lines[-1]


def test_a_test_that_comes_along_stays_the_test(tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {i}.", "completion": f"{i} is said"} for i in range(240)]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text, lines = draft_recipe(str(tmp_path))
    assert "test:" not in text
    assert not any("will be computed on validation" in line for line in lines)


def test_rows_that_could_not_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"prompt": f"Say {i}.", "completion": f"{i} is said"}) for i in range(240)]
    path.write_text("\n".join([*rows, "no json"]) + "\n")
    assert any("1 row not used" in line for line in draft_recipe(str(path))[1])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"corpus.jsonl", "queries.jsonl"}, r"documents and queries in the BEIR layout, and no judgements \(qrels/train.tsv\)"),
        ({"corpus.jsonl", "queries.jsonl", "qrels/test.tsv"}, "judgements to evaluate on and none to train on"),
        ({"queries.jsonl", "qrels/train.tsv"}, "The folder has queries and qrels, and no corpus.jsonl"),
        ({"corpus.jsonl", "qrels/train.tsv"}, "The folder has corpus and qrels, and no queries.jsonl"),
    ],
)
def test_what_a_retrieval_folder_lacks_is_named(tmp_path: Path, files: set[str], message: str) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"_id": "1", "text": "a few words"}\n' if path.suffix == ".jsonl" else "1\t1\t1\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        draft_recipe(str(tmp_path))
