"""A resumed run goes on with the files that it was started with, or is refused with what changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tunesmith
from tunesmith.cli.main import main
from tunesmith.recipe.load import load_recipe
from tunesmith.run_folder import claim, fill
from tunesmith.workflows.inputs import input_hashes

CHANGED = "its content has changed since the run was started"


@pytest.fixture
def recipe(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The recipe of an unfinished run that names a file under many keys."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, "base")
    for name in ("train", "validation", "test", "more"):
        Path(f"{name}.csv").write_text("text,label\n" + "".join(f"the film {name} {i},{i % 2}\n" for i in range(20)))
    Path("score.py").write_text("def score(answer, reference, row):\n    return 1.0\n")
    Path("template.jinja").write_text("{{ messages }}")
    data = {"train": "train.csv", "validation": "validation.csv", "test": "test.csv"}
    return {"data": data, "model": {"name": "base"}, "output": "runs/out"}


def start(recipe: dict[str, Any]) -> None:
    """Writes the recipe and leaves a run of it unfinished."""
    Path("recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(Path("recipe.yaml"))
    with fill(claim(loaded.recipe.output), "", "", inputs=input_hashes(loaded)):
        pass


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    before = sorted(Path("runs").rglob("*"))
    assert main(["train", "recipe.yaml", "--resume"]) == 2
    assert sorted(Path("runs").rglob("*")) == before
    return capsys.readouterr().err


SFT = {
    "task": "sft",
    "sft": {"chat_template": "template.jinja"},
    "evaluate": {"general": "more.csv", "answers": {"function": "score.py:score"}},
}
REWARD = {"task": "reward", "reward": {"shifted": "more.csv", "chat_template": "template.jinja"}}
EMBEDDING = {"task": "embedding", "data": {"train": "train.csv", "validation": "validation.csv", "also": ["more.csv"]}}


@pytest.mark.parametrize(
    ("changes", "file", "key"),
    [
        ({}, "train.csv", "data.train"),
        ({}, "validation.csv", "data.validation"),
        ({}, "test.csv", "data.test"),
        ({}, "base/model.safetensors", "model.name"),
        ({}, "base/config.json", "model.name"),
        ({}, "base/tokenizer.json", "model.name"),
        (SFT, "score.py", "evaluate.answers.function"),
        (SFT, "template.jinja", "sft.chat_template"),
        (SFT, "more.csv", "evaluate.general"),
        (EMBEDDING, "more.csv", "data.also[0]"),
        (REWARD, "more.csv", "reward.shifted"),
        (REWARD, "template.jinja", "reward.chat_template"),
    ],
)
def test_a_changed_file_is_named(
    recipe: dict[str, Any], changes: dict[str, Any], file: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start({**recipe, **changes})
    Path(file).write_bytes(Path(file).read_bytes() + b"\n")
    assert f"{key}: {CHANGED} (sha256 " in refused(capsys)


def test_swapped_labels_are_refused(recipe: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    start(recipe)
    text = Path("train.csv").read_text()
    Path("train.csv").write_text(text.replace(",0", ",x").replace(",1", ",0").replace(",x", ",1"))
    message = refused(capsys)
    assert f"data.train: {CHANGED}" in message
    assert "Put the earlier file back, or start over with --overwrite." in message


def test_every_changed_file_is_listed_and_a_lost_one_too(recipe: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    start(recipe)
    Path("train.csv").write_text("text,label\n")
    Path("test.csv").unlink()
    message = refused(capsys)
    assert "2 problems" in message
    assert "now unknown)" in message


def test_the_same_files_in_another_minute_are_the_same(recipe: dict[str, Any]) -> None:
    Path("recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(Path("recipe.yaml"))
    before = input_hashes(loaded)
    for path in (Path("train.csv"), Path("base/config.json")):
        path.write_bytes(path.read_bytes())
    Path("base/runs").mkdir()
    Path("base/runs/result.json").write_text("{}")
    assert input_hashes(loaded) == before
    assert before.keys() == {"data.train", "data.validation", "data.test", "model.name"}


def test_a_changed_table_in_memory_is_refused(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.workflows import inputs

    rows = pd.DataFrame({"text": ["a film", "a book"] * 20, "label": ["x", "y"] * 20})
    assert inputs.hash_table(rows) == inputs.hash_table(rows.copy())
    assert inputs.hash_table(rows) != inputs.hash_table(rows.assign(label=["y", "x"] * 20))
    with fill(claim(tmp_path / "out"), "", "", inputs={"data.train": inputs.hash_table(rows)}):
        pass
    changed = rows.assign(label=["y", "x"] * 20)
    with pytest.raises(tunesmith.InputError, match=rf"data\.train: {CHANGED}"):
        tunesmith.train(changed, model=str(tiny_model), output=tmp_path / "out", resume=True)
