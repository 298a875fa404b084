"""The folder of several runs: what is removed when it starts over, and what never is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.disk import take_lock
from tunesmith.errors import OutputError
from tunesmith.workflows.several_runs import Origin, Workflow, require_same_origin, start_over, write_origin

FLIPS = Workflow("the experiment was", "*/run.json", ("output",), "Start over.", ("flip.json", "data/train-*.jsonl"))
ORIGIN = Origin({"train.seed": 1}, {})


def write(path: Path, text: str = "{}") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an experiment with a finished run and an unfinished one."""
    path = tmp_path / "flips"
    write_origin(path, ORIGIN)
    write(path / "random-0" / "run.json", json.dumps({"inputs": {}, "files": ["run.json", "result.json"]}))
    write(path / "random-0" / "result.json")
    write(path / "random-10.partial" / "run.json", json.dumps({"inputs": {}}))
    for name in ("flip.json", "data/train-random-0.jsonl", "test_looks.jsonl"):
        write(path / name)
    return path


def names(path: Path) -> list[str]:
    return sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())


def test_starting_over_removes_runs_and_keeps_the_looks_at_the_test_set(folder: Path) -> None:
    start_over(folder, FLIPS)
    assert names(folder) == ["data/started.json", "test_looks.jsonl"]
    assert not (folder / "random-10.partial").exists()
    start_over(folder, FLIPS)
    start_over(folder / "none", FLIPS)


@pytest.mark.parametrize("other", ["notes.txt", "data/mine.csv", "random-0/mine.txt", "plots/a.png", "flip.json.bak"])
def test_other_files_are_never_removed(folder: Path, other: str) -> None:
    write(folder / other, "mine")
    before = names(folder)
    with pytest.raises(OutputError, match=Path(other).name):
        start_over(folder, FLIPS)
    assert names(folder) == before


def test_a_run_that_another_process_writes_is_not_removed(folder: Path) -> None:
    before = names(folder)
    with take_lock(folder / "random-10.partial" / "writer.lock"), pytest.raises(OutputError, match="another output"):
        start_over(folder, FLIPS)
    assert {*before} <= {*names(folder)}


def test_a_folder_of_something_else_is_neither_used_nor_removed(tmp_path: Path) -> None:
    write(tmp_path / "run" / "run.json")
    for path, message in ((tmp_path / "run", "another run"), (tmp_path, "other files")):
        with pytest.raises(OutputError, match=f"holds {message}"):
            require_same_origin(path, FLIPS, ORIGIN)
        with pytest.raises(OutputError, match="holds other files"):
            start_over(path, FLIPS)
    assert names(tmp_path) == ["run/run.json"]
