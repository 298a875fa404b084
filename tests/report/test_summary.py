from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.report.fake_runs import ALARMS, CLASSES, fake_result
from tunesmith.report.summary import WIDTH, summary_lines
from tunesmith.results import Alarm, Finding, RunResult


def made(kind: str) -> RunResult:
    return fake_result(kind, 300, np.random.default_rng(0))


@pytest.mark.parametrize("kind", CLASSES)
def test_fits_and_begins_with_recommendation_and_headline(kind: str) -> None:
    lines = summary_lines(made(kind))
    assert lines[0].startswith(("Use ", "Get "))
    assert lines[lines.index("") + 1].startswith("Test ")
    assert max(map(len, lines)) <= WIDTH
    assert not any(line != line.rstrip() for line in lines)


def test_tells_metrics_baselines_words_alarms_and_findings() -> None:
    text = "\n".join(summary_lines(replace(made("twelve"), alarms=ALARMS)))
    fragments = [
        "macro F1 on test, 300 rows",
        "0.913 [0.882, 0.942]",
        "TF-IDF + linear",
        "better",
        "cannot tell",
        "frozen embeddings + linear",
        "! Every test row is predicted",
        "  Raise data.max_length to 256.",
        "31 rows look wrongly labelled.",
    ]
    for fragment in fragments:
        assert fragment in text
    assert text.index("3 test rows") < text.index("31 rows") < text.index("12 rows")


def test_the_best_baseline_of_a_metric_follows_its_direction() -> None:
    lines = summary_lines(made("twelve"))
    row = next(line for line in lines if line.strip().startswith("log loss"))
    assert row.endswith("frozen embeddings + linear")


def test_an_empty_result_is_two_sentences() -> None:
    lines = summary_lines(RunResult("classification"))
    assert lines[0].startswith("No recommendation: nothing was measured")
    assert lines[1:] == ["", "Nothing was measured in this run."]


@settings(max_examples=60)
@example("x" * 300, "y" * 300, "z" * 300)
@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_no_text_breaks_the_width(message: str, remedy: str, summary: str) -> None:
    found = replace(made("binary"), alarms=(Alarm("x", message, remedy),), findings=(Finding("y", summary, 3),))
    lines = summary_lines(found)
    assert max(map(len, lines)) <= WIDTH
    assert all("\n" not in line for line in lines)


def test_a_pipe_gets_whole_lines() -> None:
    message, remedy, summary = ("".join(f"{word} {i} " for i in range(80)).strip() for word in ("message", "remedy", "summary"))
    found = replace(made("binary"), alarms=(Alarm("x", message, remedy),), findings=(Finding("y", summary, 3),))
    lines = summary_lines(found, width=None)
    assert {f"! {message}", f"  {remedy}", f"  {summary}"} <= set(lines)
    assert " ".join(" ".join(summary_lines(found)).split()) == " ".join(" ".join(lines).split()), "a terminal gets all of it"


def test_findings_come_by_what_they_do_to_the_result() -> None:
    names = ("duplicates", "knn_shapley", "leakage_test", "suspect_labels", "conflicting_labels", "loss_rank")
    found = [Finding(name, f"about {name}", flagged=i + 1) for i, name in enumerate(names)]
    quiet = [Finding("leakage_validation", "none"), Finding("aum", "", skipped="no logits")]
    lines = [line.strip() for line in summary_lines(replace(made("binary"), alarms=(), findings=(*found, *quiet)))]
    place = lines.index("rows to check")
    assert lines[place + 1 : place + 7] == [
        "about leakage_test",
        "about conflicting_labels",
        "about suspect_labels",
        "about duplicates",
        "about loss_rank",
        "and 1 more finding in the report",
    ]
