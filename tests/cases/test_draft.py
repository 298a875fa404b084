"""Recipes that ``init`` drafts for tables without a label, and its notes on labels that may mean something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_rows import TEXTS, N, notes, run, write
from tunesmith.errors import DataError
from tunesmith.workflows.init import draft_recipe


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


OTHERS: dict[str, dict[str, list[Any]]] = {
    "objects": {"meta": [{"source": "AB"[i % 2]} for i in range(N)]},
    "index of pandas": {"Unnamed: 0": list(range(N))},
    "one language": {"language": ["en"] * N},
    "row numbers": {"query_id": [f"{i + 1}" for i in range(N)]},
}


@pytest.mark.parametrize("others", OTHERS)
def test_texts_without_a_label_are_drafted_for_pretraining(others: str) -> None:
    text, lines = draft_recipe(write("rows.jsonl", text=TEXTS, **OTHERS[others]))
    assert "task: pretraining" in text
    assert [line for line in lines if line.startswith("not used: ")]


def test_amounts_and_single_classes_are_still_labels(capsys: pytest.CaptureFixture[str]) -> None:
    assert "task: regression" in draft_recipe(write("rows.csv", text=TEXTS, price=[i * 7 % 113 for i in range(N)]))[0]
    code, _, err = run(capsys, "init", write("one.csv", text=TEXTS, label=["a"] * N))
    assert (code, "the same label, 'a'" in err) == (2, True)


def test_passages_as_objects_are_texts_for_a_search_and_no_label(capsys: pytest.CaptureFixture[str]) -> None:
    passages = [[{"docid": str(i), "text": text}] for i, text in enumerate(TEXTS)]
    path = write("rows.jsonl", query_id=list(map(str, range(N))), query=TEXTS, positive_passages=passages)
    code, out, _ = run(capsys, "init", path)
    assert (code, "task: embedding" in out) == (0, True)
    path = write("ids.jsonl", query_id=list(map(str, range(N))), query=TEXTS, positive_passages=[[{"docid": "1"}]] * N)
    code, _, err = run(capsys, "init", path, "--force")
    assert (code, "No column looks like a label" in err) == (2, True)


def test_plain_texts_are_named_with_their_task() -> None:
    Path("book.txt").write_text("\n\n".join(f"Chapter {i}. {text} and so on." for i, text in enumerate(TEXTS)))
    with pytest.raises(DataError, match=r"book.txt: .* by a recipe with task: pretraining"):
        draft_recipe("book.txt")


def test_words_for_no_label_in_lists_are_counted() -> None:
    path = write("rows.jsonl", text=TEXTS, label=[["a", "nan"], ["b"], ["a", "b"]] * (N // 3))
    assert "nan occurs 20 times in lists of labels and is left out; set data.keep_null_labels: true" in notes(path)
    assert "left out" not in notes(path, keep_null_labels=True)


def test_labels_that_may_be_lists_with_commas_are_named() -> None:
    said = "2 labels hold a ',', such as 'a,b' (rows 0, 2, 3, 5, 6 and 35 more); if a cell holds several labels, set data.label_"
    assert said in notes(write("rows.csv", text=TEXTS, tags=["a,b", "b", "c, a"] * (N // 3)))
    assert "hold a" not in notes(write("rows.csv", text=TEXTS, tags=["a,b", "b", "c, a"] * (N // 3)), label_separator=",")
    assert "1 label holds a '|', such as 'a|b'" in notes(write("rows.csv", text=TEXTS, tags=["a|b", "b", "a"] * (N // 3)))
    assert "hold a" not in notes(write("rows.csv", text=TEXTS, label=["Lyon, France", "Paris, France", "Oslo"] * (N // 3)))
