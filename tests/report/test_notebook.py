"""The page of a run in a notebook: small, self-contained, escaped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.fake_runs import ALARMS, CLASSES, fake_result
from tunesmith.report.notebook import findings_page, run_page
from tunesmith.report.recommendation import recommendation
from tunesmith.report.words import headline, verdict_notes
from tunesmith.results import Alarm, Finding, RunResult


@pytest.mark.parametrize("kind", CLASSES)
def test_headline_verdicts_metrics_and_alarms_are_on_the_page(kind: str) -> None:
    result = replace(fake_result(kind, 300, np.random.default_rng(0)), alarms=ALARMS)
    page = run_page("tickets", result)
    assert headline(result).sentence.split(":")[0] in page
    assert all(alarm.name in page or alarm.message[:20] in page for alarm in ALARMS)
    assert page.count("<table>") == 2
    shown = [recommendation(result).sentence[:20], "cannot tell whether", "this run</th>", "verdict</th>", ALARMS[0].remedy[:20]]
    places = [page.index(part) for part in shown]
    assert places == sorted(places), "the recommendation, the headline, metrics, verdicts, alarms"
    assert all(note in page for note in verdict_notes(result))
    assert "One seed: the verdict is about this model." in page
    assert len(page) < 20_000
    assert "<script" not in page
    assert "http" not in page


def test_text_of_the_run_is_escaped_and_the_report_is_named(tmp_path: Path) -> None:
    result = RunResult("classification", alarms=(Alarm("x", "<b>bold</b>", ""),))
    (tmp_path / "report.html").touch()
    page = run_page("<i>", result, tmp_path)
    assert "&lt;b&gt;bold" in page
    assert "<strong>&lt;i&gt;: </strong>No recommendation: nothing was measured" in page
    assert str(tmp_path / "report.html") in page


def test_the_page_of_a_diagnosis_lists_what_flags_rows() -> None:
    findings = tuple(Finding(f"check_{i}", f"summary {i}", flagged=i) for i in range(12))
    page = findings_page("12 rows", findings)
    assert "summary 0" not in page
    assert "summary 8" in page
    assert "and 3 more" in page
