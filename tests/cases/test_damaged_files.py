"""Damaged files of runs and models: one clear error with the file, exit code 2, never a traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.fake_runs import save_run
from tunesmith.cli.main import main

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run without a model, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return save_run(Path("run"), "binary", rows=40)


def refused(words: list[str], capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    code = main(words)
    _, err = capsys.readouterr()
    assert code == 2, err
    assert "unexpected" not in err
    assert [part for part in parts if part not in err] == [], err


def put(*path: Any, value: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return change


CHANGES: dict[str, Change] = {
    "metrics.1": put("metrics", 1, value=True),
    "metrics.0.name": put("metrics", 0, "name", value=[]),
    "metrics.0.value": put("metrics", 0, "value", value="0.5"),
    "verdicts.1.word": put("verdicts", 1, "word", value={}),
    "baselines.0.metrics": put("baselines", 0, "metrics", value=3),
    "findings.0.rows.0": put("findings", 0, "rows", value=["x"]),
    "alarms": put("alarms", value={"a": 1}),
    "certificates.0.figure": put("certificates", 0, "figure", value=None),
    "data.labels": put("data", "labels", value="x"),
    "data.splits.test": put("data", "splits", "test", value=[]),
    "data.splits.test.length_histogram": put("data", "splits", "test", value={"length_histogram": {"edges": [1], "counts": [1]}}),
    "data.splits.test.max_length": put("data", "splits", "test", value={"max_length": float("nan")}),
    "environment.cores": put("environment", value={"cores": 10**400}),
    "training.best_metric": put("training", "best_metric", value={"name": {"a": None}}),
    "training.kernels.reasons": put("training", "kernels", value={"reasons": True}),
    "training.notes": put("training", "notes", value=1.5),
    "recipe.evaluate.metric": put("recipe", "evaluate", value={"metric": []}),
    "timings_seconds": put("timings_seconds", value=[1]),
    "task": put("task", value=7),
}


@pytest.mark.parametrize("place", CHANGES)
def test_a_wrong_value_in_the_result_is_named(run: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((run / "result.json").read_text())
    CHANGES[place](document)
    (run / "result.json").write_text(json.dumps(document))
    for words in (["report", "run"], ["report", "run", "--format", "md"], ["compare", "run", "run"]):
        refused(words, capsys, "run/result.json: the file is damaged, or of another kind: ", place)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_a_result_that_is_none_is_refused(run: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "result.json").write_bytes(content)
    refused(["report", "run"], capsys, "run/result.json")
    refused(["compare", "run", "run"], capsys, "run/result.json")


def test_any_mutation_of_the_result_ends_well_or_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, draw = (run / "result.json").read_text(), random.Random(5)
    for _ in range(60):
        document = json.loads(text)
        inner: Any = document
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = draw.choice(keys)
            if not isinstance(inner[key], dict | list) or not inner[key] or draw.random() < 0.2:
                break
            inner = inner[key]
        inner[key] = draw.choice([None, True, -1, 1e300, "", "x", [], {}, [[]], {"a": 1}])
        (run / "result.json").write_text(json.dumps(document))
        code = main(["report", "run", "--output", "report.html"])
        err = capsys.readouterr().err
        assert code in {0, 2}, (key, inner[key], err)
        assert "unexpected" not in err, (key, inner[key], err)


def test_damaged_predictions_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = run / "predictions.parquet"
    table = pq.read_table(path)
    for name, cells in (("row_id", ["a"] * len(table)), ("loss", ["x"] * len(table)), ("split", [None] * len(table))):
        changed = table.set_column(table.column_names.index(name), name, pa.array(cells))
        pq.write_table(changed, path)
        refused(["report", "run"], capsys, "run/predictions.parquet: the column " + name)
    path.write_bytes(b"PAR1" + bytes(100))
    refused(["report", "run"], capsys, "run/predictions.parquet: the file is not readable as parquet")


def test_a_comparison_needs_no_record_of_the_splits(run: Path) -> None:
    document = json.loads((run / "result.json").read_text())
    document["data"]["splits"] = None
    (run / "result.json").write_text(json.dumps(document))
    assert main(["compare", "run", "run"]) == 4  # equal, as with the record


def test_labels_that_the_result_does_not_name_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((run / "result.json").read_text())
    document["data"]["labels"][0] = "another"
    (run / "result.json").write_text(json.dumps(document))
    refused(["compare", "run", "run"], capsys, "predictions.parquet", "acceptable")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("heat_map.json", {"split": "test", "texts": ["a"], "before": [[1]], "after": []}),
        ("answers.json", {"split": 1, "seen": [], "answers": []}),
    ],
)
def test_a_damaged_part_is_refused(run: Path, name: str, content: object, capsys: pytest.CaptureFixture[str]) -> None:
    (run / name).write_text(json.dumps(content))
    refused(["report", "run"], capsys, f"run/{name}: the file is damaged")


def test_lines_of_the_log_with_another_shape_are_counted(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"event": "evaluate", "metrics": [1]}\n[]\n{"event": {}, "step": "x"}\n')
    assert main(["report", "run", "--output", "r.html"]) == 0
    assert "2 lines of metrics.jsonl could not be read" in Path("r.html").read_text()


MODEL_DAMAGE: dict[str, tuple[str, str]] = {
    "tunesmith.json": ('{"labels": 1}', "run/model/tunesmith.json: the file is damaged"),
    "config.json": ("{", "config.json cannot be read"),
    "tokenizer.json": ("{}", 'tokenizer.json holds no tokenizer: it has no object "model". Copy or download it again.'),
    "tokenizer_config.json": ('{"unk_token": 1.5}', "its tokenizer cannot be loaded: "),
    "model.safetensors": ("x", "model.safetensors is damaged (1 byte)"),
}


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model folder of a run: a tiny classifier of two labels."""
    from transformers import AutoModelForSequenceClassification

    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text\nthe good film\n")
    folder = Path(shutil.copytree(tiny_model, "run/model"))
    AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2).save_pretrained(folder)
    config = {"problem_type": "single_label_classification", "labels": ["a", "b"], "max_length": 16, "thresholds": None}
    (folder / "tunesmith.json").write_text(json.dumps(config | {"columns": {"text": "text", "pair": None}}))
    return folder


