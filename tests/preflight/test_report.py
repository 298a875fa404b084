"""Lines of the pre-flight: each warning says what is wrong and what to do."""

from __future__ import annotations

import ast
from pathlib import Path

from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.preflight.static import evaluated_on, from_finding
from tunesmith.results import Finding

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tunesmith"


def line(check: CheckLine) -> str:
    return CheckReport((check,)).lines[0]


def test_a_line_shows_the_figure_the_note_and_the_remedy() -> None:
    few = evaluated_on("test", 20)
    assert line(few).startswith("note evaluated on: test, 20 rows: intervals will be wide. Give more test rows")
    assert CheckReport((few,)).notes[0].startswith("test, 20 rows: intervals will be wide. Give more test rows")
    warned = CheckLine("lengths", "longest 9 tokens", note="most rows do not fit", remedy="Raise it.")
    assert line(warned) == "note lengths: longest 9 tokens. Most rows do not fit. Raise it."
    assert line(evaluated_on("test", 200)) == "ok   evaluated on: test, 200 rows"


def test_a_note_that_repeats_the_figure_is_shown_once() -> None:
    rows = tuple({"row_id": i, "split": "train"} for i in (3, 8))
    check = from_finding(Finding("duplicates", "2 rows are the same.", 2, rows=rows, remedy="Remove them."))
    assert line(check) == "note duplicates: 2 rows are the same. Rows 3, 8 of train. Remove them."
    assert CheckReport((check,)).notes == ("duplicates: 2 rows are the same. Rows 3, 8 of train. Remove them.",)


def test_a_finding_with_a_remedy_is_a_note_and_one_with_neither_rows_nor_remedy_is_none() -> None:
    assert line(from_finding(Finding("missing_labels_test", "no row of a", remedy="Add rows."))).startswith("note ")
    assert line(from_finding(Finding("labels", "2 classes"))) == "ok   labels: 2 classes"


def test_every_note_of_a_check_has_a_remedy() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    calls = [
        (path.name, {keyword.arg for keyword in node.keywords}, node.lineno)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "CheckLine"
    ]
    assert len(calls) > 20
    assert [(name, number) for name, keywords, number in calls if "note" in keywords and "remedy" not in keywords] == []
