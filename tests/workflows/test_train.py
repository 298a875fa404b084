"""Whole runs on a tiny model: what they leave, for every kind of problem; and that they survive being stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

import tunesmith
from tunesmith.cli.main import main
from tunesmith.disk import PART
from tunesmith.errors import InputError

QUICK = {"learning_rate": 5e-3, "per_device_train_batch_size": 16, "num_train_epochs": 3, "n_evaluations": 3, "n_logs": 6}


@pytest.fixture
def train(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that trains the tiny model on rows into ``out`` below the test's folder."""
    monkeypatch.chdir(tmp_path)

    def run(rows: Any, name: str = "out", **sections: Any) -> tunesmith.Run:
        settings = {**sections, "train": {**QUICK, **sections.get("train", {})}}
        return tunesmith.train(rows, model=str(tiny_model), output=tmp_path / name, **settings)

    return run


def check_contract(run: tunesmith.Run) -> dict[str, Any]:
    """The run folder and result.json as the contract has them."""
    found = json.loads((run.folder / "result.json").read_text())
    assert found["schema"] == 1
    expected = {
        "recipe.yaml",
        "resolved.yaml",
        "result.json",
        "metrics.jsonl",
        "predictions.parquet",
        "model",
        "checkpoints",
        "report.html",
    }
    assert expected <= {path.name for path in run.folder.iterdir()}
    assert not run.folder.with_name(run.folder.name + ".partial").exists()
    assert all({"name", "split", "value", "low", "high", "n", "higher_is_better"} <= set(m) for m in found["metrics"])
    assert all({"metric", "split", "against", "difference", "low", "high", "word"} <= set(v) for v in found["verdicts"])
    assert all(certificate["passed"] for certificate in found["certificates"])
    assert found["peak_memory_bytes"] > 10**8
    columns = set(pq.read_schema(run.folder / "predictions.parquet").names)
    assert {"row_id", "split", "label", "prediction", "loss"} <= columns
    assert ("score" in columns) != ("pred_probs" in columns)
    return found


def test_single_texts(train, sentences: list[dict[str, str]]) -> None:
    run = train(sentences, test=sentences[:50])
    found = check_contract(run)
    assert run.result.metric("macro_f1").value > 0.8
    assert {verdict["against"] for verdict in found["verdicts"]} == {"majority", "chance", "tfidf", "frozen"}
    assert next(b for b in found["baselines"] if b["name"] == "untuned")["note"]
    predictions = run.predict(["good film day", "awful food"])
    assert [set(row) for row in predictions] == [{"prediction", "probability", "pred_probs"}] * 2
    assert predictions == tunesmith.Run.load(run.folder).predict(["good film day", "awful food"])


def test_pairs(train, sentences: list[dict[str, str]]) -> None:
    rows = [
        {"premise": a["text"], "hypothesis": b["text"], "label": str(a["label"] == b["label"])}
        for a, b in zip(sentences, sentences[7:], strict=False)
    ]
    run = train(rows)
    assert check_contract(run)["data"]["columns"]["pair"] == "hypothesis"
    assert run.predict(["good film"], ["bad film"])[0]["prediction"] in {"True", "False"}


@pytest.mark.parametrize(("unit", "offset"), [(1.0, 0.0), (40_000.0, 250_000.0), (0.001, 7.0)])
def test_regression(train, sentences: list[dict[str, str]], unit: float, offset: float) -> None:
    def score(row: dict[str, str]) -> float:
        return offset + unit * ((1.5 if row["label"] == "pos" else -0.5) + len(row["text"]) / 100)

    rows = [{"text": row["text"], "score": score(row)} for row in sentences]
    run = train(rows, task="regression", test=rows[:60])
    found = check_contract(run)
    assert {m["name"] for m in found["metrics"]} == {"pearson", "spearman", "rmse", "mae", "r2"}
    assert run.result.metric("spearman").value > 0.5
    assert run.result.metric("r2").value > 0.3
    of_constant = next(v for v in run.result.verdicts if (v.against, v.metric) == ("majority", "spearman"))
    assert of_constant.word == "better"
    assert "not above majority" not in {alarm.name for alarm in run.result.alarms}
    assert all(certificate["passed"] for certificate in found["certificates"])
    assert isinstance(run.predict(["good"])[0]["score"], float)