def test_the_model_without_damage_predicts(model: Path) -> None:
    assert main(["predict", "run", "rows.csv", "--output", "out.csv"]) == 0


@pytest.mark.parametrize("name", MODEL_DAMAGE)
def test_a_damaged_model_file_is_named(model: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, message = MODEL_DAMAGE[name]
    (model / name).write_text(content)
    refused(["predict", "run", "rows.csv", "--output", "out.csv"], capsys, message)
    assert not Path("out.csv").exists()


def rename_tensors(folder: Path) -> None:
    """Gives the first layer's weights names that the model does not have."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    renamed = {name.replace("layer.0.", "layer.9."): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})


def halve_layers(folder: Path) -> None:
    """Takes a layer out of the config, but not out of the weights."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": config["num_hidden_layers"] - 1}))


def fill_with_nan(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor * float("nan") for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"})


def remove_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def empty_vocabulary(folder: Path) -> None:
    document = json.loads((folder / "tokenizer.json").read_text())
    document["model"]["vocab"] = {"[UNK]": 1}
    (folder / "tokenizer.json").write_text(json.dumps(document))


SILENT_DAMAGE = {
    rename_tensors: "its files lack 16 weights of the trained model: bert.encoder.layer.0.",
    halve_layers: "its files hold 16 weights of layers that its config.json leaves out: bert.encoder.layer.",
    fill_with_nan: "its outputs are not finite",
    remove_tokenizer: "there is no tokenizer in",
    empty_vocabulary: "its tokenizer has",
}


@pytest.mark.parametrize("damage", SILENT_DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_model_that_still_loads_predicts_nothing(
    model: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(model)
    refused(["predict", "run", "rows.csv", "--output", "out.csv"], capsys, SILENT_DAMAGE[damage])
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["a"]},
        {"max_length": 0},
        {"thresholds": []},
        {"thresholds": [0.5, 0.5]},
        {"thresholds": [float("nan")]},
        {"problem_type": "x"},
        {"columns": {"text": "text", "pair": None, "label": 5}},
        {"labels": ["x", "1"], "label_type": "int"},
        {"label_type": [None]},
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(
    model: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = model / "tunesmith.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(["predict", "run", "rows.csv"], capsys, "tunesmith.json")


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_missing_settings_of_a_classifier_are_named(model: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "tunesmith.json").unlink()
    Path("run").rename("without_result")
    Path("without_result/model").rename(save_run(Path("run"), kind, rows=40) / "model")
    refused(["predict", "run", "rows.csv"], capsys, "run/model/tunesmith.json: the file is missing;", "Restore the file")
