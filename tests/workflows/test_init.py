from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import DataError, InputError
from tunesmith.recipe.draft import one_line, scalar, stem
from tunesmith.recipe.load import load_recipe
from tunesmith.recipe.source import parse
from tunesmith.workflows.init import draft_recipe

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"

WORDS = [
    "where",
    "is",
    "my",
    "parcel",
    "it",
    "was",
    "due",
    "last",
    "week",
    "and",
    "the",
    "refund",
    "has",
    "not",
    "come",
    "please",
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sentence(i: int) -> str:
    """A different sentence for every number."""
    own = hashlib.sha256(str(i).encode()).hexdigest()  # no two sentences are nearly the same
    return " ".join(WORDS[(i * step + step) % len(WORDS)] for step in range(1, 7)) + f" {own[:16]} {own[16:]}"


def write(name: str, rows: list[dict[str, Any]]) -> str:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return name


def tickets(n: int = 300, classes: int = 3) -> list[dict[str, Any]]:
    return [{"body": sentence(i), "intent": f"class {i % classes}"} for i in range(n)]


def drafted(source: str, **files: str) -> tuple[Any, str, list[str]]:
    """The recipe as loaded, its text, the lines."""
    text, lines = draft_recipe(source, **files)
    Path("drafted.yaml").write_text(text, encoding="utf-8")
    return load_recipe(Path("drafted.yaml")).recipe, text, lines


def test_a_plain_table() -> None:
    recipe, text, lines = drafted(write("tickets.csv", tickets()))
    assert (recipe.task, recipe.output, recipe.data.test) == ("classification", "runs/tickets", 0.2)
    assert (recipe.data.columns.text, recipe.data.columns.label) == ("body", "intent")
    told = "\n".join(lines)
    for part in (
        "tickets.csv: 300 rows, 2 columns", "text: body, since it is called 'body'", "label: intent, since it is called 'intent'",
        "rows: train 210, validation 30, test 60", "labels: 3, one a row: class 0 100, class 1 100, class 2 100", "lengths: ",
    ):  # fmt: skip
        assert part in told
    assert "a fraction (60 rows) for the verdict, not used in training and selection" in text


def test_a_second_text_is_suggested_as_the_pair() -> None:
    recipe, text, _ = drafted(write("tickets.csv", [{**row, "reply": sentence(i + 7)} for i, row in enumerate(tickets())]))
    assert (recipe.data.columns.text, recipe.data.columns.pair) == ("body", None)
    Path("drafted.yaml").write_text(text.replace("#pair: reply", "pair: reply"), encoding="utf-8")
    assert load_recipe(Path("drafted.yaml")).recipe.data.columns.pair == "reply"


def test_every_line_that_is_not_a_default_has_a_reason() -> None:
    _, text, _ = drafted(write("tickets.csv", tickets()))
    lines = text.splitlines()
    for i, line in enumerate(lines):
        is_setting = not line.lstrip().startswith("#") and not line.endswith(":")
        if is_setting and not line.startswith("output:"):
            assert "#" in line or lines[i - 1].lstrip().startswith("#"), line


def test_too_few_rows_for_a_test_share() -> None:
    recipe, _, lines = drafted(write("few.csv", tickets(60)))
    assert recipe.data.test == "auto"
    assert lines[-1] == "note: the verdict will be computed on validation, unless you add a test file (data.test)."


def test_given_files_are_used() -> None:
    write("train.csv", tickets())
    write("test.csv", [{"body": "other " + sentence(i), "intent": "class 1"} for i in range(40)])
    recipe, text, lines = drafted("train.csv", test="test.csv")
    assert recipe.data.test == "test.csv"
    assert "# used for the verdict (40 rows)" in text
    assert "rows: train 270, validation 30, test 40" in lines


def test_a_folder_brings_its_splits_along() -> None:
    Path("tickets").mkdir()
    write("tickets/train.csv", tickets())
    write("tickets/test.csv", [{"body": "other " + sentence(i), "intent": "class 1"} for i in range(40)])
    recipe, text, _ = drafted("tickets")
    assert (recipe.data.train, recipe.data.test) == ("tickets", "auto")
    assert "# 300 rows; test comes with it" in text


def test_scores_make_a_regression() -> None:
    rows = [{"text": sentence(i), "quality": i % 20 / 7} for i in range(300)]
    recipe, _, lines = drafted(write("scored.csv", rows))
    assert recipe.task == "regression"
    assert "task: regression, since 'quality' holds numbers with decimals" in lines
    assert any(line.startswith("labels: numbers from 0 to 2.71") for line in lines)


def test_whole_numbers_are_classes_with_a_word_of_warning() -> None:
    rows = [{"text": sentence(i), "stars": 1 + i % 5} for i in range(300)]
    recipe, text, _ = drafted(write("stars.csv", rows))
    assert recipe.task == "classification"
    assert "if they are amounts, write regression" in text


def test_several_labels_in_a_cell() -> None:
    names = ["billing", "delivery", "billing|delivery", "refund", "refund|billing"]
    rows = [{"text": sentence(i), "topics": names[i % 5]} for i in range(300)]
    recipe, _, lines = drafted(write("multi.csv", rows))
    assert recipe.data.label_separator == "|"
    assert any(line.startswith("labels: 3, may all apply to a row: billing 180, ") for line in lines)


def test_imbalanced_classes_are_reported_and_a_weighting_is_suggested() -> None:
    rows = [{"text": sentence(i), "label": "rare" if i % 30 == 0 else "usual"} for i in range(300)]
    _, text, lines = drafted(write("uneven.csv", rows))
    assert any("they are imbalanced: the rarest, rare, has 10 rows" in line for line in lines)
    assert "  #class_weights: balanced" in text
    active = text.replace("  #class_weights", "  class_weights")
    Path("active.yaml").write_text(active, encoding="utf-8")
    assert load_recipe(Path("active.yaml")).recipe.train.class_weights == "balanced"


def test_an_open_question_leaves_the_choices_in_the_recipe() -> None:
    rows = [{"review": sentence(i), "comment": sentence(i + 500), "label": i % 2} for i in range(300)]
    text, lines = draft_recipe(write("two.csv", rows))
    assert "    #text: review\n    #text: comment\n    #pair: comment" in text
    assert "\n    text: " not in text
    assert lines[-1].startswith("Decide: 2 columns are usual names of a text: review (")
    chosen = text.replace("    #text: comment\n", "    text: comment\n")
    Path("chosen.yaml").write_text(chosen, encoding="utf-8")
    assert load_recipe(Path("chosen.yaml")).recipe.data.columns.text == "comment"


def test_no_label_in_sight_is_a_question_too() -> None:
    rows = [{"text": sentence(i), "key": f"k{i}", "other": f"{i}-{i * i}"} for i in range(300)]
    text, lines = draft_recipe(write("unlabelled.csv", rows))
    assert "    #label: key\n    #label: other\n" in text
    assert lines[-1].startswith("Decide: No column looks like a label")


def test_foreign_letters_are_noticed() -> None:
    rows = [{"text": f"где мой заказ и когда он придёт {i}", "label": i % 2} for i in range(300)]
    recipe, text, lines = drafted(write("russian.csv", rows))
    assert any("not Latin" in line for line in lines)
    assert "  # for example intfloat/multilingual-e5-small.\n" in text
    assert recipe.model.name == "builtin:minilm"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": sentence(i), "label": "same"} for i in range(30)], "have the same label, 'same'"),
        ([{"a": i, "b": i} for i in range(30)], "No column looks like text"),
    ],
)
def test_data_no_recipe_could_use(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        draft_recipe(write("bad.csv", rows))


def test_a_split_that_is_the_training_file_is_refused() -> None:
    write("tickets.csv", tickets())
    with pytest.raises(InputError, match="same file"):
        draft_recipe("tickets.csv", test="tickets.csv")


def test_strange_column_names_survive() -> None:
    names = ["text: #1", "label, {the}"]
    rows = [dict(zip(names, (sentence(i), f"class {i % 3}"), strict=True)) for i in range(300)]
    Path("strange.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    recipe, _, _ = drafted("strange.jsonl")
    assert [recipe.data.columns.text, recipe.data.columns.label] == names


@given(st.text())
def test_any_text_survives_as_a_scalar(text: str) -> None:
    assert parse(f"key: {scalar(text)}  # why").value == {"key": text}


@given(st.text())
def test_any_reason_stays_a_comment(text: str) -> None:
    assert parse(f"key: 1  # {one_line(text)}").value == {"key": 1}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("data/tickets.csv.gz", "tickets"),
        ("builtin:support_train", "support_train"),
        ("hub:org/set", "set"),
        ("folder/", "folder"),
    ],
)
def test_the_run_is_named_after_the_data(source: str, name: str) -> None:
    assert stem(source) == name


