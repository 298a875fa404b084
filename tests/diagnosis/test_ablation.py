"""The ablation of corrections: whole on a tiny model, and each rule on stand-ins for the trainings."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import tunesmith
from tests.conftest import rows as sentences_of
from tunesmith.cli.main import main
from tunesmith.data.corrections.corrections_csv import Correction, write_corrections
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.readers.read import read_file
from tunesmith.data.row_clusters import row_clusters
from tunesmith.diagnosis import ablation
from tunesmith.diagnosis.ablation_verdicts import AblationPlan, TrainedVariants
from tunesmith.errors import DataError, Interrupted
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.tasks.test_looks import LOOKS, read_looks

FLIPPED = 70
OTHER = {"pos": "neg", "neg": "pos"}


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path, write_csv: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 240 rows of which 70 have the wrong label, their corrections, 200 right test rows and a recipe."""
    monkeypatch.chdir(tmp_path)
    rows = sentences_of(240)
    wrong = sorted(random.Random(0).sample(range(240), FLIPPED))
    for i in wrong:
        rows[i]["label"] = OTHER[rows[i]["label"]]
    data = write_csv(rows, "train.csv")
    write_csv(sentences_of(200, seed=1), "test.csv")
    sha256 = read_file(data, "").sha256
    labels = [row["label"] for row in rows]
    write_corrections(
        [Correction(i, "train", labels[i], OTHER[labels[i]], 0.0, source_sha256=sha256) for i in wrong], Path("corrections.csv")
    )
    write_recipe(tiny_model, test="test.csv")
    return tmp_path


