"""Comparisons that a person fills in: the order of the answers is undone, and every damaged row is named."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.preferences.comparisons import COLUMNS, Comparison, in_random_order, read_comparisons, write_comparisons
from tunesmith.errors import DataError

TEXTS = [(f"prompt {i}", f"=good {i}\nwith two lines", f"'-bad {i}; and, more") for i in range(12)]


def filled(path: Path, comparisons: list[Comparison]) -> list[dict[str, str]]:
    """Writes the file and fills it in: the answer that begins with =good is the better one."""
    write_comparisons(comparisons, path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["better"] for row in rows} == {""}
    return [{**row, "better": "a" if "good" in row["answer_a"] else "b"} for row in rows]


def save(path: Path, rows: list[dict[str, str]], **form: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, **form)  # type: ignore[arg-type]
        writer.writeheader()
        writer.writerows(rows)


def test_the_random_order_is_undone_also_in_the_form_of_a_spreadsheet(tmp_path: Path) -> None:
    path, comparisons = tmp_path / "annotate.csv", in_random_order(TEXTS, (0, 1))
    assert {comparison.swapped for comparison in comparisons} == {True, False}
    rows = filled(path, comparisons)
    assert {row["better"] for row in rows} == {"a", "b"}
    rows[3]["better"] = " TIE "
    save(path, [{**row, "answer_a": row["answer_a"].replace("\n", "\r\n")} for row in reversed(rows)], delimiter=";")
    expected = ["first"] * len(TEXTS)
    expected[3] = "tie"
    assert read_comparisons(comparisons, path) == expected


@given(st.lists(st.tuples(*[st.text(max_size=4)] * 3), min_size=1, max_size=5), st.integers(0, 9))
def test_the_order_depends_on_the_seed_alone(texts: list[tuple[str, str, str]], seed: int) -> None:
    drawn = in_random_order(texts, (seed,))
    assert drawn == in_random_order(texts, (seed,))
    for comparison in drawn:
        assert {comparison.better(word) for word in ("a", "b")} == {"first", "second"}
        a = comparison.cells(0)[2]
        assert a == (comparison.first if comparison.better("a") == "first" else comparison.second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [*rows[:4], {**rows[4], "better": ""}, *rows[5:]],
            "11 of 12 rows are filled in; the first empty one is row 4",
        ),
        (lambda rows: [*rows[:4], {**rows[4], "better": "both"}, *rows[5:]], "row 4 .*better is 'both'"),
        (lambda rows: rows[1:], "1 row of 12 is missing, such as that with the id 0-"),
        (lambda rows: [*rows, rows[2]], r"row 12 .*repeats row 2"),
        (lambda rows: [{**rows[0], "answer_a": "=good 0 and more"}, *rows[1:]], "row 0 .*its prompt or answers were changed"),
        (lambda rows: [{**rows[0], "id": "7"}, *rows[1:]], "row 0 .*is none that was written"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, change, message: str) -> None:
    path, comparisons = tmp_path / "annotate.csv", in_random_order(TEXTS, (0, 1))
    save(path, change(filled(path, comparisons)))
    with pytest.raises(DataError, match=message):
        read_comparisons(comparisons, path)


def test_a_file_without_the_column_to_fill_in_is_refused(tmp_path: Path) -> None:
    path, comparisons = tmp_path / "annotate.csv", in_random_order(TEXTS, (0, 1))
    path.write_text("id,prompt\n0,a\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no column answer_a, answer_b, better"):
        read_comparisons(comparisons, path)
