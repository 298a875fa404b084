"""Evaluated rows that a run was trained on, or chosen by, are named, whatever kind of source and however they were given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.readers.given import read_evaluated
from tunesmith.data.readers.hashes import hash_rows, hash_table
from tunesmith.results import RunResult
from tunesmith.tasks.finished import Run
from tunesmith.tasks.seen_rows import SEEN, seen_notes, seen_rows, with_seen_rows

FRAME = {"text": ["a", "b"], "label": ["x", "y"]}
ONE_FILE = {name: {"sha256": "f", "rows": n} for name, n in (("train", 8), ("validation", 1), ("test", 1))}
FILES = {
    "train": {"sha256": "train", "rows": 8},
    "validation": {"sha256": "val", "rows": 2},
    "test": {"sha256": "test", "rows": 3},
}
ALSO = {"train": {"sha256": "of both", "rows": 8, "files": [{"sha256": "a"}, {"sha256": "b"}]}}


def run(folder: Path, splits: dict[str, Any], inputs: dict[str, str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    RunResult("classification", data={"splits": splits}).save(folder / "result.json")
    (folder / "run.json").write_text(json.dumps({"inputs": inputs or {}, "files": []}))
    return folder


@pytest.mark.parametrize(
    ("splits", "inputs", "sha256", "expected"),
    [
        (ONE_FILE, {}, "f", {"train": 8, "validation": 1}),
        (FILES, {}, "train", {"train": 8}),
        (FILES, {}, "val", {"validation": 2}),
        (FILES, {}, "test", {}),
        (FILES, {}, "other", {}),
        (ALSO, {}, "a", {"train": None}),
        (ALSO, {}, "b", {"train": None}),
        ({"train": {"sha256": "", "rows": 8}}, {"data.train": "a", "data.also[0]": "b"}, "a", {"train": None}),
        ({"train": {"sha256": "", "rows": 8}}, {"data.train": "a", "data.also[0]": "b"}, "b", {"train": None}),
        ({"train": {"sha256": "", "rows": 2}}, {"data.train": hash_table(FRAME)}, hash_table(FRAME), {"train": 2}),
        ({"train": {"sha256": "", "rows": 8}}, {}, "", {}),
    ],
)
def test_splits_are_recognised_by_the_hash_of_their_rows(tmp_path, splits, inputs, sha256, expected) -> None:
    assert seen_rows(Run.load(run(tmp_path / "run", splits, inputs)), sha256) == expected


def test_the_words_say_what_was_done_with_how_many_rows(tmp_path: Path) -> None:
    def words(splits: dict[str, Any], sha256: str) -> str:
        (note,) = seen_notes([run(tmp_path / "run", splits)], sha256, "x.csv")
        return note.removeprefix(str(tmp_path) + "/").removesuffix(
            ": the figures say nothing about new rows. Evaluate on others."
        )

    assert words(ONE_FILE, "f") == "run was trained on 8 rows of x.csv, and its checkpoint was chosen on 1 other row"
    assert words(FILES, "val").replace(f"{tmp_path}/", "") == "the checkpoint of run was chosen on 2 rows of x.csv"
    assert words(ALSO, "b") == "run was trained on rows of x.csv"


def test_every_run_is_named_once_and_other_models_never(tmp_path: Path) -> None:
    first, second = (run(tmp_path / name, FILES) for name in ("a", "b"))
    models = [first, second, str(first), "builtin:minilm", "hub:some/model"]
    assert [note.split(" was ")[0] for note in seen_notes(models, "train", "x.csv")] == [str(first), str(second)]
    (finding,) = with_seen_rows(RunResult("classification"), "train", "x.csv", [first]).findings
    assert (finding.name, finding.flagged) == (SEEN, 8)
    assert "was trained on 8 rows of x.csv" in finding.text
    assert with_seen_rows(RunResult("classification"), "test", "x.csv", [first]).findings == ()


def test_the_split_of_a_folder_is_recognised_as_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, text in (("train", "a"), ("test", "b")):
        (folder / f"{name}.csv").write_text(f"text,label\n{text},x\n")
    assert hash_rows(read_evaluated(folder)) == hash_rows(read_evaluated(folder / "test.csv"))
    assert hash_rows(read_evaluated(FRAME)) == hash_table(FRAME)
