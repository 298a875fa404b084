"""The disk that a run needs is estimated from all that it writes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tunesmith.models.source import ModelSource
from tunesmith.preflight import static
from tunesmith.preflight.static import disk, disk_parts
from tunesmith.recipe.load import recipe_from_mapping

FIXED = 2.5
"""Report and logs, in MB."""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSource:
    """A model of 100 MB."""
    monkeypatch.chdir(tmp_path)
    Path("m").mkdir()
    Path("m/config.json").write_text("{}")
    return ModelSource("m", "m", "folder", n_bytes=100_000_000)


def needed(source: ModelSource, **sections: Any) -> float:
    recipe = recipe_from_mapping({"data": {"train": "train.csv"}, **sections})
    (megabytes,) = re.findall(r"about ([\d.,]+) MB needed", disk(recipe, source, Path()).figure)
    return float(megabytes.replace(",", ""))


def test_checkpoints_and_models_are_counted(source: ModelSource) -> None:
    assert needed(source) == pytest.approx(FIXED + 900, abs=1)  # the best, 2 x 3 in checkpoints, 2 for the saved model
    assert needed(source, train={"n_seeds": 3}) == pytest.approx(FIXED + 1_700, abs=1)
    assert needed(source, adapter={"method": "lora"}) == pytest.approx(FIXED + 180, abs=1)


def test_weights_of_16_bits_are_written_in_32(source: ModelSource) -> None:
    Path("m/config.json").write_text(json.dumps({"dtype": "bfloat16"}))
    assert needed(source) == pytest.approx(FIXED + 1_800, abs=1)


def test_the_rows_and_the_files_of_the_tokenizer_are_counted(source: ModelSource) -> None:
    before = needed(source)
    Path("train.csv").write_bytes(bytes(10_000_000))
    Path("m/tokenizer.json").write_bytes(bytes(5_000_000))
    assert needed(source) == pytest.approx(before + 10 + 3 * 5, abs=1)


def test_what_a_task_logs_for_its_rows_is_counted(source: ModelSource) -> None:
    recipe = recipe_from_mapping({"data": {"train": "train.csv"}})
    assert (
        sum(disk_parts(recipe, source, Path(), 50_000_000).values()) == sum(disk_parts(recipe, source, Path(), 0).values()) + 5e7
    )


def test_an_unfinished_run_counts_as_free(source: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "free_bytes", lambda _: 5_000_000)
    recipe = recipe_from_mapping({"data": {"train": "train.csv"}, "output": "runs/out"})
    problem = disk(recipe, source, Path()).problem
    assert problem is not None
    assert "the run needs about 903 MB of disk (checkpoints 700 MB, model 200 MB," in problem.message
    Path("runs/out.partial").mkdir(parents=True)
    Path("runs/out.partial/x").touch()
    os.truncate("runs/out.partial/x", 903_000_000)
    assert disk(recipe, source, Path()).problem is None
