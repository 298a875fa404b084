"""The models that a finished run keeps: of the best evaluation, of all, or none; and of a smoke run only the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith
from tunesmith.cli.main import main
from tunesmith.errors import Interrupted, ModelError
from tunesmith.tasks import save as saving

TRAIN = {"max_steps": 6, "n_evaluations": 3, "learning_rate": 5e-3, "per_device_train_batch_size": 16}


@pytest.fixture
def train(tmp_path: Path, tiny_model: Path, sentences: list[dict[str, str]]):
    def run(**options: Any) -> tunesmith.Run:
        evaluate = {"n_resamples": 500, "baselines": ["majority"], **options.pop("evaluate", {})}
        recipe = {"train": {**TRAIN, **options.pop("train", {})}, "evaluate": evaluate}
        options = {"output": tmp_path / "run", "validation": sentences[:40], "test": sentences[40:80], **options}
        return tunesmith.train(sentences[80:], model=str(tiny_model), **recipe, **options)

    return run


def accuracy(folder: Path, rows: list[dict[str, str]]) -> float:
    predicted = tunesmith.predict(folder, [row["text"] for row in rows])
    return float(np.mean([one["prediction"] == row["label"] for one, row in zip(predicted, rows, strict=True)]))


def kept_steps(run: tunesmith.Run) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (run.folder / "checkpoints").glob("step-*"))


def test_the_model_of_every_evaluation_is_kept_and_gives_its_metrics(train, sentences: list[dict[str, str]]) -> None:
    run = train(train={"save_strategy": "all"})
    assert kept_steps(run) == [2, 4, 6]
    for step in kept_steps(run):
        folder = run.folder / f"checkpoints/step-{step}"
        assert {path.name for path in folder.iterdir()} == {"model", "metrics.json"}
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["step"] == step
        assert accuracy(folder, sentences[:40]) == pytest.approx(metrics["metrics"]["accuracy"])
    best = run.folder / f"checkpoints/step-{run.result.training['best_step']}"
    texts = [row["text"] for row in sentences[40:80]]
    both = [[one["pred_probs"] for one in tunesmith.predict(folder, texts)] for folder in (run.folder, best)]
    assert both[0] == both[1]  # the saved decision threshold is that of the whole run


def test_of_equal_evaluations_the_one_with_the_lowest_loss_is_the_model(train, sentences: list[dict[str, str]]) -> None:
    run = train(train={"max_steps": 48, "n_evaluations": 8})
    lines = map(json.loads, (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    evaluated = [line for line in lines if line["event"] == "evaluate"]
    highest = max(line["metrics"]["macro_f1"] for line in evaluated)
    equal = [line for line in evaluated if line["metrics"]["macro_f1"] == highest]
    assert len(equal) > 1
    lowest = min(equal, key=lambda line: line["loss"])
    assert lowest is not equal[0]
    assert run.result.training["best_step"] == lowest["step"]
    assert any(note.startswith(f"{len(equal)} evaluations have the best macro F1") for note in run.result.training["notes"])
    assert accuracy(run.folder, sentences[:40]) == lowest["metrics"]["accuracy"]


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_a_finished_run_keeps_no_state_to_resume_from(train, n_seeds: int) -> None:
    kept = train(train={"n_seeds": n_seeds, "max_steps": 2}).folder / "checkpoints"
    assert {path.name for path in kept.rglob("*") if path.is_dir()} - {"seed-0", "seed-1"} == {"best"}
    assert not list(kept.rglob("optimizer*"))


FUNCTION = """
def score(labels, predictions):
    return {"gain": 2.0 * (labels == predictions).mean() - 1}
