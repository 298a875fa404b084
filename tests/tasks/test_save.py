"""What a run leaves in its folder and in result.json, whatever the task."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tunesmith.evaluation.outputs import Outputs
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.results import Certificate, Finding
from tunesmith.run_folder import RunFolder
from tunesmith.tasks import save as saving
from tunesmith.tasks.task import Baselines, Evaluation, SavedModel, SeedResult, SplitLengths

PASSED = Certificate("the saved model equals the trained one", True, 0.0, 1e-5)


class Model:
    """A model that notes its device."""

    device = "cuda"

    def to(self, device: str) -> None:
        self.device = device


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run", tmp_path / "run.partial")
    folder.work.mkdir()
    return folder


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    recipe = recipe_from_mapping({"task": "classification", "data": {"train": "t.csv"}, "train": {"seed": 4, "n_seeds": 2}})
    data = SimpleNamespace(recipe=recipe, base=tmp_path)
    session = SimpleNamespace(
        data=data, model=Model(), checkpoint_metric="accuracy", new_weights=("head",), expected_loss=0.69, fast_path=fast_path(),
        lengths={"test": SplitLengths(2, 1, {"rows_truncated": 1}), "general": SplitLengths(1, 0, {"rows_truncated": 0})},
    )  # fmt: skip
    outputs = {"general": Outputs(), "validation": Outputs(), "test": Outputs()}
    seeds = tuple(SeedResult(seed, make_fit(seed), session, outputs) for seed in (4, 5))
    return Evaluation(seeds, seeds[1], (), (), (), (), Baselines(), notes=("thresholds were not tuned",))


def fast_path() -> Any:
    from tunesmith.models.fast.path import FastPath

    return FastPath(fast=False)


def make_fit(seed: int) -> Any:
    history = [{"step": 1, "loss": 0.7, "epoch": 0.5}, {"step": 2, "loss": 0.1 * seed, "epoch": 1.0}]
    return SimpleNamespace(
        history=history, schedule=SimpleNamespace(total_steps=3), steps=2, best_step=1, best_value=0.9, learning_rate=1e-3,
        n_parameters=10, n_trainable_parameters=5, rows_per_second=8.0, train_seconds=1.5, notes=("stopped early",),
    )  # fmt: skip


@pytest.fixture
def steps() -> Any:
    """The steps of a task whose general split has no columns, and whose splits have different ones."""
    columns = {"general": {}, "validation": {"row_id": [0], "score": [1]}, "test": {"row_id": [1], "score": [0.5], "text": ["b"]}}

    def save_files(_evaluation: Evaluation, folder: RunFolder) -> None:
        (folder.work / "own.json").write_text("{}")

    return SimpleNamespace(
        as_saved=lambda session: session,
        sample_unit="row", sample_measure="largest difference",
        sample_outputs=lambda _session, _max_rows: np.ones(2),
        save_model=lambda _session, _folder, thresholds: SavedModel((PASSED,), (f"thresholds: {thresholds}",)),
        save_files=save_files,
        prediction_columns=lambda _session, split, _outputs: columns[split],
        data_record=lambda _session: {"splits": {"test": {"rows": 2}}},
        training_record=lambda _evaluation: {"thresholds": None},
    )  # fmt: skip


def test_a_run_leaves_predictions_logs_of_all_seeds_and_certificates(
    steps: Any, evaluation: Evaluation, folder: RunFolder
) -> None:
    saved = saving.save(steps, evaluation, folder)
    assert [certificate.name for certificate in saved.certificates] == [
        "a row alone equals the row in a padded batch",
        PASSED.name,
    ]
    assert saved.notes == ("thresholds: None",)
    assert evaluation.best.session.model.device == "cpu"
    assert (folder.work / "own.json").exists()
    table = pq.read_table(folder.work / "predictions.parquet").to_pylist()
    assert [row.pop("seed") for row in table] == [5, 5]
    assert table == [{"row_id": 0, "score": 1.0, "text": None}, {"row_id": 1, "score": 0.5, "text": "b"}]
    every = pq.read_table(folder.work / "predictions_of_seeds.parquet").to_pylist()
    assert [(row["seed"], row["row_id"]) for row in every] == [(4, 0), (4, 1), (5, 0), (5, 1)]
    events = [json.loads(line) for line in folder.metrics_log.read_text().splitlines()]
    assert [(event["seed"], event["step"]) for event in events] == [(4, 1), (4, 2), (5, 1), (5, 2)]


def test_the_log_of_one_seed_is_left_to_the_training(steps: Any, evaluation: Evaluation, folder: RunFolder) -> None:
    from dataclasses import replace

    saving.save(steps, replace(evaluation, seeds=evaluation.seeds[:1]), folder)
    assert not folder.metrics_log.exists()
    assert not (folder.work / "predictions_of_seeds.parquet").exists()


def test_dependent_rows_have_their_cluster_and_independent_ones_none() -> None:
    columns = {"row_id": [3, 4, 9]}
    assert saving.with_clusters(columns, {"predictions": np.array([7, 7, 2])})["cluster"] == [1, 1, 0]
    assert saving.with_clusters(columns, {"predictions": np.array([1, 2, 3])}) == columns
    assert saving.with_clusters(columns, {"row_scores": np.array([1, 1])}) == columns


def test_the_record_of_the_training_is_that_of_the_best_seed(steps: Any, evaluation: Evaluation) -> None:
    record = saving.training_record(steps, evaluation, ("merged",))
    assert (record["seed"], record["seeds"]) == (5, [4, 5])
    assert (record["first_loss"], record["last_loss"]) == (0.7, 0.5)
    assert (record["steps"], record["planned_steps"], record["epochs"]) == (2, 3, 1.0)
    assert record["best_metric"] == {"name": "accuracy", "value": 0.9}
    assert record["notes"] == ["stopped early", "thresholds were not tuned", "merged"]
    assert record["thresholds"] is None


def test_the_result_has_the_lengths_of_recorded_splits_and_an_alarm_for_what_failed(steps: Any, evaluation: Evaluation) -> None:
    failed = Certificate("the saved model equals the trained one", False, 0.5, 1e-5)
    finding = Finding("wrong_labels", "none")
    result = saving.run_result(steps, evaluation, (finding,), SavedModel((failed,)), {"total": 2.0})
    assert result.data["splits"] == {"test": {"rows": 2, "rows_truncated": 1}}
    assert result.data["base"] == str(evaluation.best.session.data.base)
    assert [alarm.name for alarm in result.alarms] == ["certificate failed"]
    assert (result.findings, result.timings_seconds, result.task) == ((finding,), {"total": 2.0}, "classification")
    assert result.recipe["train"]["n_seeds"] == 2
