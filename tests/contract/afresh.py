"""Measures the saved models of finished runs in a process of its own, and compares with what the runs reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.contract.cases import Case
from tests.contract.conftest import Runs
from tunesmith.tasks.finished import Run

RUN, TEST, SEARCH, BASE = "RUN", "TEST", "SEARCH", "BASE"
# Case -> the command that measures the saved model on the run's own rows; without one the model is loaded as a base model.
MEASURED_BY: Mapping[str, list[str]] = {
    "classification": ["evaluate", RUN, TEST],
    "regression": ["evaluate", RUN, TEST],
    "embedding": ["evaluate", RUN, TEST],
    "reranker": ["evaluate", BASE, "--retrieval", SEARCH, "--rerank", RUN, "--top-k", "8"],
    "sft": ["evaluate", RUN, TEST],
    "preference": ["evaluate", RUN, TEST],
    "reward": ["evaluate", RUN, TEST],
    "causal pretraining": ["evaluate", RUN, TEST],
}


def filled_in(runs: Runs, case: Case, run: Run, words: list[str]) -> list[str]:
    """Fills in the places of a case's run and files."""
    place = run.folder.parent
    test = next((str(path) for path in (place / "test.csv", place / "test.jsonl") if path.exists()), "")
    places = {RUN: str(run.folder), TEST: test, SEARCH: str(place / "search"), BASE: str(runs.models[case.model])}
    return [places.get(word, word) for word in words]


def measuring_job(runs: Runs, case: Case, run: Run) -> dict[str, Any]:
    """Returns the job of ``tests.contract.fresh`` that measures a run's model."""
    words = MEASURED_BY.get(case.name)
    if words is None:
        return {"recipe": str(run.folder.parent / "recipe.yaml"), "run": str(run.folder)}
    return {"words": filled_in(runs, case, run, words)}


def in_fresh_process(jobs: Mapping[str, Any]) -> dict[str, Any]:
    """Does named jobs in another process; name -> what it gave."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.fresh"], input=json.dumps(jobs), capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def check_measured(found: Mapping[str, Any], case: Case, run: Run) -> None:
    """Asserts that a fresh process measured what the run reports."""
    assert "error" not in found, found
    split = "retrieval" if case.task == "reranker" else "test"
    measured = {metric.name: metric.value for metric in run.result.metrics if metric.split == split}
    measured.pop("kl", None)  # the model is its own reference where it is loaded as a base model
    assert measured
    assert {name: found["test"][name] for name in measured} == pytest.approx(measured, abs=2e-3, nan_ok=True)
    if case.task == "embedding":  # ranks hide small differences of vectors
        assert found["geometry"] == pytest.approx(run.result.training["geometry"]["test"]["after"], abs=2e-3)
