"""Files of other tools and other tasks are named, with the way to a table of texts and labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.tables import payload, table
from tunesmith.data.readers.annotation_files import reject_other_tasks
from tunesmith.data.readers.payload import read_payload
from tunesmith.data.readers.read import parse_table
from tunesmith.errors import DataError

CONLL = "-DOCSTART- -X- -X- O\n\n" + "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\ncalls NN I-NP O\n\n" * 40
POS = "EU{0}NNP\nrejects{0}VBZ\ncalls{0}NN\n\n" * 40


@pytest.mark.parametrize("more", [{}, {"id": 1}, {"predictions": [{"result": []}]}])
def test_tasks_of_label_studio_without_annotations(more: dict[str, object]) -> None:
    rows = [{"data": {"text": f"text {i}"}, **more} for i in range(9)]
    for content, suffix in ((json.dumps(rows), ".json"), ("\n".join(map(json.dumps, rows)), ".jsonl")):
        with pytest.raises(DataError, match=r"tasks of Label Studio without annotations.*'data'.*such as text") as caught:
            parse_table(payload(content, suffix))
        assert ("those of a model" in str(caught.value)) == ("predictions" in more)


def test_an_object_beside_other_columns_is_no_task() -> None:
    rows = [{"data": {"text": f"text {i}"}, "label": "ab"[i % 2]} for i in range(9)]
    assert list(parse_table(payload(json.dumps(rows), ".json")).columns) == ["data", "label"]


def test_answers_as_lists_of_objects() -> None:
    answers = [[{"text": "a", "answer_start": 0}], [], None]
    rows = {"context": ["c"] * 3, "question": ["q"] * 3}
    with pytest.raises(DataError, match="columns question, context and answers are those of SQuAD"):
        reject_other_tasks(table(**rows, answers=answers))
    reject_other_tasks(table(**rows, answers=[["a"], ["b"], []]))


@pytest.mark.parametrize("content", [CONLL, POS.format(" "), POS.format("\t")])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".conll"])
def test_tokens_with_tags_whatever_the_suffix(content: str, suffix: str) -> None:
    with pytest.raises(DataError, match="format of CoNLL"):
        parse_table(payload(content, suffix))


def test_columns_of_words_and_parts_of_speech() -> None:
    with pytest.raises(DataError, match="format of CoNLL"):
        reject_other_tasks(table(word=["EU", "rejects"], pos=["NNP", "VBZ"]))
    reject_other_tasks(table(text=["it works", "it did"], label=["X", "NUM"]))


SPAN = {"start": 0, "end": 4, "label": "PER"}
QUOTED = "{'text': array(['a b'], dtype=object), 'answer_start': array([3])}"
# kind -> columns of a file of another task, and a part of the message
OTHERS = {
    "spans of Prodigy": ({"text": ["Anna ran"] * 9, "spans": [[SPAN]] * 8 + [[]], "_task_hash": [1] * 9}, "parts of the text"),
    "words and labels": ({"words": [["Anna", "ran"]] * 9, "labels": [["B-PER", "O"]] * 9}, "lists of tokens"),
    "a text and tags": ({"text": ["Anna ran"] * 9, "labels": [["B-PER", "O"]] * 9}, "lists of tokens"),
    "SQuAD through csv": ({"question": ["who?"] * 9, "context": ["a b"] * 9, "answers": [QUOTED] * 9}, "SQuAD"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_rows_of_other_tasks_are_named(kind: str) -> None:
    columns, message = OTHERS[kind]
    with pytest.raises(DataError, match=message):
        reject_other_tasks(table(**columns))


def test_spans_beside_a_label_of_the_text_and_lists_of_labels_are_no_other_task() -> None:
    reject_other_tasks(table(text=["Anna ran"] * 9, spans=[[SPAN]] * 9, label=["a", "b", "c"] * 3))
    reject_other_tasks(table(words=["Anna ran"] * 9, labels=[["O", "Other"]] * 9))
    reject_other_tasks(table(text=["Anna ran"] * 9, spans=[[SPAN]] * 9, sentiment=["good", "bad", "none"] * 3))
    reject_other_tasks(table(text=["to Rome"] * 9, slots=[["O", "B-city"]] * 9, intent=["book", "ask", "end"] * 3))
    reject_other_tasks(table(text=["a b"] * 9, words=[["a", "b"]] * 9, pos=[["NN", "VB"]] * 9, label=["x", "y", "z"] * 3))


def test_a_pointer_of_git_lfs_is_no_data(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a pointer of Git LFS.*git lfs pull"):
        read_payload(path, "rows.csv")


def test_rows_under_their_numbers_are_rows() -> None:
    rows = {str(i): {"text": f"text {i}", "label": i % 2} for i in range(9)}
    assert parse_table(payload(json.dumps(rows), ".json")).columns["text"] == [f"text {i}" for i in range(9)]
    columns = {name: {str(i): rows[str(i)][name] for i in range(9)} for name in ("text", "label")}
    assert parse_table(payload(json.dumps(columns), ".json")).columns["text"] == [f"text {i}" for i in range(9)]
