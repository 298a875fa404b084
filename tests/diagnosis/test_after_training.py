"""What is said of training rows after training: within its time, and no finding twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import rows
from tunesmith.diagnosis import after_training
from tunesmith.diagnosis.after_training import REPORTED_CHECKS, training_findings
from tunesmith.progress import Clock, silent
from tunesmith.recipe.load import LoadedRecipe, recipe_from_mapping
from tunesmith.tasks.classification.data import Inputs, read_inputs


@pytest.fixture
def inputs(tmp_path: Path, tiny_model: Path) -> Inputs:
    mapping = {"data": {"train": "DataFrame", "validation": 0.2}, "model": {"name": str(tiny_model)}}
    loaded = LoadedRecipe(recipe_from_mapping(mapping), None, mapping, "", tmp_path)
    return read_inputs(loaded, Clock(lambda _: None, {}), {"train": rows(100, seed=2)})


def vectors(inputs: Inputs) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(inputs.splits.train), 8)).astype(np.float32)


def test_every_finding_is_there_within_its_time(inputs: Inputs) -> None:
    n = len(inputs.splits.train)
    logits = np.random.default_rng(0).normal(size=(3, n, 2)).astype(np.float16)
    found = training_findings(inputs, vectors(inputs), logits, 10_000.0, silent)
    assert {finding.name for finding in found} == set(REPORTED_CHECKS)
    said = {finding.name: finding for finding in found}
    assert "labels of train are wrong" in said["suspect_labels"].summary
    assert "over 3 epochs" in said["cartography"].summary


def test_without_embeddings_the_reason_is_the_missing_probabilities(inputs: Inputs) -> None:
    found = {finding.name: finding for finding in training_findings(inputs, None, None, 60.0, silent)}
    assert found["suspect_labels"].skipped == "it needs out-of-fold probabilities"


def test_what_would_take_a_tenth_of_the_training_is_left_out(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after_training, "MIN_BUDGET_SECONDS", 0.0)
    found = {finding.name: finding for finding in training_findings(inputs, vectors(inputs), None, 1e-6, silent)}
    assert "a tenth of the training time; see tunesmith diagnose" in found["suspect_labels"].skipped
