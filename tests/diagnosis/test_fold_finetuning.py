"""Fine-tuning once for each fold: which model predicts which rows, and whose logits are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.conftest import rows
from tests.fits import read_rows
from tunesmith.cli.main import main
from tunesmith.diagnosis.fold_finetuning import fine_tuned, without_evaluations
from tunesmith.models import many_processes
from tunesmith.tasks.classification.data import LabelledTaskData


@pytest.fixture
def inputs(tmp_path: Path, tiny_model: Path) -> LabelledTaskData:
    """90 learnable rows, five of them labelled wrongly: the first five."""
    table = rows(90, seed=4)
    for row in table[:5]:
        row["label"] = {"pos": "neg", "neg": "pos"}[row["label"]]
    mapping = {
        "data": {"train": "DataFrame", "validation": "other"}, "model": {"name": str(tiny_model)},
        "train": {"num_train_epochs": 8, "learning_rate": 5e-3, "per_device_train_batch_size": 8},
    }  # fmt: skip
    data = read_rows(mapping, {"train": table, "validation": rows(10)}, tmp_path)
    assert isinstance(data, LabelledTaskData)
    return data


def test_rows_are_predicted_by_models_that_did_not_train_on_them(inputs: LabelledTaskData) -> None:
    train = inputs.splits.train
    done: list[int] = []
    cross_validated, logits = fine_tuned(inputs, np.arange(90) % 3, done.append)
    given = np.array(train.labels)
    assert done == [1, 2, 3]
    assert np.allclose(cross_validated.pred_probs.sum(axis=1), 1)
    assert (cross_validated.pred_probs.argmax(axis=1) == given)[5:].mean() > 0.75
    assert (cross_validated.pred_probs.argmax(axis=1) == given)[:5].mean() <= 0.4
    assert logits is not None
    assert logits.shape == (8, 90, 2)
    assert (logits[-1].argmax(axis=1) == given)[5:].mean() > 0.95


def test_a_fold_is_fitted_without_selection_on_its_rows(inputs: LabelledTaskData) -> None:
    train = without_evaluations(
        inputs.recipe.model_copy(update={"train": inputs.recipe.train.model_copy(update={"report_to": "tensorboard"})})
    ).train
    assert (train.n_evaluations, train.early_stopping, train.report_to) == (1, None, "none")
    assert train.num_train_epochs == 8


@pytest.mark.slow
def test_folds_trained_by_two_processes_give_the_diagnosis_of_one(tmp_path: Path, tiny_model: Path, monkeypatch) -> None:
    """The embeddings, the probabilities and the logits of the epochs: all that is in rows.parquet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(many_processes, "threads_per_process", lambda processes: torch.get_num_threads())
    monkeypatch.setattr(many_processes, "cores", lambda: 2)
    table = rows(60, seed=4)
    lines = ["text,label", *(f"{row['text']},{row['label']}" for row in table)]
    Path("rows.csv").write_text("\n".join(lines), encoding="utf-8")
    words = [
        "diagnose", "rows.csv", f"model.name={tiny_model}", "diagnose.method=finetune", "diagnose.n_folds=3",
        "train.num_train_epochs=2", "train.per_device_train_batch_size=8",
    ]  # fmt: skip
    for name, options in (("one", []), ("two", ["--processes", "2"])):
        assert main([*words, f"output={name}", *options]) == 0
    one, two = (pq.read_table(f"{name}-diagnosis/rows.parquet").to_pylist() for name in ("one", "two"))
    assert one == two
    records = [json.loads(Path(f"{name}-diagnosis/diagnosis.json").read_text(encoding="utf-8")) for name in ("one", "two")]
    assert records[0]["findings"] == records[1]["findings"]
