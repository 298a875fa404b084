"""A language model trained in two processes is the one trained in one, whatever the rows' lengths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.language_models import questions, texts, write_model
from tunesmith.cli.main import main

N_ROWS = 64


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Answers of one to five words: a mean over processes of means over their tokens would be another number."""
    write_model(tmp_path / "llama")
    rows = questions(N_ROWS)
    for i, row in enumerate(rows):
        row["completion"] += " and Ben" * (i % 3)
    for name, found in (("train", rows), ("validation", questions(12, 5)), ("general", texts(8, 7))):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    given = {
        "task": "sft", "model": {"name": "llama"}, "data": {"train": "train.jsonl", "validation": "validation.jsonl"},
        "evaluate": {"general": "general.jsonl", "n_resamples": 200, "answers": {"rows": 2, "max_new_tokens": 2}},
        # Not the fast path, whose bf16 rounds logits of fewer positions differently, and no Adam, which makes much of rounding.
        "train": {
            "per_device_train_batch_size": 4, "num_train_epochs": 2, "n_logs": 16, "learning_rate": 0.3, "dropout": 0.0,
            "optim": "sgd", "fast": False,
        },
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(given))
    return path


def losses_and_weights(run: Path) -> tuple[list[float], dict[str, np.ndarray]]:
    """The logged losses of a run, and the weights of its model."""
    events = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [event["loss"] for event in events if event["event"] == "train"], load_file(run / "model" / "model.safetensors")


@pytest.mark.slow
def test_two_processes_equal_one(recipe: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tunesmith.cli.main", "train", "recipe.yaml", "output=two", "--processes", "2", "--json"]
    done = subprocess.run(command, cwd=recipe.parent, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert main(["train", str(recipe), f"output={recipe.parent / 'one'}", "train.gradient_accumulation_steps=2"]) == 0
    (one_losses, one), (two_losses, two) = (losses_and_weights(recipe.parent / name) for name in ("one", "two"))
    assert len(one_losses) == len(two_losses) == 16
    np.testing.assert_allclose(two_losses, one_losses, rtol=1e-5)
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, atol=1e-5, err_msg=name)
