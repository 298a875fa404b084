"""Linear and fine-tuned models combined: the mean, the same folds, and the share of wrong labels it gives back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import rows
from tunesmith.cli.main import main
from tunesmith.data.labelled.load import load_labelled_data
from tunesmith.diagnosis import fold_finetuning
from tunesmith.diagnosis.checks.input_variants import NULL
from tunesmith.diagnosis.checks.label_noise import label_noise
from tunesmith.diagnosis.cross_validation import average_pred_probs, read_epoch_logits
from tunesmith.diagnosis.out_of_fold import OutOfFold
from tunesmith.diagnosis.rows import diagnose, recipe_of_run, without_split_shares
from tunesmith.errors import DataError, ModelError
from tunesmith.recipe.load import load_recipe
from tunesmith.run_folder import EPOCH_LOGITS
from tunesmith.workflows.train import train

RATE = 0.1


def two_classes(of_one: np.ndarray, folds: list[int] | None = None) -> OutOfFold:
    """Probabilities of two classes from those of the second (N)."""
    place = np.array(folds if folds is not None else [0] * len(of_one))
    return OutOfFold(np.column_stack([1 - of_one, of_one]), place, np.zeros(len(of_one), dtype=bool))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def test_the_two_are_averaged_row_by_row() -> None:
    both = average_pred_probs(two_classes(np.array([0.2, 0.6])), two_classes(np.array([0.4, 1.0])))
    assert both.pred_probs[:, 1].tolist() == pytest.approx([0.3, 0.8])


def test_models_of_other_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="different folds"):
        average_pred_probs(two_classes(np.array([0.2, 0.6]), [0, 1]), two_classes(np.array([0.4, 1.0]), [1, 0]))


def test_the_share_of_wrong_labels_is_not_lost_to_a_model_that_learnt_them() -> None:
    """A fine-tuned model predicts the noisy labels; the mean with an unsure model still shows the noise."""
    draw = np.random.default_rng(0)
    truth = draw.normal(0, 3, 6_000)
    label = draw.random(6_000) < sigmoid(truth)
    given = np.where(draw.random(6_000) < RATE, ~label, label).astype(int)
    learnt_noise = two_classes((1 - RATE) * sigmoid(truth) + RATE * (1 - sigmoid(truth)))
    unsure = two_classes(sigmoid(0.5 * (truth + draw.normal(0, 1, 6_000))))
    alone = label_noise(learnt_noise.pred_probs, given)
    both = label_noise(average_pred_probs(unsure, learnt_noise).pred_probs, given)
    assert alone.rate < RATE / 2
    assert abs(both.rate - RATE) < RATE / 3


@pytest.mark.trains
def test_fine_tuned_models_predict_every_row_and_record_their_training(tmp_path: Path, tiny_model: Path, monkeypatch) -> None:
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


@pytest.mark.trains
def test_the_null_model_of_fine_tuned_models_is_fine_tuned_too_in_the_same_folds(
    tmp_path: Path, tiny_model: Path, monkeypatch
) -> None:
    """Its figures are near those of the class frequencies, whose loss no model without the text can be below."""
    monkeypatch.chdir(tmp_path)
    trained: list[tuple[set[str], list[int]]] = []
    original = fold_finetuning.fine_tuned

    def recorded(inputs, folds, *options):
        trained.append((set(inputs.splits.train.texts), folds.tolist()))
        return original(inputs, folds, *options)

    monkeypatch.setattr(fold_finetuning, "fine_tuned", recorded)
    lines = [json.dumps(row) for row in rows(60, seed=4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = ["train.num_train_epochs=3", "diagnose.method=finetune", "diagnose.n_folds=2", f"model.name={tiny_model}"]
    assert main(["diagnose", "rows.jsonl", "diagnose.null_model=trained", *settings]) == 0
    (whole, folds), (blank, null_folds) = trained
    assert len(whole) > 50
    assert (blank, null_folds) == ({NULL}, folds)
    record = json.loads((tmp_path / "runs/rows-diagnosis/diagnosis.json").read_text(encoding="utf-8"))
    (finding,) = [finding for finding in record["findings"] if finding["name"] == "pvi"]
    entropy = float(finding["summary"].split(" of ")[1].split()[0])
    assert 0.95 < entropy < 1.1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A finished run of a recipe in a folder of its own, on a file beside it."""
    place = tmp_path_factory.mktemp("trained")
    with (place / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows(120))
    settings: dict[str, Any] = {
        "model": {"name": str(tiny_model)}, "data": {"train": "rows.csv", "validation": 0.25}, "output": str(place / "run"),
        "train": {"num_train_epochs": 2, "learning_rate": 5e-3}, "evaluate": {"n_resamples": 200}, "diagnose": {"n_folds": 3},
    }  # fmt: skip
    (place / "recipe.yaml").write_text(json.dumps(settings), encoding="utf-8")
    done = train(load_recipe(place / "recipe.yaml"))
    assert done is not None
    return done.folder


