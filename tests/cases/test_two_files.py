"""Whole commands on train, validation and test files that write the same labels in different ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_rows import TEXTS, N, load, run, write
from tunesmith.errors import DataError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files(train: Sequence[Any], other: Sequence[Any], suffix: str = "jsonl") -> tuple[str, str]:
    """Writes two files whose rows have these labels in turn; returns their names."""
    texts = [f"another {text}" for text in TEXTS]
    first = write(f"train.{suffix}", text=TEXTS, label=[train[i % len(train)] for i in range(N)])
    return first, write(f"other.{suffix}", text=texts, label=[other[i % len(other)] for i in range(N)])


@pytest.mark.parametrize(
    ("train", "other", "shown"),
    [
        (("Yes", "No"), ("yes", "no "), "'yes' (train has 'Yes'): 30 rows, 'no ' (train has 'No'): 30 rows"),
        (("caf\u00e9", "tea"), ("cafe\u0301", "te\u200ba"), r"'cafe\u0301' (train has 'caf\xe9'): 30 rows"),
        ((True, False), ("0", "2"), "'0': 30 rows, '2': 30 rows; those of train are False, True"),
        (({"x": 1, "y": 0}, {"x": 0, "y": 1}), ({"z": 1},), "'z': 60 rows; those of train are x, y"),
    ],
)
def test_labels_that_train_lacks_are_shown_with_those_of_train(train: Sequence[Any], other: Sequence[Any], shown: str) -> None:
    first, second = files(train, other)
    with pytest.raises(DataError) as error:
        load(first, test=second)
    assert shown in str(error.value)


def test_some_labels_that_train_lacks_are_named_in_check(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = files(("a", "b", "c"), ("a;b", "b", "C"), "csv")
    code, out, _ = run(capsys, "check", "--static", first, f"data.test={second}")
    assert code == 0
    assert "left out of the metrics: 'a;b': 20 rows, 'C' (train has 'c'): 20 rows." in out
    assert "keep_null_labels" not in out
    with pytest.raises(DataError, match=r"'a;b' in row 0 \(line 2\), 'C' \(train has 'c'\) in row 2 \(line 4\)"):
        load(first, validation=second)


@pytest.mark.parametrize("length", [2, 4])
def test_vectors_of_another_length_than_those_of_train_are_refused(length: int) -> None:
    vectors = [[int(i == k) for k in range(length)] for i in range(length)]
    first, second = files([[1, 0, 0], [0, 1, 0], [1, 0, 1]], vectors)
    for split in ("validation", "test"):
        with pytest.raises(DataError, match=rf"other.jsonl: The labels are vectors of {length} values .* those of train have 3"):
            load(first, **{split: second})
