"""Linear and fine-tuned models as one judge: the mean, the same folds, and the share of wrong labels it gives back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import rows
from tunesmith.cli.main import main
from tunesmith.diagnosis.checks.label_noise import label_noise
from tunesmith.diagnosis.cross_validation import average_pred_probs
from tunesmith.diagnosis.out_of_fold import OutOfFold

RATE = 0.1


def said(of_one: np.ndarray, folds: list[int] | None = None) -> OutOfFold:
    """Probabilities of two classes from those of the second (N)."""
    place = np.array(folds if folds is not None else [0] * len(of_one))
    return OutOfFold(np.column_stack([1 - of_one, of_one]), place, np.zeros(len(of_one), dtype=bool))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def test_the_two_are_averaged_row_by_row() -> None:
    both = average_pred_probs(said(np.array([0.2, 0.6])), said(np.array([0.4, 1.0])))
    assert both.pred_probs[:, 1].tolist() == pytest.approx([0.3, 0.8])


def test_models_of_other_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="different folds"):
        average_pred_probs(said(np.array([0.2, 0.6]), [0, 1]), said(np.array([0.4, 1.0]), [1, 0]))


def test_the_share_of_wrong_labels_is_not_lost_to_a_model_that_learnt_them() -> None:
    """A fine-tuned model says what the noisy labels are like; an unsure one beside it says more than enough of the texts."""
    draw = np.random.default_rng(0)
    truth = draw.normal(0, 3, 6_000)
    label = draw.random(6_000) < sigmoid(truth)
    given = np.where(draw.random(6_000) < RATE, ~label, label).astype(int)
    learnt_noise = said((1 - RATE) * sigmoid(truth) + RATE * (1 - sigmoid(truth)))
    unsure = said(sigmoid(0.5 * (truth + draw.normal(0, 1, 6_000))))
    alone = label_noise(learnt_noise.pred_probs, given)
    both = label_noise(average_pred_probs(unsure, learnt_noise).pred_probs, given)
    assert alone.rate < RATE / 2
    assert abs(both.rate - RATE) < RATE / 3


@pytest.mark.trains
def test_fine_tuned_models_judge_every_row_and_leave_the_course_of_their_training(
    tmp_path: Path, tiny_model: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps(row) for row in rows(60, seed=4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = {
        "data": {"train": "rows.jsonl"}, "model": {"name": str(tiny_model)}, "output": "tuned",
        "train": {"num_train_epochs": 3, "learning_rate": 5e-3, "per_device_train_batch_size": 8},
        "diagnose": {"method": "finetune", "n_folds": 2},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert main(["diagnose", "recipe.yaml"]) == 0
    found = json.loads((tmp_path / "tuned-diagnosis" / "diagnosis.json").read_text(encoding="utf-8"))
    skipped = {finding["name"]: finding["skipped"] for finding in found["findings"]}
    assert found["method"] == "finetune"
    assert not skipped["aum"]
    assert not skipped["suspect_labels"]
    table = pq.read_table(tmp_path / "tuned-diagnosis" / "rows.parquet").to_pylist()
    assert len(table) == 60
    assert all(0 <= row["score"] <= 1 for row in table)