def test_several_labels(train, sentences: list[dict[str, str]]) -> None:
    rows = [
        {"text": row["text"], "label": [word for word in ("good", "bad", "film") if word in row["text"].split()]}
        for row in sentences
    ]
    run = train(rows, test=rows[:60], train={"num_train_epochs": 5})
    found = check_contract(run)
    assert found["data"]["problem_type"] == "multi_label_classification"
    assert len(found["training"]["thresholds"]) == 3
    assert isinstance(run.predict(["good bad film"])[0]["prediction"], list)


def test_several_seeds(train, sentences: list[dict[str, str]]) -> None:
    run = train(sentences, test=sentences[:60], train={"n_seeds": 2, "num_train_epochs": 2})
    found = check_contract(run)
    assert found["training"]["seeds"] == [0, 1]
    assert all(
        verdict["low"] is None or verdict["low"] <= verdict["difference"] <= verdict["high"] for verdict in found["verdicts"]
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"train_layers": "head"}},
        {"train": {"train_layers": "last 1", "class_weights": "balanced", "label_smoothing_factor": 0.1}},
        {"train": {"train_layers": ["LayerNorm", "classifier"]}},
        {"adapter": {"method": "lora", "r": 4}},
        {"adapter": {"method": "adalora", "init_r": 6, "target_r": 2}},
        {"adapter": {"method": "houlsby", "reduction_factor": 4}},
        {"adapter": {"method": "ia3"}},
        {"adapter": {"method": "pissa", "r": 4}},
        {"adapter": {"method": "prefix_tuning", "num_virtual_tokens": 4}},
        {"train": {"fast": False}},
        {"train": {"early_stopping": {"patience": 1}}},
    ],
    ids=str,
)
def test_ways_to_train(train, sentences: list[dict[str, str]], sections: dict[str, Any]) -> None:
    run = train(sentences, test=sentences[:40], **sections)
    found = check_contract(run)
    partly = "adapter" in sections or "train_layers" in sections.get("train", {})
    assert (found["training"]["n_trainable_parameters"] < found["training"]["n_parameters"]) == partly
    assert run.predict(["good film"])
    has_both = sections.get("adapter", {}).get("method") in ("lora", "adalora", "ia3")  # merged, on the base as published
    names = [certificate["name"] for certificate in found["certificates"]]
    assert (run.folder / "adapter" / "adapter_config.json").exists() == has_both
    assert ("the saved adapter on its base model equals the trained model" in names) == has_both
    assert not (run.folder / "adapter").exists() or has_both


def test_the_base_model_of_another_run_is_its_untuned_baseline(train, sentences: list[dict[str, str]], tmp_path: Path) -> None:
    first = train(sentences, "first", test=sentences[:60])
    second = tunesmith.train(sentences, test=sentences[:60], model=str(first.folder), output=tmp_path / "second", train=QUICK)
    untuned = next(b for b in second.result.baselines if b.name == "untuned")
    assert {m.name: m.value for m in untuned.metrics if m.split == "test"}["accuracy"] == first.result.metric("accuracy").value


def test_a_majority_model_raises_the_alarm(train, sentences: list[dict[str, str]]) -> None:
    rows = [{**row, "label": "pos" if i % 5 else "neg"} for i, row in enumerate(sentences)]
    run = train(rows, test=rows[:60], evaluate={"tune_threshold": False}, train={"learning_rate": 1e-6, "num_train_epochs": 1})
    assert "one class" in [alarm.name for alarm in run.result.alarms]
    assert "predictions on test are the class" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize("tracker", ["tensorboard", "trackio"])
