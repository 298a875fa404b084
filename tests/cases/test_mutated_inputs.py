"""Whole commands on changed inputs: names that no file can have, very wide tables, names as long as texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.cli.main import main

N = 60
TEXTS = [f"the {('train', 'soup', 'room', 'lamp')[i % 4]} of visit {i} was {('late', 'cold', 'loud')[i % 3]}" for i in range(N)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_rows(name: str, **columns: Any) -> str:
    rows = [{key: cells[i % len(cells)] for key, cells in columns.items()} for i in range(N)]
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def refused(words: list[str], capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    """Runs a command that refuses its input by a message with these parts, and writes nothing."""
    before = sorted(Path().rglob("*"))
    assert main(words) == 2
    err = capsys.readouterr().err
    assert [part for part in parts if part not in err] == [], err
    assert max(map(len, err.split("\n"))) < 2_500
    assert sorted(Path().rglob("*")) == before


UNUSABLE = {
    "x/" * 3_000: "is too long for the name of a file",
    "x" * 300 + ".csv": "is too long for the name of a file",
    " ": "is empty",
    "a\0b": "contains a NUL character",
}
PLACES: dict[str, dict[str, Any]] = {
    "data.train": {},
    "data.validation": {},
    "data.test": {},
    "data.also[0]": {"task": "embedding"},
    "model.name": {},
    "evaluate.retrieval": {"task": "embedding"},
    "evaluate.general": {"task": "pretraining"},
    "sft.chat_template": {"task": "sft"},
    "embedding.guide": {"task": "embedding"},
    "output": {},
}


@pytest.mark.parametrize("name", UNUSABLE, ids=["long path", "long name", "blank", "NUL"])
@pytest.mark.parametrize("key", PLACES)
def test_a_name_that_no_file_can_have_is_refused_with_its_key(key: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe: dict[str, Any] = {"data": {"train": write_rows("rows.jsonl", text=TEXTS, label=["a", "b"])}, **PLACES[key]}
    *sections, last = key.removesuffix("[0]").split(".")
    inner = recipe
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = [name] if key.endswith("[0]") else name
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    refused(["check", "--static", "recipe.yaml"], capsys, f" {key}: {UNUSABLE[name]}")


@pytest.mark.parametrize("name", UNUSABLE, ids=["long path", "long name", "blank", "NUL"])
def test_a_name_on_the_command_line_that_no_file_can_have_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["init", name], capsys, UNUSABLE[name])
    refused(["init", write_rows("rows.jsonl", text=TEXTS, label=["a", "b"]), "--test", name], capsys, UNUSABLE[name])


@pytest.mark.parametrize("words", [["check", "LONG"], ["predict", "LONG", "rows.jsonl"], ["report", "LONG"]], ids=str)
def test_a_run_or_recipe_whose_name_is_too_long_is_bad_input(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_rows("rows.jsonl", text=TEXTS)
    refused([word.replace("LONG", "x/" * 3_000) for word in words], capsys, "too long")


def test_a_choice_among_hundreds_of_columns_names_a_few(capsys: pytest.CaptureFixture[str]) -> None:
    wide = {f"c{i}": ["1", "2", "1", "2"] for i in range(400)}
    Path("recipe.yaml").write_text(yaml.safe_dump({"data": {"train": write_rows("rows.jsonl", text=TEXTS, **wide)}}))
    refused(["check", "--static", "recipe.yaml"], capsys, '"columns: {label: c11}", or one of 388 more.')


def test_a_name_as_long_as_a_text_is_cut_in_messages(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 5_000
    Path("recipe.yaml").write_text(
        yaml.safe_dump({"data": {"train": write_rows("rows.jsonl", text=TEXTS, label=["a", "b"]), "columns": {"text": long}}})
    )
    refused(
        ["check", "--static", "recipe.yaml"],
        capsys,
        "characters ...",
        "Name one of them as the text (recipe: data.columns.text).",
    )


def test_a_label_as_long_as_a_text_is_cut_in_messages(capsys: pytest.CaptureFixture[str]) -> None:
    Path("recipe.yaml").write_text(yaml.safe_dump({"data": {"train": write_rows("rows.jsonl", text=TEXTS, label=["x" * 5_000])}}))
    refused(["check", "--static", "recipe.yaml"], capsys, "rows.jsonl: All 60 labelled rows have the same label, 'xxx", "missing")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"label": "other"}, "label is not among those of train"),
        ({"label": None}, "label is empty"),
        ({"pair": None}, "second text is missing"),
    ],
    ids=str,
)
def test_a_row_with_a_number_for_a_text_is_dropped_all_the_same(cells: dict[str, Any], reason: str) -> None:
    from tunesmith.data.labelled.rows import make_examples
    from tunesmith.data.table import Columns, Labels, Table

    rows = [{"text": text, "pair": "a pair", "label": "a"} for text in TEXTS[:9]] + [
        {"text": 3.5, "pair": "x", "label": "a", **cells}
    ]
    table = Table.whole("rows", {name: [row[name] for row in rows] for name in ("text", "pair", "label")})
    labels = Labels("single_label_classification", ("a", "b"))
    examples = make_examples(table, Columns("text", "pair", ("label",), None, None, None), labels)
    assert examples.dropped == {reason: 1}
    assert set(examples.labels) == {0}
