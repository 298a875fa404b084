"""Metrics that a recipe adds, through the command line and Python: a function, the F1 of a class, and the three roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

import tunesmith
from tunesmith.cli.main import main
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.few_rows import rare_variants
from tunesmith.evaluation.metrics.own_function import OwnFunction
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.outputs import Outputs
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.tasks.classification.own_metrics import measured_rows, positive_class

FUNCTION = """
import numpy as np
def score(labels, predictions, probabilities, texts, classes):
    right = labels == predictions
    assert set(labels) <= set(classes) and len(texts) == len(labels) == len(probabilities)
    return {"gain": np.where(right, 1.0, -3.0).mean(), "cost": float((~right).sum()) / len(right)}
"""
TRAIN = {"learning_rate": 5e-3, "per_device_train_batch_size": 16, "num_train_epochs": 2, "n_evaluations": 4, "n_logs": 2}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metric.py").write_text(FUNCTION)
    return tmp_path


def lines(folder: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "evaluate"]


def test_three_metrics_have_three_roles(folder: Path, tiny_model: Path, sentences: list[dict[str, str]], capsys) -> None:
    run = tunesmith.train(
        sentences, test=sentences[:60], model=str(tiny_model), output="runs/a",
        train={**TRAIN, "early_stopping": {"metric": "loss", "patience": 9}},
        evaluate={"metric": "gain", "checkpoint_metric": "cost", "function": "metric.py:score", "lower_is_better": ["cost"],
                  "n_resamples": 200, "baselines": ["majority"]},
    )  # fmt: skip
    result = run.result
    evaluations = lines(run.folder)
    best = min(evaluations, key=lambda event: (event["metrics"]["cost"], event["loss"]))
    assert result.training["best_step"] == best["step"]
    assert result.training["best_metric"] == {"name": "cost", "value": best["metrics"]["cost"]}
    assert result.training["early_stopping_metric"] == "loss"
    assert result.verdicts[0].metric == "gain"
    gain, cost, accuracy = (result.metric(name, "test") for name in ("gain", "cost", "accuracy"))
    assert gain.value == pytest.approx(4 * accuracy.value - 3)
    assert cost.value == pytest.approx(1 - accuracy.value)
    assert (gain.higher_is_better, cost.higher_is_better) == (True, False)
    assert gain.interval.endswith("by calls of metric.py:score")
    assert main(["compare", "runs/a", "runs/a", "--metric", "gain"]) == 4
    (folder / "new.csv").write_text("text,label\n" + "\n".join(f"{row['text']},{row['label']}" for row in sentences[:60]))
    capsys.readouterr()
    assert main(["evaluate", "runs/a", "new.csv", "--json"]) == 0
    found = {m["name"]: m["value"] for m in json.loads(capsys.readouterr().out)["metrics"]}
    assert found["gain"] == pytest.approx(gain.value)
    (folder / "metric.py").unlink()
    assert main(["evaluate", "runs/a", "new.csv"]) == 0
    assert "the metrics of metric.py:score are left out" in capsys.readouterr().out
    page = (run.folder / "report.html").read_text()
    assert "metric of early stopping" in page


@pytest.mark.parametrize(
    ("code", "evaluate", "message"),
    [
        (
            "def score(labels): return 1 / 0",
            {},
            "on 6 rows of validation: metric.py:1: ZeroDivisionError: division by zero.",
        ),
        (
            FUNCTION,
            {"metric": "gian"},
            "evaluate.metric: gian is no metric here, and is not returned by metric.py:score. Did you mean gain?",
        ),
        (FUNCTION, {"checkpoint_metric": "gian"}, "evaluate.checkpoint_metric: gian is no metric here"),
        (FUNCTION, {"metric": "ndcg@10"}, '"ndcg@10" is not a metric of classification'),
        ("def score(pairs): return 1", {}, "'pairs', which the rows of validation do not have"),
    ],
)
def test_what_cannot_be_used_ends_before_training(
    folder: Path, tiny_model: Path, write_csv, sentences: list[dict[str, str]], capsys, code: str, evaluate: dict[str, str],
    message: str,
) -> None:  # fmt: skip
    (folder / "metric.py").write_text(code)
    write_csv(sentences[:60], "t.csv")
    section = json.dumps({"function": "metric.py:score", **evaluate})
    (folder / "r.yaml").write_text(f"data: {{train: t.csv, test: null}}\nmodel: {{name: '{tiny_model}'}}\nevaluate: {section}\n")
    assert main(["check", "r.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_the_range_that_keeps_intervals_inside_is_named(
    folder: Path, tiny_model: Path, sentences: list[dict[str, str]], write_csv, capsys
) -> None:
    (folder / "metric.py").write_text("def score(row_ids, predictions):\n    return {'share': (row_ids != 3).mean()}\n")
    write_csv(sentences[100:], "train.csv")
    write_csv(sentences[:60], "test.csv")
    section = {"function": "metric.py:score", "n_resamples": 200, "baselines": ["majority"]}
    recipe = {
        "data": {"train": "train.csv", "test": "test.csv"}, "model": {"name": str(tiny_model)},
        "train": TRAIN | {"num_train_epochs": 1}, "output": "runs/a", "evaluate": section,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    hint = "The interval of share leaves [0, 1]"
    assert main(["train", "recipe.yaml"]) in (0, 3, 4)
    assert capsys.readouterr().out.count(hint) == 1
    assert (folder / "runs/a/report.html").read_text().count(hint) == 1
    assert main(["evaluate", "runs/a", "test.csv"]) == 0
    assert capsys.readouterr().out.count(hint) == 1
    assert main(["train", "recipe.yaml", "evaluate.function_range=[0, 1]", "output=runs/b"]) in (0, 3, 4)
    assert "function_range" not in capsys.readouterr().out


@pytest.mark.parametrize("metric", ["money_accuracy", "accuracy"])
def test_a_failure_after_the_training_is_told_once_in_the_summary_and_the_report(
    folder: Path, tiny_model: Path, write_csv, sentences: list[dict[str, str]], capsys, metric: str
) -> None:
    (folder / "metric.py").write_text(
        "def score(labels, predictions):\n"
        "    if len(labels) == 60:\n"
        "        raise ValueError('a row has no amount' + 999 * '.')\n"
        "    return {'money_accuracy': (labels == predictions).mean()}\n"
    )
    for name, rows in (("train", sentences[100:]), ("validation", sentences[60:100]), ("test", sentences[:60])):
        write_csv(rows, f"{name}.csv")
    recipe = {
        "data": {name: f"{name}.csv" for name in ("train", "validation", "test")}, "model": {"name": str(tiny_model)},
        "train": TRAIN, "output": "runs/a",
        "evaluate": {"function": "metric.py:score", "metric": metric, "n_resamples": 200, "baselines": ["majority"]},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    assert main(["train", "recipe.yaml"]) in (0, 3, 4)
    reason = "No money accuracy on test: evaluate.function metric.py:score: the function failed on 60 rows of test: metric.py:3: "
    assert capsys.readouterr().out.count(f"{reason}ValueError: a row has no amount") == 1
    assert (folder / "runs/a/report.html").read_text().count(f"{reason}ValueError: a row has no amount") == 1
    assert main(["evaluate", "runs/a", "test.csv"]) == 0
    assert capsys.readouterr().out.count("metric.py:3: ValueError: a row has no amount") == 1


def test_f1_of_a_named_class_is_that_of_scikit_learn(folder: Path, tiny_model: Path, sentences: list[dict[str, str]]) -> None:
    run = tunesmith.train(
        sentences, test=sentences[:60], model=str(tiny_model), output="runs/a", train=TRAIN,
        evaluate={"metric": "accuracy_f1", "positive_class": "neg", "n_resamples": 200, "baselines": ["majority"]},
    )  # fmt: skip
    predicted = run.predict([row["text"] for row in sentences[:60]]).predictions
    expected = f1_score([row["label"] for row in sentences[:60]], predicted, pos_label="neg")
    f1, mean = run.result.metric("f1", "test"), run.result.metric("accuracy_f1", "test")
    assert f1.value == pytest.approx(expected)
    assert mean.value == pytest.approx((expected + run.result.metric("accuracy", "test").value) / 2)
    assert f1.low is not None
    assert run.result.data["positive_class"] == "neg"
    assert run.result.training["thresholds"] is not None
    assert run.result.verdicts[0].metric == "accuracy_f1"
    again = tunesmith.compare(run, run, metric="f1")[0]
    assert again.difference == 0


@pytest.mark.parametrize(
    ("names", "requested", "expected"),
    [
        (("0", "1"), None, 1),
        (("no", "yes"), None, 1),
        (("not_duplicate", "duplicate"), None, 1),
        (("entailment", "not_entailment"), None, 0),
        (("acceptable", "unacceptable"), None, 0),
        (("ham", "spam"), "spam", 1),
        (("ham", "spam"), "HAM", 0),
        (("a", "b", "c"), "b", 1),
        (("0", "1"), 0, 0),
    ],
)
def test_the_positive_class(names: tuple[str, ...], requested: str | int | None, expected: int) -> None:
    recipe = recipe_from_mapping({"data": {"train": "a.csv"}, "evaluate": {"metric": "f1", "positive_class": requested}})
    assert positive_class(recipe, Labels(SINGLE, names)) == expected


@pytest.mark.parametrize(
    ("labels", "requested", "message"),
    [
        (Labels(SINGLE, ("ham", "spam")), None, "do not tell which one. .* evaluate.positive_class: spam"),
        (Labels(SINGLE, ("a", "b", "c")), None, "Name it, one of a, b, c.* write macro_f1"),
        (Labels(SINGLE, ("ham", "spam")), "span", "'span' is none of the classes"),
        (Labels(MULTI, ("ham", "spam")), "spam", "these rows have several"),
    ],
)
def test_a_positive_class_that_cannot_be_told(labels: Labels, requested: str | None, message: str) -> None:
    recipe = recipe_from_mapping({"data": {"train": "a.csv"}, "evaluate": {"metric": "f1", "positive_class": requested}})
    with pytest.raises(RecipeError, match=message):
        positive_class(recipe, labels)


def test_nothing_is_asked_where_no_f1_is_computed() -> None:
    recipe = recipe_from_mapping({"data": {"train": "a.csv"}})
    assert positive_class(recipe, Labels(SINGLE, ("ham", "spam"))) is None


def test_labels_have_the_type_of_the_file_and_rows_are_matched_by_their_ids() -> None:
    function = OwnFunction(lambda labels: 0.0, "m.py:f", Path("m.py"), ("labels",), ("f",))
    labels = Labels(SINGLE, ("3", "7"), value_type="int")
    examples = Examples("test", "", [5, 6, 8], ["a", "b", "c"], [0, 1, 1])
    predictions = Predictions(np.array([1, 0]), np.eye(2), np.array([0, 0]), np.array([8, 5]))
    rows = measured_rows(function, examples, labels, Outputs(SINGLE, predictions))
    assert rows is not None
    assert rows.rows["labels"].tolist() == [7, 3]
    assert rows.rows["predictions"].tolist() == [3, 3]
    assert rows.rows["texts"].tolist() == ["c", "a"]
    assert rows.constants["classes"] == [3, 7]


def test_a_rare_class_that_is_never_found_is_found_in_its_variant() -> None:
    labels = np.array([0] * 15 + [1] * 15 + [2] * 2)
    decisions = np.where(labels == 2, 0, labels)
    decisions[:3] = 1
    rows = Predictions(labels, np.eye(3)[decisions], decisions)
    ((variant, share),) = rare_variants(rows)
    assert variant.decisions[-2:].tolist() == [2, 2]
    assert variant.scores[-1].tolist() == [0, 0, 1]
    assert share == pytest.approx(1.96**2 / (2 + 1.96**2))
    assert list(rare_variants(rows.take(np.arange(30)))) == []