def write_recipe(model: Path, train: dict[str, Any] | None = None, **data: Any) -> None:
    settings = {"learning_rate": 5e-3, "per_device_train_batch_size": 16, "num_train_epochs": 4, "n_evaluations": 2}
    recipe = {
        "model": {"name": str(model)}, "data": {"train": "train.csv", "validation": 0.2, **data},
        "train": settings | (train or {}), "evaluate": {"n_resamples": 500, "metric": "macro_f1"}, "output": "runs/out",
    }  # fmt: skip
    Path("recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


APPLY = ["apply", "--allow-many", "corrections.csv", "train.csv"]


def test_the_whole_measurement(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files()
    assert main([*APPLY, "--output", "plain.csv"]) == 0
    capsys.readouterr()
    assert main([*APPLY, "--measure", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    after = files()
    assert after.items() >= before.items()
    assert after["train.corrected.csv"] == after["plain.csv"]
    assert result["relabelled"] == FLIPPED
    record = json.loads(Path("runs/out-worth/worth.json").read_text(encoding="utf-8"))
    assert record["environment"]
    assert {key: record[key] for key in result["worth"]} == result["worth"]
    check_record(result["worth"])
    assert result["measurement"] == result["worth"]
    assert record["evaluated_on"] == record["judged"]
    check_predictions(Path("runs/out-worth/predictions.parquet"))
    left = {path.name for path in Path("runs/out-worth").iterdir()}
    variants = {"as_given", "corrected", "removed", "random_removed"}
    assert left == {"recipe.yaml", "resolved.yaml", "run.json", "worth.json", "predictions.parquet", *variants}
    assert [path.name for path in Path("runs/out-worth/removed/seed-0").iterdir()] == ["metrics.jsonl"]


def check_record(found: dict[str, Any]) -> None:
    n_train, n = found["corrections"]["train"], {v["name"]: v["n_rows"] for v in found["variants"]}
    assert n_train + found["corrections"]["validation"] == FLIPPED
    assert n["as_given"] == n["corrected"] == 192
    assert n["removed"] == n["random_removed"] == 192 - n_train
    assert found["judged"] == {"split": "test", "rows": 200, "left_out": 0}
    word = {(v["variant"], v["against"], v["metric"]): v["word"] for v in found["verdicts"]}
    pairs = {
        ("corrected", "as_given"), ("removed", "as_given"), ("random_removed", "as_given"), ("corrected", "random_removed"),
        ("corrected", "removed"),
    }  # fmt: skip
    assert set(word) == {(*pair, metric) for pair in pairs for metric in ("macro_f1", "accuracy")}
    assert word["corrected", "as_given", "accuracy"] == word["corrected", "random_removed", "macro_f1"] == "better"
    assert all(v["low"] <= v["difference"] <= v["high"] for v in found["verdicts"])
    assert found["estimate_seconds"] > 0


def check_predictions(path: Path) -> None:
    rows = pq.read_table(path).to_pylist()
    with Path("test.csv").open(encoding="utf-8", newline="") as file:
        truth = [row["label"] for row in csv.DictReader(file)]
    for variant in ("as_given", "corrected", "removed", "random_removed"):
        own = [row for row in rows if row["variant"] == variant]
        assert [row["row_id"] for row in own] == list(range(200))
        assert [row["label"] for row in own] == truth


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[AblationPlan]:
    """Stand-ins for the pre-flight and the trainings: the corrected variant is right, the others in two rows of three."""
    plans: list[AblationPlan] = []

    def trained(plan: AblationPlan, variants: Any, *_args: Any) -> TrainedVariants:
        plans.append(plan)
        truth = np.array(plan.holdout.evaluation.labels)
        found = {}
        for variant in variants:
            wrong = np.arange(len(truth)) % 3 == (3 if variant.name == "corrected" else 1)
            scores = np.eye(plan.inputs.splits.labels.n)[np.where(wrong, 1 - truth, truth)]
            found[variant.name] = [
                from_scores(SINGLE, truth, scores, row_ids=plan.holdout.evaluation.row_ids) for _ in plan.seeds
            ]
        return TrainedVariants(found)

    monkeypatch.setattr(ablation, "check_plan", lambda *_args: 2.0)
    monkeypatch.setattr(ablation, "train_variants", trained)
    return plans


def test_what_a_person_reads(place: Path, untrained: list[AblationPlan], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*APPLY, "--measure"]) == 0
    out, err = capsys.readouterr()
    n = ablation_record()["corrections"]["train"]
    lines = out.splitlines()
    assert lines[0] == "70 rows relabelled, 0 removed: 240 rows in train.corrected.csv"
    assert lines[2] == "macro F1 on 200 rows of test; in brackets the 95 % interval of the difference:"
    assert lines[3].startswith(f"  correcting {n} rows: 0.66")
    assert "-> 1.000, better (+0.33" in lines[3]
    assert lines[4].startswith("  removing them: 0.66")
    assert "cannot tell" in lines[4]
    assert "removing as many random rows: 0.66" in lines[5]
    assert lines[6].startswith("  correcting against removing as many random rows: better (")
    assert lines[7].startswith("  correcting against removing them: better (")
    assert lines[-1] == "numbers     runs/out-worth/worth.json"
    assert "4 trainings, together about 8 s" in err
    assert f"note: {70 - n} rows of validation with corrections: not used to select a checkpoint in any variant" in err
    assert "note: one seed" in err


def ablation_record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("runs/out-worth/worth.json").read_text(encoding="utf-8"))
    return found


def test_a_function_that_leads_the_recipe_measures_the_corrections(place: Path, untrained: list[AblationPlan], capsys) -> None:
    Path("gain.py").write_text("def gain(labels, predictions):\n    return float((labels == predictions).mean()) * 2 - 1\n")
    words = ["evaluate.function=gain.py:gain", "evaluate.metric=gain", "--json"]
    assert main([*APPLY, "--measure", *words]) == 0
    record = json.loads(capsys.readouterr().out)["measurement"]
    assert record["metric"] == "gain"
    assert {verdict["metric"] for verdict in record["verdicts"]} == {"gain", "accuracy"}
    for variant in record["variants"]:
        values = {metric["name"]: metric["value"] for metric in variant["metrics"]}
        assert values["gain"] == pytest.approx(2 * values["accuracy"] - 1)
    gaps = {(v["variant"], v["against"], v["metric"]): v["difference"] for v in record["verdicts"]}
    for (variant, against, metric), gap in gaps.items():
        assert metric != "gain" or gap == pytest.approx(2 * gaps[variant, against, "accuracy"])


def test_evaluation_rows_with_corrections_are_left_out_and_evaluated_a_second_time(
    place: Path, untrained: list[AblationPlan], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(tiny_model, test=None)
    assert main([*APPLY, "--measure"]) == 0
    out, err = capsys.readouterr()
    found = ablation_record()
    left_out = found["corrections"]["validation"]
    assert left_out > 0
    assert found["judged"] == {"split": "validation", "rows": 48 - left_out, "left_out": left_out}
    assert {(v["rows"], v["n"]) for v in found["verdicts"]} == {("undisputed", 48 - left_out), ("all", 48)}
    assert {v["split"] for v in found["verdicts"]} == {"validation"}
    assert [m["n"] for m in found["variants"][0]["metrics_all_rows"]] == [48, 48]
    assert "the same on all 48 rows, with the original labels:" in out
    assert "the evaluation rows also selected each variant's best checkpoint" in err
    (plan,) = untrained
    assert len(plan.inputs.splits.validation) == 48 - left_out


def test_the_verdicts_know_rows_that_belong_together_selection_and_how_many_they_are(
    place: Path, untrained: list[AblationPlan], tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rows = Path("test.csv").read_text(encoding="utf-8").splitlines()
    Path("test.csv").write_text("\n".join([*rows, *rows[1:51]]) + "\n", encoding="utf-8")
    finished = ablation.train_variants
    selected = lambda *args: replace(finished(*args), n_candidates=10)  # noqa: E731
    monkeypatch.setattr(ablation, "train_variants", selected)
    assert main([*APPLY, "--measure"]) == 0
    found, out, err = ablation_record(), *capsys.readouterr()
    n_clusters = 1 + int(row_clusters([row["text"] for row in sentences_of(200, seed=1)]).max())
    assert 190 < n_clusters <= 200  # fifty rows are there twice
    assert {(v["n"], v["n_clusters"]) for v in found["verdicts"]} == {(250, n_clusters)}
    assert {v["n_comparisons"] for v in found["verdicts"] if v["p_two_sided"] is not None} == {6}
    assert {m["n_candidates"] for variant in found["variants"] for m in variant["metrics"]} == {10}
    assert "hold for the 6 comparisons of this table together (Holm's correction)" in out
    assert "This test set has been looked at 4 times" in err
    assert len(read_looks(Path("runs") / LOOKS)) == 4
    assert main([*APPLY, "--measure", "--overwrite"]) == 0
    assert "This test set has been looked at 8 times" in capsys.readouterr().err


def test_a_share_of_the_rows_is_the_same_test_set_as_that_of_a_training(
    place: Path, untrained: list[AblationPlan], tiny_model: Path
) -> None:
    write_recipe(tiny_model, test=0.25)
    assert main(["train", "recipe.yaml", "train.num_train_epochs=1"]) == 0
    assert main([*APPLY, "--measure"]) == 0
    assert len({look.test for look in read_looks(Path("runs") / LOOKS)}) == 1


def test_seeds_and_settings_are_the_recipes(place: Path, untrained: list[AblationPlan], capsys) -> None:
    assert main([*APPLY, "train.n_seeds=3", "train.seed=5", "--measure", "recipe.yaml"]) == 0
    assert ablation_record()["seeds"] == [5, 6, 7]
    assert ablation_record()["recipe"]["train"]["n_seeds"] == 3
    assert all(len(variant.trains) == 3 for variant in untrained[0].variants)
    assert "note: one seed" not in capsys.readouterr().err


def test_the_recipe_that_a_diagnosis_left_is_taken(place: Path, untrained: list[AblationPlan]) -> None:
    """It lies beside the corrections, and its files where the diagnosis was started."""
    folder = Path("runs/out-diagnosis")
    folder.mkdir(parents=True)
    for name in ("corrections.csv", "recipe.yaml"):
        Path(name).rename(folder / name)
    assert main(["apply", str(folder / "corrections.csv"), "train.csv", "--allow-many", "--measure"]) == 0
    assert ablation_record()["judged"]["rows"] == 200


def test_the_same_is_measured_from_python(place: Path, untrained: list[AblationPlan]) -> None:
    result = tunesmith.apply("corrections.csv", "train.csv", allow_many=True, measure="recipe.yaml")
    assert result.comparison("corrected", "as_given").verdict.word == "better"
    assert result.corrected.n_relabelled == FLIPPED
    again = tunesmith.apply(Path("corrections.csv"), Path("train.csv"), allow_many=True, measure=True, overwrite=True)
    assert again.counts == result.counts
    with pytest.raises(DataError, match="measure trains on the file that the recipe names; list was given"):
        tunesmith.apply("corrections.csv", [{"text": "a"}], measure=True)


def test_a_setting_may_follow_the_option(place: Path, untrained: list[AblationPlan]) -> None:
    assert main([*APPLY, "--measure", "train.seed=5"]) == 0
    assert ablation_record()["seeds"] == [5]


def test_an_interruption_keeps_the_corrected_file_and_the_next_try_uses_it(
    place: Path, untrained: list[AblationPlan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = ablation.train_variants

    def stopped(*_args: Any) -> None:
        assert Path("train.corrected.csv").exists()
        assert Path("runs/out-worth.partial").exists()
        raise Interrupted("stopped by SIGINT after step 3 of 9")

    monkeypatch.setattr(ablation, "train_variants", stopped)
    assert main([*APPLY, "--measure"]) == 130
    assert "train.corrected.csv is complete; repeat the command" in capsys.readouterr().err
    content = Path("train.corrected.csv").read_bytes()
    assert not [path for path in Path("runs").iterdir()]
    monkeypatch.setattr(ablation, "train_variants", finished)
    assert main([*APPLY, "--measure"]) == 0
    assert Path("train.corrected.csv").read_bytes() == content
    assert ablation_record()["verdicts"]


def test_an_earlier_measurement_is_replaced_only_on_request(place: Path, untrained: list[AblationPlan], capsys) -> None:
    assert main([*APPLY, "--measure"]) == 0
    kept = files()
    assert main([*APPLY, "--measure"]) == 2
    assert "or replace it with --overwrite." in capsys.readouterr().err
    assert files() == kept
    assert main([*APPLY, "--measure", "--overwrite", "train.seed=3"]) == 0
    assert ablation_record()["seeds"] == [3]


def test_another_file_in_the_place_of_the_corrected_one_is_refused(place: Path, untrained: list[AblationPlan], capsys) -> None:
    Path("train.corrected.csv").write_text("precious", encoding="utf-8")
    before = files()
    assert main([*APPLY, "--measure"]) == 2
    assert "corrected rows are only written to a new one" in capsys.readouterr().err
    assert files() == before


def test_corrections_that_remove_are_measured_once(place: Path, untrained: list[AblationPlan], capsys) -> None:
    text = Path("corrections.csv").read_text(encoding="utf-8").replace(",relabel,", ",remove,")
    Path("corrections.csv").write_text(text, encoding="utf-8")
    assert main([*APPLY, "--measure"]) == 0
    out, err = capsys.readouterr()
    assert [v["name"] for v in ablation_record()["variants"]] == ["as_given", "corrected", "random_removed"]
    assert "all corrections of training rows remove them" in err
    assert "removing them" not in out


def test_a_file_of_the_diagnosis_of_several_files_is_measured_too(place: Path, untrained: list[AblationPlan]) -> None:
    """Its rows of the test file have numbers that rows of the training file have as well."""
    test_sha = read_file(Path("test.csv"), "").sha256
    with Path("test.csv").open(encoding="utf-8", newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    with Path("corrections.csv").open("a", encoding="utf-8") as out:
        out.writelines(f"{i},test,{labels[i]},{OTHER[labels[i]]},0,,,relabel,{test_sha}\n" for i in range(200) if i % 20 == 0)
    assert main([*APPLY, "--measure"]) == 0
    found = ablation_record()
    assert found["judged"] == {"split": "test", "rows": 190, "left_out": 10}
    assert untrained[0].holdout.evaluation.labels == [{"neg": 0, "pos": 1}[label] for label in labels]
