from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.data.readers.read import find_splits, read_table, sample_names
from tunesmith.errors import DataError

ROWS = [("I want my money back", "refund"), ('She said "no", twice', "complaint"), ("Straße\nund Ж 漢字 🙂", "other")]
WORDS = ["text", "label"]

# Everything a cell may hold but control characters, which a text file has no business with.
CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\r\t\"',;"), min_size=1, max_size=40)


def csv_bytes(rows: list[tuple[str, ...]], delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(WORDS)
    writer.writerows(rows)
    return file.getvalue().encode()


def parquet_bytes(rows: list[tuple[str, ...]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(zip(WORDS, map(list, zip(*rows, strict=True)), strict=True))), file)
    return file.getvalue()


WRITERS: dict[str, Any] = {
    "csv": csv_bytes,
    "tsv": lambda rows: csv_bytes(rows, "\t"),
    "jsonl": lambda rows: "".join(
        json.dumps(dict(zip(WORDS, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
    ).encode(),
    "json": lambda rows: json.dumps([dict(zip(WORDS, row, strict=True)) for row in rows]).encode(),
    "parquet": parquet_bytes,
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", WRITERS)
def test_each_format_reads_back_equal(ending: str, packed: bool, tmp_path: Path) -> None:
    data = WRITERS[ending](ROWS)
    path = tmp_path / (f"rows.{ending}.gz" if packed else f"rows.{ending}")
    path.write_bytes(gzip.compress(data) if packed else data)
    found = read_table(path.name, base=tmp_path)
    assert list(zip(found.columns["text"], found.columns["label"], strict=True)) == ROWS
    assert (found.source, found.row_ids, found.rows_read, found.bad_rows) == (path.name, [0, 1, 2], 3, ())
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS.filter(lambda cell: bool(cell.strip())), st.sampled_from("abc")), min_size=1, max_size=12))
def test_any_text_reads_back_equal(ending: str, rows: list[tuple[str, str]], tmp_path: Path) -> None:
    path = tmp_path / f"rows.{ending}"
    path.write_bytes(WRITERS[ending](rows))
    found = read_table(path)
    assert list(zip(found.columns["text"], found.columns["label"], strict=True)) == rows
    assert found.bad_rows == ()


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('text,label\none,a\n\n"two\nlines",b\nthree,a\n')
    found = read_table(path)
    assert (found.row_ids, list(found.lines or [])) == ([0, 1, 2], [2, 4, 6])
    assert "1 blank line was left out." in found.notes


def test_folder_by_names_of_its_files(tmp_path: Path) -> None:
    for name in ("Train.csv", "dev.jsonl", "test.tsv.gz", "README.md"):
        (tmp_path / name).write_bytes(b"")
    assert {split: path.name for split, path in find_splits(tmp_path).items()} == {
        "train": "Train.csv", "validation": "dev.jsonl", "test": "test.tsv.gz",
    }  # fmt: skip


def test_folder_with_one_file_is_train(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("text,label\none two,a\n")
    assert find_splits(tmp_path) == {"train": tmp_path / "tickets.csv"}
    assert read_table(tmp_path).columns["label"] == ["a"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "The folder has no train file; it holds nothing."),
        (("a.csv", "b.csv"), "The folder has no train file; it holds a.csv, b.csv."),
        (("train.csv", "train.jsonl"), "More than one file fits the same split (train: train.csv, train.jsonl)."),
        (("train.csv", "dev.csv", "val.csv"), "More than one file fits the same split (validation: dev.csv, val.csv)."),
    ],
)
def test_ambiguous_folder(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        find_splits(tmp_path)
    assert caught.value.problems[0].message == message


def test_folder_without_the_split_that_is_requested(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\none two,a\n")
    with pytest.raises(DataError, match=r"The source has no test rows, only train\."):
        read_table(tmp_path, split="test")


def test_builtin_and_its_unknown_names() -> None:
    assert set(read_table("builtin:support_train").columns) == {"message", "intent"}
    with pytest.raises(DataError) as caught:
        read_table("builtin:nope")
    assert caught.value.problems[0].line() == (
        "builtin:nope: There is no built-in data of that name. There are: "
        + ", ".join(f"builtin:{name}" for name in sample_names())
        + "."
    )
    assert {"support_test", "support_train"} <= set(sample_names())


def test_missing_file_offers_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    with pytest.raises(DataError) as caught:
        read_table("trian.csv", base=tmp_path)
    problem = caught.value.problems[0]
    assert problem.where == "trian.csv"
    assert problem.message == (
        f"There is no such file (looked for {tmp_path / 'trian.csv'}, then for {Path('trian.csv').absolute()})."
    )
    assert problem.remedy == "Did you mean train.csv?"


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("rows", "text\tlabel\na b\t1\nc d\t0\n", {"text": ["a b", "c d"], "label": ["1", "0"]}),
        ("rows.txt", "text;label\na b;1\nc d;0\n", {"text": ["a b", "c d"], "label": ["1", "0"]}),
        ("rows.data", '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n', {"text": ["a", "b"], "label": [1, 0]}),
        ("rows.data", '[{"text": "a", "label": 1}]', {"text": ["a"], "label": [1]}),
    ],
)
def test_unknown_ending_is_recognised_by_content(name: str, content: str, columns: dict[str, list[Any]], tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    found = read_table(tmp_path / name)
    assert found.columns == columns
    assert any("name does not tell its format" in note for note in found.notes)


def test_unknown_ending_and_no_table(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("One, two, three, four\nand another line of it\nand more, and, more\n")
    with pytest.raises(DataError) as caught:
        read_table("notes.txt", base=tmp_path)
    assert str(caught.value) == (
        "notes.txt: The ending '.txt' is not known, and its content is no table either. "
        "Known formats: csv, tsv, json, jsonl or parquet (each also .gz). "
        "Plain texts are read by predict and embed, one a line, and by a recipe with task: pretraining."
    )


def test_parquet_and_gzip_under_a_wrong_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(gzip.compress(parquet_bytes(ROWS)))
    found = read_table("rows.csv", base=tmp_path)
    assert found.columns["label"] == ["refund", "complaint", "other"]
    assert len(found.notes) == 2


def test_ten_thousand_rows_are_read_at_once(tmp_path: Path) -> None:
    import time

    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f'"card {i}, it is not working at all",{i % 3}\n' for i in range(10_000)))
    start = time.perf_counter()
    assert len(read_table(path)) == 10_000
    assert time.perf_counter() - start < 0.5


def test_a_relative_path_is_looked_for_beside_the_recipe_and_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, here = tmp_path / "recipes", tmp_path / "here"
    for folder, names in ((beside, ["both"]), (here, ["both", "only_here"])):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.csv").write_text(f"text,label\nfrom {folder.name},a\n", encoding="utf-8")
    monkeypatch.chdir(here)
    assert read_table("both.csv", base=beside).columns["text"] == ["from recipes"]
    assert read_table("only_here.csv", base=beside).columns["text"] == ["from here"]
    with pytest.raises(DataError) as caught:
        read_table("nowhere.csv", base=beside)
    assert str(beside / "nowhere.csv") in str(caught.value)


def test_the_home_of_nobody_is_no_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"~nobody_x/a.csv: There is no such file"):
        read_table("~nobody_x/a.csv", base=tmp_path)
