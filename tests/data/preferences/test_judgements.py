"""``data.labels`` says what judgements mean, in the words of the message that asks for them, and against the usual words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.preferences.load import JudgedData, load_judged, load_pairs
from tunesmith.errors import DataError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import Recipe

ROWS = [{"prompt": f"q{i}", "completion": word, "label": word} for i in range(6) for word in ("good", "bad", "neutral")]


def recipe(folder: Path, rows: list[dict[str, Any]], labels: dict[Any, Any]) -> Recipe:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"train": "rows.jsonl", "validation": 0.5, "test": None, "labels": labels}
    return recipe_from_mapping({"task": "preference", "data": data})


def judged(folder: Path, labels: dict[Any, Any]) -> JudgedData:
    return load_judged(recipe(folder, ROWS, labels), folder)


@pytest.mark.parametrize(
    "labels",
    [
        {"good": True, "bad": False, "neutral": None},
        {"good": "yes", "bad": "no", "neutral": None},
        {"Good": "true", "Bad": "false", "Neutral": None},
        {"neutral": None},
    ],
)
def test_a_third_value_can_be_left_out(tmp_path: Path, labels: dict[Any, Any]) -> None:
    rows = judged(tmp_path, labels).train
    assert {(answer[0].content, good) for answer, good in zip(rows.answers, rows.desirable, strict=True)} == {
        ("good", True), ("bad", False),
    }  # fmt: skip


@pytest.mark.parametrize("words", [("bad", "good"), (False, True)])
def test_the_recipe_is_followed_against_the_usual_words(tmp_path: Path, words: tuple[object, object]) -> None:
    rows = judged(tmp_path, dict(zip(("good", "bad"), words, strict=True)) | {"neutral": None}).train
    assert {answer[0].content for answer, good in zip(rows.answers, rows.desirable, strict=True) if good} == {"bad"}


def test_truth_values_can_be_mapped_to_answers(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i}", "response_a": "a", "response_b": "b", "winner": i % 2 == 0} for i in range(8)]
    with pytest.raises(DataError, match="holds True, False"):
        load_pairs(recipe(tmp_path, rows, {}), tmp_path)
    pairs = load_pairs(recipe(tmp_path, rows, {"true": "response_b", "false": None}), tmp_path).train
    assert {answer[0].content for answer in pairs.chosen} == {"b"}


def test_labels_for_rows_without_judgements_are_refused(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i}", "chosen": "a", "rejected": "b"} for i in range(4)]
    with pytest.raises(DataError, match=r"data\.labels maps judgements, and these rows have none"):
        load_pairs(recipe(tmp_path, rows, {"1": "chosen"}), tmp_path)