@pytest.mark.parametrize(
    ("source", "task", "text", "pair", "label"),
    [
        ("cola/in_domain_train.tsv", "classification", "column_4", None, "column_2"),
        ("stsb/stsb-en-train.csv", "regression", "column_1", "column_2", "column_3"),
        ("banking77", "classification", "text", None, "category"),
        ("hatecheck/test_suite_cases.csv", "classification", "test_case", None, "label_gold"),
    ],
)
def test_real_data(source: str, task: str, text: str, pair: str | None, label: str) -> None:
    if not SHARED.exists() and "CI" not in os.environ:
        pytest.skip("the folder ../shared with public data is not here")
    recipe, _, lines = drafted(str((SHARED / source).resolve()))
    columns = recipe.data.columns
    assert (recipe.task, columns.text, columns.pair, columns.label) == (task, text, pair, label)
    assert not any(line.startswith("Decide") for line in lines)
    assert json.dumps(lines)


def test_a_test_file_without_the_decided_text_is_an_error_beside_an_open_label() -> None:
    train = [{"sentence": sentence(i), "a": "xy"[i % 2], "b": "pqr"[i % 3]} for i in range(60)]
    write("train.csv", train)
    write("other.csv", [{"foo": i, "bar": -i} for i in range(9)])
    with pytest.raises(DataError, match=r"other.csv: There is no column 'sentence' for the text") as caught:
        draft_recipe("train.csv", test="other.csv")
    assert len(caught.value.problems) == 1
    write("neither.csv", [{"sentence": row["sentence"], "c": row["a"]} for row in train])
    with pytest.raises(DataError, match=r"neither.csv: There is no column 'a' for the label"):
        draft_recipe("train.csv", test="neither.csv")
    write("one.csv", [{"sentence": row["sentence"], "b": row["b"]} for row in train])
    assert draft_recipe("train.csv", test="one.csv")[1][-1].startswith("Decide: 2 columns could hold the label: a ")
