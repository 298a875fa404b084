"""Date and data of a run in a paragraph with three rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tunesmith.report.in_short import chosen, data_in_short, date_line, labels_sentence
from tunesmith.report.page import write_report
from tunesmith.report.saved_run import load
from tunesmith.results import RunResult
from tunesmith.workflows.train import dates

WriteRun = Callable[..., Path]


@pytest.mark.parametrize(
    ("started", "finished", "line"),
    [
        ("2026-03-01T09:00:10+00:00", "2026-03-01T09:12:00+00:00", "2026-03-01 09:00 to 09:12 UTC"),
        ("2026-03-01T23:00:00+00:00", "2026-03-02T01:00:00+00:00", "2026-03-01 23:00 to 2026-03-02 01:00 UTC"),
        ("", "", ""),
        ("yesterday", "2026-03-02T01:00:00+00:00", ""),
    ],
)
def test_the_date(started: str, finished: str, line: str) -> None:
    assert date_line(RunResult("classification", started=started, finished=finished)) == line


def test_dates_of_a_run_are_as_far_apart_as_it_took() -> None:
    assert date_line(RunResult("x", **dates(0.0))).endswith("UTC")


def test_rows_classes_lengths_and_three_different_labels(write_run: WriteRun) -> None:
    run = load(write_run("binary"))
    page = str(data_in_short(run))
    assert "2,400 rows for train (train.csv), 300 rows for validation (validation.csv), 300 rows for test (test.csv)." in page
    assert "Classes in training: " in page
    assert "Median length: " in page
    assert page.count("<tr>") == 4
    assert "acceptable" in page
    assert "unacceptable" in page


def test_a_regression_has_a_range_and_a_text_never_a_control_character(write_run: WriteRun) -> None:
    page = str(data_in_short(load(write_run("regression", rows=40))))
    assert "Labels of test from " in page
    assert "\x00" not in page
    assert "\x07" not in page


def test_rows_are_chosen_by_label_and_order() -> None:
    assert chosen(["a", "a", "b", "a", "c", "b"]) == [0, 2, 4]
    assert chosen(["a"] * 5) == [0, 1, 2]
    assert chosen([1.0]) == [0]
    assert chosen([]) == []


def test_an_old_run_has_a_page_without_a_date(write_run: WriteRun) -> None:
    assert " UTC<" not in write_report(write_run("twelve")).read_text(encoding="utf-8")
    dated = write_run("twelve", name="dated", started="2026-03-01T09:00:10+00:00", finished="2026-03-01T09:12:00+00:00")
    assert "2026-03-01 09:00 to 09:12 UTC" in write_report(dated).read_text(encoding="utf-8")


def test_rows_without_labels_have_no_column_for_them(write_run: WriteRun) -> None:
    run = load(write_run("binary"))
    assert run.predictions is not None
    bare = replace(run, predictions={**run.predictions, "label": [None] * len(run.predictions["label"])})
    assert str(data_in_short(run)).count('scope="col"') == 3
    assert str(data_in_short(bare)).count('scope="col"') == 2


def test_a_name_from_right_to_left_leaves_its_share_behind_it(write_run: WriteRun) -> None:
    run = load(write_run("binary"))
    counts = {"train": {"rows": 4, "label_counts": {"\u0645\u0631\u062d\u0628\u0627": 3, "b": 1}}}
    sentence = labels_sentence(replace(run, result=replace(run.result, data={"splits": counts})))
    assert sentence == "Classes in training: \u2068\u0645\u0631\u062d\u0628\u0627\u2069 75.0 %, \u2068b\u2069 25.0 %."