def test_the_logits_lie_with_the_rows_they_are_of(run: Path) -> None:
    loaded = recipe_of_run(run)
    split = load_labelled_data(loaded.recipe, loaded.base)
    whole = load_labelled_data(without_split_shares(loaded.recipe), loaded.base)
    logits, mode = read_epoch_logits(run, whole.train, whole.labels)
    assert mode == "train"
    assert logits is not None
    assert logits.shape == (2, 120, 2)
    logged = np.flatnonzero(np.isfinite(logits[0, :, 0])).tolist()
    assert logged == sorted(split.train.row_ids)
    with np.load(run / EPOCH_LOGITS) as kept:
        third = kept["row_ids"].tolist().index(logged[3])
        assert np.array_equal(logits[:, logged[3]], kept["logits"][:, third].astype(np.float32))


def test_a_run_is_diagnosed_with_its_own_training(run: Path) -> None:
    found = diagnose(recipe_of_run(run), run=run, overwrite=True)
    by_name = {finding.name: finding for finding in found.findings}
    assert found.folder == run.with_name("run-diagnosis")
    assert found.n_rows == 120
    assert "2 epochs (probabilities of the train passes)" in by_name["cartography"].summary
    assert not by_name["aum"].skipped
    assert "of 90 rows have a negative mean margin" in by_name["aum"].summary


def test_the_report_of_the_run_tells_what_was_found_in_its_rows(run: Path) -> None:
    names = [finding["name"] for finding in json.loads((run / "result.json").read_text(encoding="utf-8"))["findings"]]
    assert names[0] == "suspect_labels"
    assert len(names) == len(set(names))


def test_a_run_on_a_sample_of_the_rows_is_diagnosed_on_the_rows_of_that_sample(run: Path) -> None:
    loaded = load_recipe(run.parent / "recipe.yaml", ["data.max_rows=60", f"output={run.parent / 'sampled'}"])
    done = train(loaded)
    assert done is not None
    found = diagnose(recipe_of_run(done.folder), run=done.folder)
    with np.load(done.folder / EPOCH_LOGITS) as kept:
        assert len(kept["row_ids"]) == found.n_rows == 60
    by_name = {finding.name: finding for finding in found.findings}
    assert "of 60 rows have a negative mean margin" in by_name["aum"].summary


def test_another_file_is_refused(run: Path, tmp_path: Path) -> None:
    loaded = recipe_of_run(run)
    whole = load_labelled_data(without_split_shares(loaded.recipe), loaded.base)
    changed = tmp_path / "rows.csv"
    changed.write_text((loaded.base / whole.train.source).read_text(encoding="utf-8") + "good day,pos\n", encoding="utf-8")
    recipe = loaded.recipe.model_copy(update={"data": loaded.recipe.data.model_copy(update={"train": str(changed)})})
    other = load_labelled_data(without_split_shares(recipe), tmp_path)
    with pytest.raises(DataError, match="is not the one that the run"):
        read_epoch_logits(run, other.train, other.labels)


def test_a_folder_without_a_finished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="this is no finished run"):
        recipe_of_run(tmp_path)


def test_a_table_in_memory_cannot_be_read_again(tmp_path: Path, tiny_model: Path) -> None:
    import tunesmith

    done = tunesmith.train(
        rows(60), output=tmp_path / "memory", model=str(tiny_model), train={"max_steps": 2}, evaluate={"baselines": ["majority"]}
    )
    with pytest.raises(DataError, match="trained on a table in memory"):
        recipe_of_run(done.folder)
