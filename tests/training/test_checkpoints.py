"""Checkpoints are complete or ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.errors import TrainingFailed
from tunesmith.training.checkpoints import (
    BEST,
    best_weights,
    damage,
    keep_evaluation,
    keep_only,
    kept_evaluations,
    list_checkpoints,
    newest_whole,
    replace_weights,
    seal,
)


def make(folder: Path, step: int, text: str = "weights") -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_text(text * step)
    (path / "trainer_state.json").write_text("{}")
    seal(path, step)
    return path


def test_newest_whole_wins(tmp_path: Path) -> None:
    make(tmp_path, 9)
    make(tmp_path, 10)
    found, refused = newest_whole(tmp_path)
    assert found is not None
    assert (found.step, refused) == (10, [])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: (p / "manifest.json").unlink(), "it was not finished (no manifest)"),
        (lambda p: (p / "manifest.json").write_text("{"), "its manifest cannot be read"),
        (lambda p: (p / "manifest.json").write_text('{"step": 10, "files": {"a": 1}}'), "its manifest cannot be read"),
        (lambda p: (p / "manifest.json").write_text('{"step": 10, "files": []}'), "its manifest cannot be read"),
        (lambda p: (p / "trainer_state.json").unlink(), "trainer_state.json is missing"),
        (lambda p: (p / "model.safetensors").write_text("short"), "model.safetensors has 5 bytes, its manifest has 70"),
        (lambda p: (p / "model.safetensors").write_text("weightz" * 10), "model.safetensors was changed (sha256 differs)"),
    ],
)
def test_damaged_is_ignored_with_reason(tmp_path: Path, harm, message: str) -> None:
    make(tmp_path, 9)
    newer = make(tmp_path, 10)
    assert damage(newer) == ""
    harm(newer)
    found, refused = newest_whole(tmp_path)
    assert found is not None
    assert found.step == 9
    assert refused == [f"checkpoint-10 is ignored: {message}"]


def test_keep_only_deletes_the_rest(tmp_path: Path) -> None:
    for step in (3, 20, 100):
        make(tmp_path, step)
    keep_only(tmp_path, {20})
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [20]


def test_best_is_replaced_whole(tmp_path: Path) -> None:
    def save(text: str):
        return lambda folder: (folder.mkdir(), (folder / "w").write_text(text))

    replace_weights(tmp_path, BEST, 3, save("old"))
    replace_weights(tmp_path, BEST, 7, save("new"))
    assert (best_weights(tmp_path, 7) / "w").read_text() == "new"
    with pytest.raises(TrainingFailed, match="of step 7, the best evaluation was at step 3"):
        best_weights(tmp_path, 3)


@pytest.mark.parametrize("limit", [None, 1, 2, 3, 4, 5, 9])
def test_the_best_evaluation_and_the_newest_are_kept(tmp_path: Path, limit: int | None) -> None:
    best_after = {1: 1, 2: 1, 3: 3, 4: 3, 5: 3}  # evaluation -> the best one so far
    for step, best in best_after.items():
        keep_evaluation(tmp_path, step, best, limit, lambda folder: folder.mkdir())
        kept = [each.step for each in kept_evaluations(tmp_path)]
        assert best in kept
        newest = [other for other in range(1, step + 1) if other != best][-(limit - 1) if limit and limit > 1 else None :]
        assert kept == (sorted({best, *newest}) if limit != 1 else [best])
