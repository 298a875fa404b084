"""Rows that were repaired while reading are counted and named for every task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.chat.load import load_conversation_data
from tunesmith.data.checks.rows import dropped_rows
from tunesmith.data.labelled.load import load_labelled_data
from tunesmith.data.pairs.load import load_embedding_data
from tunesmith.data.pairs.retrieval import read_beir
from tunesmith.data.records import split_record
from tunesmith.recipe.load import recipe_from_mapping

HALF = "half a surrogate pair (a cut emoji), read as U+FFFD"
N = 12


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def recipe_of(task: str, source: str, **more: Any) -> Any:
    return recipe_from_mapping({"task": task, "data": {"train": source, "validation": None}, **more}, "test")


def texts(kind: str) -> list[str]:
    return [f"the {kind} of {i} is here" + "\ud83d" * (i % 6 == 1) for i in range(N)]


def test_half_a_surrogate_pair_is_counted_for_every_task(tmp_path: Path) -> None:
    chats = [{"prompt": a, "completion": b} for a, b in zip(texts("question"), texts("answer"), strict=True)]
    pairs = [{"anchor": a, "positive": b} for a, b in zip(texts("question"), texts("answer"), strict=True)]
    labelled = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts("text"))]
    chat = load_conversation_data(recipe_of("sft", write(tmp_path / "c.jsonl", chats)), Path()).train
    pair = load_embedding_data(recipe_of("embedding", write(tmp_path / "p.jsonl", pairs)), Path()).train
    label = load_labelled_data(recipe_of("classification", write(tmp_path / "l.jsonl", labelled)), Path())
    for rows in (chat, pair, label.train):
        assert split_record(rows, {})["repaired"] == {HALF: 2}
    for rows in (chat, pair):
        (found,) = dropped_rows([rows])
        assert (found.name, found.flagged, [row["row_id"] for row in found.rows]) == ("repaired_rows", 2, [1, 7])
        assert found.summary == f"2 rows of train were repaired: {HALF}."
        assert dict(rows.take([0, 2], "validation").repaired) == {}
    assert [finding.flagged for finding in label.findings if finding.name == "repaired_rows"] == [2]


def test_converted_and_concatenated_pairs(tmp_path: Path) -> None:
    triplets = [{"anchor": a, "positive": f"yes {a}", "negative": f"no {i}"} for i, a in enumerate(texts("question"))]
    source = write(tmp_path / "t.jsonl", triplets)
    converted = load_embedding_data(recipe_of("embedding", source, embedding={"convert": "positive_pair"}), Path()).train
    assert converted.repaired == {HALF: 2}
    recipe = recipe_of("embedding", source, embedding={"mix": "concatenate"})
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"also": [source]})})
    assert load_embedding_data(recipe, Path()).train.repairs == {HALF: (1, 7, N + 1, N + 7)}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_retrieval_folder(split: str, tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    write(tmp_path / "corpus.jsonl", [{"_id": f"d{i}", "text": text} for i, text in enumerate(texts("document"))])
    write(tmp_path / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in range(N)])
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(N))
    (tmp_path / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    assert any(f"repaired: {HALF} (first: row 1)." in note for note in read_beir(tmp_path, split).notes)
    if split == "train":
        notes = load_embedding_data(recipe_of("embedding", str(tmp_path)), Path()).notes
        assert any(f"2 rows of {tmp_path / 'corpus'} repaired: {HALF}" in note for note in notes)
