"""A run's rows found again: the run's own recipe, its logits on the rows of the whole file, what does not fit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import rows
from tunesmith.data.labelled.load import load_labelled_data
from tunesmith.diagnosis.rows import diagnose, without_split_shares
from tunesmith.diagnosis.training_logits import read_epoch_logits, recipe_of_run
from tunesmith.errors import DataError, ModelError
from tunesmith.recipe.load import load_recipe
from tunesmith.run_folder import EPOCH_LOGITS
from tunesmith.workflows.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A finished run of a recipe in a folder of its own, on a file beside it."""
    place = tmp_path_factory.mktemp("followed")
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
    followed = np.flatnonzero(np.isfinite(logits[0, :, 0])).tolist()
    assert followed == sorted(split.train.row_ids)
    with np.load(run / EPOCH_LOGITS) as kept:
        third = kept["row_ids"].tolist().index(followed[3])
        assert np.array_equal(logits[:, followed[3]], kept["logits"][:, third].astype(np.float32))


def test_a_run_is_diagnosed_with_its_own_training(run: Path) -> None:
    found = diagnose(recipe_of_run(run), run=run, overwrite=True)
    by_name = {finding.name: finding for finding in found.findings}
    assert found.folder == run.with_name("run-diagnosis")
    assert found.n_rows == 120
    assert "2 epochs (probabilities of the train passes)" in by_name["cartography"].summary
    assert not by_name["aum"].skipped
    assert "of 90 rows were led by another class" in by_name["aum"].summary


def test_the_report_of_the_run_tells_what_was_found_in_its_rows(run: Path) -> None:
    names = [finding["name"] for finding in json.loads((run / "result.json").read_text(encoding="utf-8"))["findings"]]
    assert names[0] == "suspect_labels"
    assert len(names) == len(set(names))


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
