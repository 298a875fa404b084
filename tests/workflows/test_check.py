"""What ``check`` says of the output, before ``train`` refuses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import rows
from tunesmith.cli.main import main


@pytest.fixture
def recipe(tiny_model: Path, write_csv: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with the output runs/a, in the current folder."""
    monkeypatch.chdir(tmp_path)
    data: dict[str, Any] = {"train": str(write_csv(rows(200))), "validation": 0.2}
    path = Path("recipe.yaml")
    path.write_text(json.dumps({"data": data, "model": {"name": str(tiny_model)}, "output": "runs/a"}))
    return path


def finish_run(folder: Path, files: list[str]) -> None:
    """Writes the record of a finished run and its files."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "run.json").write_text(json.dumps({"files": [*files, "run.json"]}))


def test_a_new_output_is_one_line(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe), "--static"]) == 0
    assert "ok   output: runs/a, a new run" in capsys.readouterr().out
    assert not Path("runs").exists()


@pytest.mark.parametrize("folder", ["runs/a", "runs/a.partial"])
def test_an_earlier_run_is_a_note(recipe: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    finish_run(Path(folder), ["result.json"])
    assert main(["check", str(recipe), "--static"]) == 0
    out = capsys.readouterr().out
    assert "note output: runs/a. " in out
    assert "--overwrite" in out


@pytest.mark.parametrize("output", ["runs/a", "runs/a/model", "runs/b"])
def test_what_train_never_replaces_is_refused(recipe: Path, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    finish_run(Path("runs/a"), ["result.json", "model/config.json"])
    Path("runs/a/mine.txt").write_text("x")
    Path("runs/b").mkdir()
    Path("runs/b/mine.txt").write_text("x")
    assert main(["check", str(recipe), "--static", f"output={output}"]) == 2
    checked = capsys.readouterr().err
    assert f"{output}: the folder" in checked
    assert main(["train", str(recipe), f"output={output}", "--overwrite"]) == 2
    assert checked.strip() in capsys.readouterr().err
