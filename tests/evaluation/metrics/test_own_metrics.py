"""Intervals and verdicts of a function, beside those of the built-in metric that it computes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.metrics.made import single
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics import own_metrics as own
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.own_function import MeasuredRows, OwnFunction
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import verdicts


def share(labels: np.ndarray, predictions: np.ndarray) -> float:
    return float((labels == predictions).mean())


SHARE = OwnFunction(share, "metric.py:share", Path("metric.py"), ("labels", "predictions"), ("share",))


def measured(rows: Predictions, function: OwnFunction = SHARE) -> MeasuredRows:
    return MeasuredRows(function, "test", {"labels": rows.labels, "predictions": rows.decisions}, frozenset({"predictions"}), {})


def test_a_share_with_its_range_has_the_interval_of_accuracy() -> None:
    rows = single(300, 3, 0, skill=1)
    (metric,) = own.own_metrics("test", [measured(rows, replace(SHARE, ends=(0.0, 1.0)))], Resampling(2_000))
    (expected,) = metric_intervals(SINGLE, rows, "test", ["accuracy"])
    assert metric.value == expected.value
    assert metric.low == pytest.approx(expected.low, abs=0.01)
    assert metric.high == pytest.approx(expected.high, abs=0.01)
    assert metric.interval == "bootstrap standard error, 2,000 resamples of rows, by calls of metric.py:share"


def test_repeated_rows_widen_the_interval_by_their_clusters() -> None:
    rows = single(60, 3, 0, skill=1)
    repeated = rows.take(np.repeat(np.arange(60), 9))
    (plain,) = own.own_metrics("test", [measured(rows)], Resampling(500))
    (clustered,) = own.own_metrics("test", [measured(repeated)], Resampling(500, clusters=np.repeat(np.arange(60), 9)))
    (naive,) = own.own_metrics("test", [measured(repeated)], Resampling(500))
    widths = [(metric.high or 0) - (metric.low or 0) for metric in (plain, clustered, naive)]
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
    assert widths[2] < widths[0] / 2
    assert clustered.n_clusters == 60


def test_a_value_that_no_resample_changes_has_no_interval_unless_its_range_is_known() -> None:
    rows = single(30, 2, 0)
    right = replace(rows, decisions=rows.labels)
    (metric,) = own.own_metrics("test", [measured(right)], Resampling(200))
    assert (metric.value, metric.low, metric.note) == (1.0, None, own.NO_VARIATION)
    (bounded,) = own.own_metrics("test", [measured(right, replace(SHARE, ends=(0.0, 1.0)))], Resampling(200))
    assert bounded.low is not None
    assert 0.85 < bounded.low < 0.95
    assert bounded.high == 1.0


def test_the_verdict_is_that_of_accuracy() -> None:
    ours, other = single(400, 3, 0, skill=2), single(400, 3, 0, skill=0.5)
    found = own.own_verdict("share", [measured(ours)], [measured(other)], "b", "test", Resampling(500))
    (expected,) = verdicts(["accuracy"], [ours], [other], "b", "test")
    assert (found.word, found.difference) == ("better", pytest.approx(expected.difference))
    assert found.low == pytest.approx(expected.low, abs=0.02)
    lower = replace(SHARE, lower=frozenset({"share"}))
    worse = own.own_verdict("share", [measured(ours, lower)], [measured(other, lower)], "b", "test", Resampling(500))
    assert worse.word == "worse"


def test_few_rows_cannot_tell_by_the_exact_test() -> None:
    """Five rows that differ, all in one direction: the interval of the bootstrap alone excludes zero."""
    labels = np.zeros(20, dtype=np.int64)
    ours = Predictions(labels, np.eye(2)[labels], labels)
    other = replace(ours, decisions=np.array([1] * 5 + [0] * 15))
    found = own.own_verdict("share", [measured(ours)], [measured(other)], "b", "test", Resampling(2_000))
    assert found.word == "cannot tell"
    assert found.p_two_sided is not None
    assert found.p_two_sided == pytest.approx(2 / 2**5, abs=0.02)


def test_a_failure_on_resamples_is_counted_and_said_and_one_on_all_rows_keeps_the_run() -> None:
    def needs_both(labels: np.ndarray) -> float:
        if len(set(labels.tolist())) < 2:
            raise ValueError("one class")
        return float(labels.mean())

    function = OwnFunction(needs_both, "metric.py:needs_both", Path("metric.py"), ("labels",), ("needs_both",))
    rare = Predictions(np.array([1] + [0] * 19), np.zeros((20, 2)), np.zeros(20, dtype=np.int64))
    (metric,) = own.own_metrics("test", [measured(rare, function)], Resampling(200))
    assert metric.value == pytest.approx(0.05)
    assert metric.low is None
    assert "of 200 resamples: " in metric.note
    assert metric.note.endswith("ValueError: one class.")
    (none,) = own.own_metrics("test", [measured(rare.take(np.arange(5, 15)), function)], Resampling(200))
    assert none.value is None
    assert "one class" in none.note


def test_nan_on_all_rows_is_no_value() -> None:
    function = OwnFunction(lambda labels: float("nan"), "metric.py:f", Path("metric.py"), ("labels",), ("f",))
    (metric,) = own.own_metrics("test", [measured(single(20, 2, 0), function)], Resampling(200))
    assert (metric.value, metric.note) == (None, "metric.py:f gives no number here")


def test_the_number_of_resamples_follows_from_the_time_of_a_call() -> None:
    assert own.affordable_calls(1e-4, 10_000) == 10_000
    assert own.affordable_calls(1e-4, 300) == 300
    assert own.affordable_calls(1e-3, 10_000) == 2_000
    assert own.affordable_calls(0.2, 10_000) == 200
    assert own.affordable_calls(0.5, 10_000) == 0


def test_a_slow_function_has_its_value_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "LONGEST_SECONDS", 0.1)
    monkeypatch.setattr(own, "BUDGET_SECONDS", 0.1)
    function = replace(SHARE, call=lambda labels, predictions: time.sleep(0.02) or 0.5)
    (metric,) = own.own_metrics("test", [measured(single(20, 2, 0), function)], Resampling(200))
    assert (metric.value, metric.low) == (0.5, None)
    assert metric.note.startswith("no interval: one call takes 0.0 s, and 200 resamples would take 4 s")


def test_several_seeds_are_averaged() -> None:
    systems = [measured(single(100, 2, 0, skill=skill)) for skill in (1.0, 3.0)]
    (metric,) = own.own_metrics("test", systems, Resampling(200))
    assert metric.value == pytest.approx(np.mean([rows.values()["share"] for rows in systems]))
    assert "200 resamples of rows and 2 seeds" in metric.interval