"""


def test_a_kept_model_is_evaluated_as_its_run(
    tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metric.py").write_text(FUNCTION)
    lines = [f"{row['text']},{row['label']},{i // 4}" for i, row in enumerate(sentences)]
    for name, rows in (("train", lines[80:]), ("validation", lines[:40]), ("test", lines[40:80])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label,thread", *rows]))
    recipe = {
        "data": {**{name: f"{name}.csv" for name in ("train", "validation", "test")}, "columns": {"group": "thread"}},
        "model": {"name": str(tiny_model)}, "train": {**TRAIN, "max_steps": 18, "save_strategy": "all"}, "output": "runs/all",
        "evaluate": {"function": "metric.py:score", "metric": "gain", "positive_class": "neg", "n_resamples": 500,
                     "baselines": ["majority"]},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    tunesmith.train("recipe.yaml")
    rows_of_test = tmp_path / "test.csv"
    monkeypatch.chdir(tmp_path / "runs/all/checkpoints")
    of_run = tunesmith.evaluate(tmp_path / "runs/all", str(rows_of_test))
    steps, gains = (6, 12, 18), []
    for step in steps:
        capsys.readouterr()
        assert main(["evaluate", f"step-{step}", str(rows_of_test), "--json"]) == 0
        found = {metric["name"]: metric for metric in json.loads(capsys.readouterr().out)["metrics"]}
        assert found["gain"]["value"] == pytest.approx(2 * found["accuracy"]["value"] - 1)
        gains.append(found["gain"]["value"])
        assert list(found) == [metric.name for metric in of_run.metrics]
        assert {metric["n_clusters"] for metric in found.values()} == {metric.n_clusters for metric in of_run.metrics} == {10}
    looks = [json.loads(line) for line in (tmp_path / "runs/test_looks.jsonl").read_text().splitlines()]
    assert [look["run"] for look in looks[-3:]] == [f"all/checkpoints/step-{step}" for step in steps]
    assert len(set(gains)) > 1
    for rows_of in ({}, {"data": str(rows_of_test)}):  # the run's own test rows, read again, and the same rows in a file
        verdicts = tunesmith.compare(*(f"step-{step}" for step in steps), metric="gain", **rows_of)
        assert [verdict.difference for verdict in verdicts] == pytest.approx([gains[0] - gains[1], gains[0] - gains[2]])
    looks = [json.loads(line) for line in (tmp_path / "runs/test_looks.jsonl").read_text().splitlines()]
    assert [(look["metric"], look["value"]) for look in looks[-3:]] == [("gain", pytest.approx(gain)) for gain in gains]


def test_a_limit_keeps_the_best_and_the_newest(train) -> None:
    run = train(train={"save_strategy": "all", "save_total_limit": 2, "n_evaluations": 6})
    best = run.result.training["best_step"]
    assert kept_steps(run) == ([best, 6] if best < 6 else [5, 6])
    one = train(output=run.folder.parent / "one", train={"save_strategy": "all", "save_total_limit": 1})
    assert kept_steps(one) == [one.result.training["best_step"]]


def test_an_interrupted_save_is_finished_by_the_resumed_run(train, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = saving.write_text, []

    def interrupted(path: Path, text: str) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(saving, "write_text", interrupted)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train(train={"save_strategy": "all"})
    run = train(train={"save_strategy": "all"}, resume=True)
    assert kept_steps(run) == [2, 4, 6]
    assert all((run.folder / f"checkpoints/step-{step}/metrics.json").exists() for step in (2, 4, 6))


def test_nothing_is_saved_but_the_results(train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(train={"save_strategy": "none"})
    names = {path.name for path in run.folder.iterdir()}
    assert {"result.json", "report.html", "predictions.parquet", "metrics.jsonl"} <= names
    assert not names & {"model", "adapter", "checkpoints"}
    assert not [path for path in run.folder.rglob("*") if path.suffix in (".safetensors", ".pt", ".bin")]
    other = train(output=tmp_path / "other")
    assert run.result.metrics == other.result.metrics
    assert [verdict.word for verdict in tunesmith.compare(run, other)] == ["cannot tell"]
    with pytest.raises(ModelError, match=r"saved no model \(train.save_strategy: none, or train --smoke\)"):
        tunesmith.predict(run.folder, ["good film"])
    (tmp_path / "rows.csv").write_text("text,label\ngood film,good\n")
    rows = str(tmp_path / "rows.csv")
    commands = (["predict", rows], ["evaluate", rows], ["embed", rows, "--output", str(tmp_path / "v.npy")], ["generate", "hi"])
    for verb, *rest in commands:
        assert main([verb, str(run.folder), *rest]) == 2
        assert "this run saved no model" in capsys.readouterr().err
    assert main(["report", str(run.folder), "--output", str(tmp_path / "report.html")]) == 0


def test_a_smoke_run_keeps_only_the_report_and_its_numbers(train) -> None:
    run = train(smoke=True, train={"save_strategy": "all"})
    assert {path.name for path in run.folder.iterdir()} == {
        "recipe.yaml", "resolved.yaml", "report.html", "result.json", "run.json",
    }  # fmt: skip
    assert {certificate.name for certificate in run.result.certificates} >= {"the saved model equals the trained one"}


@pytest.mark.parametrize("method", ["lora", "adalora", "prefix_tuning"])
def test_the_adapter_of_every_evaluation_is_kept(train, method: str, sentences: list[dict[str, str]]) -> None:
    options = {"init_r": 6, "target_r": 2, "tinit": 1, "tfinal": 2} if method == "adalora" else {}
    run = train(train={"save_strategy": "all"}, adapter={"method": method, **options})
    assert kept_steps(run) == [2, 4, 6]
    for step in kept_steps(run):
        folder = run.folder / f"checkpoints/step-{step}"
        own = {"model", "metrics.json"} | ({"adapter"} if method != "prefix_tuning" else set())
        assert {path.name for path in folder.iterdir()} == own
        metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
        assert accuracy(folder, sentences[:40]) == pytest.approx(metrics["accuracy"])
    texts = [row["text"] for row in sentences[40:80]]
    probabilities = [
        [tuple(one["pred_probs"]) for one in tunesmith.predict(folder, texts)]
        for folder in (run.folder, *(run.folder / f"checkpoints/step-{step}" for step in (2, 4, 6)))
    ]
    assert probabilities[[2, 4, 6].index(run.result.training["best_step"]) + 1] == probabilities[0]
    assert len({tuple(values) for values in probabilities}) == 3
