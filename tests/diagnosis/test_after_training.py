"""The findings about training rows after training: within its time, and no finding twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import rows
from tests.fits import read_rows
from tunesmith.diagnosis import after_training as training_rows
from tunesmith.diagnosis.after_training import LEFT_OUT, training_findings
from tunesmith.diagnosis.checks.table import CHECKS
from tunesmith.progress import silent
from tunesmith.tasks.classification.data import LabelledTaskData


@pytest.fixture
def inputs(tmp_path: Path, tiny_model: Path) -> LabelledTaskData:
    mapping = {"data": {"train": "DataFrame", "validation": 0.2}, "model": {"name": str(tiny_model)}}
    data = read_rows(mapping, {"train": rows(100, seed=2)}, tmp_path)
    assert isinstance(data, LabelledTaskData)
    return data


def vectors(inputs: LabelledTaskData) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(inputs.splits.train), 8)).astype(np.float32)


def test_every_finding_is_there_within_its_time(inputs: LabelledTaskData) -> None:
    n = len(inputs.splits.train)
    logits = np.random.default_rng(0).normal(size=(3, n, 2)).astype(np.float16)
    found = training_findings(inputs, vectors(inputs), logits, 10_000.0, silent)
    assert {finding.name for finding in found} == {name for name, _ in CHECKS} - LEFT_OUT
    findings = {finding.name: finding for finding in found}
    assert "labels of train are wrong" in findings["suspect_labels"].summary
    assert "over 3 epochs" in findings["cartography"].summary


def test_without_embeddings_the_reason_is_the_missing_probabilities(inputs: LabelledTaskData) -> None:
    found = {finding.name: finding for finding in training_findings(inputs, None, None, 60.0, silent)}
    assert found["suspect_labels"].skipped == "it needs out-of-fold probabilities"


def test_what_would_take_a_tenth_of_the_training_is_left_out(inputs: LabelledTaskData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_rows, "MIN_BUDGET_SECONDS", 0.0)
    found = {finding.name: finding for finding in training_findings(inputs, vectors(inputs), None, 1e-6, silent)}
    assert "a tenth of the training time; see tunesmith diagnose" in found["suspect_labels"].skipped
