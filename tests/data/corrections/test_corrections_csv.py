"""The corrections file: there and back, and every row that cannot be used named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.corrections.corrections_csv import COLUMNS, Correction, read_corrections, write_corrections
from tunesmith.errors import DataError

ROWS = [
    Correction(3, "train", "a", "b", 0.01, ("loss_rank", "aum"), 'given a, "looks" like b', "relabel", "ff" * 32),
    Correction(9, "test", "b", "", 0.5, (), "repeats row 2", "remove", "ff" * 32),
]


def test_there_and_back(tmp_path: Path) -> None:
    write_corrections(ROWS, tmp_path / "c.csv")
    assert read_corrections(tmp_path / "c.csv") == ROWS
    assert (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    assert [path.name for path in tmp_path.iterdir()] == ["c.csv"]


def test_three_columns_are_enough(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("row_id,given,proposed\n4,a,b\n5,a,\n", encoding="utf-8")
    found = read_corrections(tmp_path / "c.csv")
    assert [(c.row_id, c.proposed, c.action) for c in found] == [(4, "b", "relabel"), (5, "", "remove")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row_id,given\n1,a\n", "has no column proposed"),
        ("row_id,given,proposed\nx,a,b\n", "row 0 (line 2): row_id is 'x', a whole number was expected"),
        ("row_id,given,proposed,action\n1,a,b,burn\n", "action is 'burn'; relabel or remove was expected"),
        ("row_id,given,proposed,action\n1,a,,relabel\n", "proposes no label"),
        ("row_id,given,proposed,score\n1,a,b,bad\n", "score is 'bad', a number was expected"),
        ("row_id,given,proposed\n1,a,b\n1,a,c\n", "row 1 (line 3): corrects row 1 a second time"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_corrections(tmp_path / "c.csv")
    assert message in str(caught.value)


def test_rows_of_different_files_may_have_the_same_number(tmp_path: Path) -> None:
    rows = [Correction(3, "train", "a", "b", 0.0, source_sha256="ff"), Correction(3, "test", "b", "a", 0.0, source_sha256="ee")]
    write_corrections(rows, tmp_path / "c.csv")
    assert read_corrections(tmp_path / "c.csv") == rows


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("row_id,given,proposed,action\nx,a,b,\n2,a,b,burn\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_corrections(tmp_path / "c.csv")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_one_correction_in_json(suffix: str, tmp_path: Path) -> None:
    row = '{"row_id": 4, "given": "a", "proposed": "b"}'
    (tmp_path / f"c{suffix}").write_text(row if suffix == ".jsonl" else f"[{row}]", encoding="utf-8")
    assert [(c.row_id, c.given, c.proposed) for c in read_corrections(tmp_path / f"c{suffix}")] == [(4, "a", "b")]
