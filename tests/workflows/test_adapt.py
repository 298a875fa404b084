"""A task with and without learning plain texts first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.errors import InputError
from tunesmith.recipe.load import load_recipe
from tunesmith.workflows.adapt import adapt
from tunesmith.workflows.compare import compare

TRAIN = {"per_device_train_batch_size": 16, "learning_rate": 3e-3, "n_evaluations": 1, "n_logs": 2}


@pytest.fixture
def recipes(tmp_path: Path, tiny_model: Path, sentences, write_csv, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Recipes that learn texts and labels, on one tiny model."""
    monkeypatch.chdir(tmp_path)
    write_csv(sentences, "train.csv")
    write_csv(2 * sentences[:30], "test.csv")
    texts = "\n".join(json.dumps({"text": row["text"]}) for row in sentences)
    (tmp_path / "texts.jsonl").write_text(texts, encoding="utf-8")
    shared = {"model": {"name": str(tiny_model)}, "train": {**TRAIN, "num_train_epochs": 1}}
    general = {"general": "texts.jsonl", "n_resamples": 200}
    mappings = {
        "texts": {"task": "pretraining", "data": {"train": "texts.jsonl"}, **shared, "evaluate": general, "output": "runs/texts"},
        "task": {"data": {"train": "train.csv", "test": "test.csv"}, **shared, "evaluate": {"n_resamples": 200, "baselines": []},
                 "output": "runs/task"},
    }  # fmt: skip
    paths = {}
    for name, mapping in mappings.items():
        paths[name] = tmp_path / f"{name}.yaml"
        paths[name].write_text(json.dumps(mapping), encoding="utf-8")
    return paths


def test_both_ways_are_trained_and_compared(recipes: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapt", str(recipes["texts"]), str(recipes["task"]), "train.n_seeds=2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [Path(run).name for run in result["without"]] == ["without-0", "without-1"]
    assert [Path(run).name for run in result["with"]] == ["with-0", "with-1"]
    (verdict,) = result["verdicts"]
    assert (verdict["against"], verdict["metric"], verdict["split"], verdict["n"]) == (
        "without adaptation",
        "macro_f1",
        "test",
        60,
    )
    (compared,) = compare([result["with"][0], result["without"][0]])
    assert verdict["n_clusters"] == compared.n_clusters == 30  # each row is there twice
    started = json.loads((Path(result["with"][0]) / "result.json").read_text())["recipe"]["model"]["name"]
    assert started == result["adapted"]


def test_a_function_that_leads_the_recipe_compares_both_ways(recipes: dict[str, Path], capsys) -> None:
    Path("gain.py").write_text("def gain(labels, predictions):\n    return float((labels == predictions).mean()) * 2 - 1\n")
    words = ["evaluate.function=gain.py:gain", "evaluate.metric=gain", "--json"]
    assert main(["adapt", str(recipes["texts"]), str(recipes["task"]), *words]) == 0
    result = json.loads(capsys.readouterr().out)
    (verdict,) = result["verdicts"]
    assert (verdict["against"], verdict["metric"], verdict["n"], verdict["n_clusters"]) == ("without adaptation", "gain", 60, 30)
    (compared,) = compare([result["with"][0], result["without"][0]], metric="gain")
    assert verdict["difference"] == pytest.approx(compared.difference)


def test_recipes_that_do_not_fit_together(recipes: dict[str, Path], tmp_path: Path) -> None:
    texts, task = load_recipe(recipes["texts"]), load_recipe(recipes["task"])
    with pytest.raises(InputError, match="The first recipe has task: pretraining"):
        adapt(task, task)
    with pytest.raises(InputError, match="The second recipe is the task to be evaluated"):
        adapt(texts, texts)
    other = load_recipe(recipes["task"], ["model.name=builtin:minilm"])
    with pytest.raises(InputError, match="Name the same model"):
        adapt(texts, other)
    assert not (tmp_path / "runs").exists()