def test_trackers_get_the_logs(train, sentences: list[dict[str, str]], tracker: str) -> None:
    run = train(sentences, train={"report_to": tracker, "run_name": "mine", "num_train_epochs": 1})
    place = run.folder / "tensorboard" if tracker == "tensorboard" else Path(os.environ["TRACKIO_DIR"])
    assert [path for path in place.rglob("*") if path.is_file() and path.stat().st_size > 100]


def test_the_check_before_training_saves_its_model_beside_an_earlier_run(
    train, sentences: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(sentences)
    earlier, made = sorted((tmp_path / "out").iterdir()), []

    class Spy(tempfile.TemporaryDirectory):  # type: ignore[type-arg]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(Path(self.name))
            assert sorted((tmp_path / "out").iterdir()) == earlier

    monkeypatch.setattr(tempfile, "TemporaryDirectory", Spy)
    train(sentences, overwrite=True)
    assert [path.name[:6] for path in made if path.parent == tmp_path] == [PART]
    assert not any(path.exists() for path in made)


def test_smoke_leaves_the_output_alone(train, sentences: list[dict[str, str]], tmp_path: Path) -> None:
    run = train(sentences, smoke=True)
    assert run.folder == tmp_path / "out-smoke"
    assert not (tmp_path / "out").exists()
    assert run.result.data["splits"]["train"]["rows"] <= 100
    assert not (run.folder / "checkpoints").exists()


def test_a_second_text_that_is_not_used_is_told_before_training(train, sentences: list[dict[str, str]]) -> None:
    told: list[str] = []
    rows = [{**row, "answer": f"a longer answer to number {i}", "place": "web"} for i, row in enumerate(sentences)]
    train(rows, smoke=True, listener=lambda event: told.append(event.text))
    expected = "1 more column of text: answer; only text is used. To use both texts of a row, write data.columns: "
    expected += "{text: text, pair: answer}."
    assert expected in told
    assert told.index(expected) < told.index("training")
    told.clear()
    train([{**row, "place": "web"} for row in sentences], smoke=True, listener=lambda event: told.append(event.text))
    assert not any("more column" in text for text in told)


def test_resume_with_another_recipe_names_what_differs(
    train, sentences: list[dict[str, str]], tmp_path: Path, tiny_model: Path
) -> None:
    run = train(sentences)
    run.folder.rename(tmp_path / "out.partial")
    with pytest.raises(InputError, match=r"train.learning_rate: was 0.005 when the run was started, is 0.001 now"):
        tunesmith.train(
            sentences, model=str(tiny_model), output=tmp_path / "out", resume=True, train={**QUICK, "learning_rate": 1e-3}
        )


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path, sentences: list[dict[str, str]], write_csv, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe on files, for runs in processes of their own."""
    monkeypatch.chdir(tmp_path)
    write_csv(sentences, "train.csv")
    write_csv(sentences[:60], "test.csv")
    path = tmp_path / "recipe.yaml"
    data = {"train": "train.csv", "test": "test.csv"}
    path.write_text(json.dumps({"data": data, "model": {"name": str(tiny_model)}, "train": QUICK, "output": "runs/a"}))
    return path


def start(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tunesmith.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def wait_for(path: Path, text: str, seconds: float = 60, *, count: int = 1) -> None:
    """Until a file holds a text so many times."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text().count(text) >= count):
        assert time.monotonic() < deadline, f"{path} never held {text!r} {count} times"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_run_resumes_bit_exactly(recipe: Path, tmp_path: Path) -> None:
    long = ["train.num_train_epochs=15", "train.n_evaluations=15", "evaluate.baselines=[majority]", "evaluate.n_resamples=500"]
    assert main(["train", "recipe.yaml", *long, "output=runs/whole"]) == 0
    log = tmp_path / "runs/ended.partial/metrics.jsonl"
    for number, given in ((signal.SIGTERM, []), (signal.SIGKILL, ["--resume"])):
        n_evaluations = log.read_text().count('"evaluate"') if given else 0
        child = start("train", "recipe.yaml", *long, "output=runs/ended", *given)
        wait_for(log, '"evaluate"', count=n_evaluations + 1)
        child.send_signal(number)
        code = child.wait(60)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        assert not (tmp_path / "runs/ended").exists()
    assert main(["train", "recipe.yaml", *long, "output=runs/ended", "--resume"]) == 0
    one, two = (load_file(tmp_path / f"runs/{run}/model/model.safetensors") for run in ("whole", "ended"))
    assert all(bool((one[key] == two[key]).all()) for key in one)
    first, second = (pq.read_table(tmp_path / f"runs/{run}/predictions.parquet") for run in ("whole", "ended"))
    assert first.equals(second)


@pytest.mark.usefixtures("recipe")
def test_learning_rate_1e9_ends_in_exit_1_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe.yaml", "train.learning_rate=1e9"]) == 1
    err = capsys.readouterr().err
    assert "Lower train.learning_rate (requested: 1e+09)" in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs/a").exists()


@pytest.mark.slow
def test_two_processes_train_and_none_is_left(recipe: Path, tmp_path: Path) -> None:
    child = start("train", "recipe.yaml", "--processes", "2", "--json")
    out, err = child.communicate(timeout=240)
    assert child.returncode == 0, err
    assert json.loads(out)["task"] == "classification"
    assert left_over(str(tmp_path)) == []


@pytest.mark.slow
def test_two_processes_stop_together(recipe: Path, tmp_path: Path) -> None:
    child = start("train", "recipe.yaml", "--processes", "2", "train.num_train_epochs=200")
    wait_for(tmp_path / "runs/a.partial/metrics.jsonl", '"train"', 120)
    child.send_signal(signal.SIGTERM)
    assert child.wait(120) != 0
    time.sleep(1)
    assert left_over(str(tmp_path)) == []
    assert any((tmp_path / "runs/a.partial/checkpoints").glob("checkpoint-*/manifest.json"))


def left_over(folder: str) -> list[str]:
    """Command lines of tunesmith processes that still work in a folder."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and place.name != str(os.getpid()):
            try:
                if os.readlink(place / "cwd") == folder:
                    found.append((place / "cmdline").read_text().replace("\0", " "))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
    return found


def test_the_verbs_on_a_finished_run(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "recipe.yaml", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["problems"] == []
    assert main(["train", "recipe.yaml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (needed,) = re.findall(r"about ([\d.]+) MB needed", "\n".join(checked["checks"]))
    assert sum(path.stat().st_size for path in Path("runs/a").rglob("*") if path.is_file()) < float(needed) * 1e6
    assert result["run"] == "runs/a"
    assert main(["train", "recipe.yaml", "output=runs/b", "train.seed=1", "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "runs/a", "test.csv", "--json"]) == 0
    measured = {m["name"]: m["value"] for m in json.loads(capsys.readouterr().out)["metrics"]}
    trained = {m["name"]: m["value"] for m in result["metrics"] if m["split"] == "test"}
    assert measured == pytest.approx(trained, abs=2e-3)
    assert main(["predict", "runs/a", "test.csv", "--output", "predicted.parquet"]) == 0
    assert pq.read_table("predicted.parquet")["prediction"].to_pylist() == [
        row["prediction"] for row in pq.read_table("runs/a/predictions.parquet").to_pylist() if row["split"] == "test"
    ]
    assert main(["compare", "runs/a", "runs/b", "--json"]) in {0, 3, 4}
    capsys.readouterr()
    assert main(["trace", "recipe.yaml", "--row", "3", "--split", "test", "--run", "runs/a", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)
    assert stages["raw"]["text"] == stages["mapped"]["text"]
    assert set(stages["shares"]) == set(trained)
    assert main(["report", "runs/a", "runs/b", "--output", "both.html"]) == 0
    assert main(["report", "runs/a", "--output", "one.html"]) == 0
