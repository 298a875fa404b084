"""What a classifier's rows add to the disk that a run needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tunesmith
from tests.conftest import rows
from tests.fits import read_rows


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_the_bytes_of_logits_and_probabilities_are_known_before_the_run(tmp_path: Path, tiny_model: Path, n_seeds: int) -> None:
    settings = {
        "model": {"name": str(tiny_model)}, "data": {"train": "DataFrame", "validation": 0.25, "test": None},
        "train": {"num_train_epochs": 2, "n_seeds": n_seeds},
    }  # fmt: skip
    data = read_rows({"task": "classification", **settings}, {"train": rows(80)}, tmp_path)
    of_predictions = 8 * 20 * 2 * (1 if n_seeds == 1 else 3)
    assert data.logged_bytes == 2 * 2 * 60 * 2 * (n_seeds + 2) + of_predictions
    run = tunesmith.train(
        rows(80), validation=0.25, test=None, model=tiny_model, output=tmp_path / "run", train=settings["train"],
        evaluate={"baselines": ["majority"], "n_resamples": 100},
    )  # fmt: skip
    logits = np.load(run.folder / "epoch_logits.npz")["logits"]
    assert logits.nbytes == 2 * 2 * 60 * 2
