"""Files of other tools and other tasks are named, with the way to a table of texts and labels."""

from __future__ import annotations

import json

import pytest

from tests.data.tables import payload, table
from tunesmith.data.readers.annotation_files import reject_other_tasks
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
