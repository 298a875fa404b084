"""What a caller gives in Python: a string is data where it names data, and a text elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.readers.given import names_data, read_evaluated, read_given, read_rows_or_text, source_name
from tunesmith.errors import DataError


@pytest.mark.parametrize("text", ["builtin:support_train", "hub:a/b", "new.csv", "a/b.JSONL", "rows.csv.gz", "here", "./here"])
def test_names_of_data(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    assert names_data(text)


@pytest.mark.parametrize("text", ["", "where is my parcel?", "I sent you new.csv", "it.is", "a\0b", "x" * 5000, "good\nbad.csv"])
def test_texts(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not names_data(text)
    assert read_rows_or_text(text).columns == {"text": [text]}


def test_a_path_is_never_a_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_rows_or_text(tmp_path / "where is it")
    with pytest.raises(DataError, match="no such file"):
        read_given("where is my parcel?")


def test_a_table_that_was_read_stays(tmp_path: Path) -> None:
    table = read_given(["a", "b"])
    assert read_rows_or_text(table) is table
    assert [source_name(data) for data in (table, ["a"], tmp_path / "x.csv")] == ["table in memory"] * 2 + [
        str(tmp_path / "x.csv")
    ]


def folder_of(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / f"{name}.csv").write_text(f"text,label\nrow of {name},a\n")
    return tmp_path


@pytest.mark.parametrize(
    ("names", "read"), [(("train", "validation", "test"), "test"), (("train",), "train"), (("rows",), "rows")]
)
def test_of_a_folder_the_test_split_or_the_only_file_is_evaluated(names: tuple[str, ...], read: str, tmp_path: Path) -> None:
    assert read_evaluated(folder_of(tmp_path, *names)).columns["text"] == [f"row of {read}"]


def test_a_folder_without_a_test_split_is_not_evaluated(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test rows, only train, validation"):
        read_evaluated(folder_of(tmp_path, "train", "validation"))
