"""Whole commands on a run of several training files with maps of labels and a template."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tunesmith.cli.main import main

CODES = {"neg": "0", "pos": "1"}
WORDS = {"neg": "no", "pos": "yes"}
RECIPE = """
data:
  train: first.csv
  also: [second.csv]
  template: "{{title}} {{body}}"
  labels:
    first.csv: {{0: neg, 1: pos, 2: null}}
    second.csv: {{"no": neg, "yes": pos}}
  validation: 0.2
  test: 0.2
model: {{name: {model}}}
train: {{learning_rate: 5.0e-3, per_device_train_batch_size: 16, num_train_epochs: 3, n_evaluations: 2}}
evaluate: {{baselines: [majority, frozen], n_resamples: 100}}
diagnose: {{n_folds: 3}}
output: run
"""


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def halves(text: str) -> dict[str, str]:
    words = text.split()
    return {"title": words[0], "body": " ".join(words[1:])}


@pytest.fixture(scope="module")
def folder(tiny_model: Path, sentences: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two differently coded files, their recipe and its run; 2 in the first file is no class, 3 rows have it."""
    folder = tmp_path_factory.mktemp("several")
    first = [{**halves(row["text"]), "label": CODES[row["label"]]} for row in sentences[:120]]
    for i in (5, 50, 100):
        first[i]["label"] = "2"
    write(folder / "first.csv", first)
    write(folder / "second.csv", [{"kind": WORDS[row["label"]], **halves(row["text"])} for row in sentences[120:]])
    (folder / "recipe.yaml").write_text(RECIPE.format(model=tiny_model))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "recipe.yaml"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_the_record_names_both_files_and_the_rows_left_out(folder: Path) -> None:
    data = json.loads((folder / "run/result.json").read_text())["data"]
    assert data["labels"] == ["neg", "pos"]
    train = data["splits"]["train"]
    assert train["dropped"] == {"labelled 2, which data.labels maps to null": 3}
    assert [(file["source"], file["first_row"]) for file in train["files"]] == [("first.csv", 0), ("second.csv", 120)]
    assert sum(part["rows"] for part in data["splits"].values()) == 237


def test_predictions_name_the_file_and_line_of_each_row(folder: Path, sentences: list[dict[str, str]]) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "run/predictions.parquet").to_pylist()
    lines = {name: (folder / name).read_text().splitlines() for name in ("first.csv", "second.csv")}
    assert {row["source"] for row in rows} == {*lines}
    for row in rows:
        cells = lines[row["source"]][row["line"] - 1]
        assert row["text"] == sentences[row["row_id"]]["text"]
        assert row["text"].split()[0] in cells
        assert row["source_row_id"] == row["row_id"] - (120 if row["source"] == "second.csv" else 0)


def accuracy(capsys: pytest.CaptureFixture[str], *args: str) -> float:
    capsys.readouterr()
    assert main(["evaluate", "run", *args, "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "accuracy"))


def test_evaluate_reads_files_of_every_coding(
    folder: Path, sentences: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**halves(row["text"]), "label": row["label"]} for row in sentences]
    right = accuracy(capsys, str(write(folder / "names.csv", rows)))
    assert right > 0.7
    for name, coding in (("numbers", CODES), ("words", WORDS)):
        path = write(folder / f"{name}.csv", [{**row, "label": coding[row["label"]]} for row in rows])
        assert accuracy(capsys, str(path)) == right
    path = write(folder / "other.csv", [{**row, "label": {"neg": "x", "pos": "y"}[row["label"]]} for row in rows])
    assert main(["evaluate", "run", str(path)]) == 2
    assert "--labels '{LABEL: CLASS}'" in capsys.readouterr().err
    assert accuracy(capsys, str(path), "--labels", "{x: neg, y: pos}") == right
    assert accuracy(capsys, str(path), "--labels", "{x: pos, y: neg}") == pytest.approx(1 - right)
    assert tunesmith.evaluate("run", path, labels={"x": "neg", "y": "pos"}).metric("accuracy").value == right


def test_predict_joins_the_columns_as_in_training(
    folder: Path, sentences: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    own = write(folder / "new.csv", [halves(row["text"]) for row in sentences[:20]])
    joined, plain = tunesmith.predict("run", own), tunesmith.predict("run", [row["text"] for row in sentences[:20]])
    assert [row["probability"] for row in joined] == pytest.approx([row["probability"] for row in plain])
    assert list(joined.kept) == ["title", "body"]
    assert tunesmith.Run.load(folder / "run").predict([row["text"] for row in sentences[:20]]).predictions == plain.predictions
    lacking = write(folder / "lacking.csv", [{"title": "good", "words": row["text"]} for row in sentences[:20]])
    assert main(["predict", "run", str(lacking)]) == 2
    assert "There is no column 'body'; the run joins its texts by data.template" in capsys.readouterr().err
    assert tunesmith.predict("run", lacking, columns={"text": "words"}).predictions == plain.predictions


def test_piped_csv_is_known_by_the_columns_of_the_template(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("title,body\ngood,film\n"))
    assert main(["predict", "run", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 1


def test_trace_shows_the_row_in_its_file(sentences: list[dict[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(Path("run/result.json").read_text())["data"]["splits"]
    assert record["train"]["rows"] > 100
    for split in ("train", "test"):
        assert main(["trace", "recipe.yaml", "--row", "133", "--split", split, "--json"]) == 0
        stages = json.loads(capsys.readouterr().out)
        assert (stages["source"], stages["source_row_id"]) == ("second.csv", 13)
        assert stages["raw"] == {"kind": WORDS[sentences[133]["label"]], **halves(sentences[133]["text"])}


def test_corrections_change_the_right_rows_of_each_file(
    sentences: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", "recipe.yaml", "output=checked", "--overwrite"]) == 0
    assert {path.name for path in Path("checked-diagnosis").glob("review*")} == {"review.html", "review-also-1.html"}
    path = Path("checked-diagnosis/corrections.csv")
    header = path.read_text().splitlines()[0]
    resolved = json.loads(Path("run/result.json").read_text())["data"]["splits"]["train"]["files"]
    sha256 = {file["source"]: file["sha256"] for file in resolved}
    given = sentences[123]["label"]
    other = {"neg": "pos", "pos": "neg"}[given]
    assert header.startswith("row_id,split,given,proposed")
    path.write_text(f"row_id,given,proposed,source_sha256\n3,{given},{other},{sha256['second.csv']}\n")
    assert main(["apply", str(path), "first.csv"]) == 2
    assert "were made for another file" in capsys.readouterr().err
    assert main(["apply", str(path), "second.csv", "--output", "second.new.csv"]) == 0
    before, after = (Path(name).read_text().splitlines() for name in ("second.csv", "second.new.csv"))
    assert [i for i in range(len(before)) if before[i] != after[i]] == [4]
    assert after[4] == before[4].replace(WORDS[given], WORDS[other], 1)
    moved = write(Path("moved.csv"), [{"row_id": 3, "given": given, "proposed": other}])
    assert main(["apply", str(moved), "second.csv", "--output", "third.csv"]) == 2
    assert main(["apply", str(moved), "second.csv", "--output", "third.csv", "--labels", "{'no': neg, 'yes': pos}"]) == 0
    assert Path("third.csv").read_text().splitlines() == after


def test_differently_labelled_sets_are_compared_by_their_recipes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = json.loads((folder / "run/result.json").read_text())["recipe"]["model"]["name"]
    for name, labels, column in (("first", "{0: neg, 1: pos, 2: null}", "label"), ("second", "{'no': neg, 'yes': pos}", "kind")):
        text = f'data: {{train: {name}.csv, template: "{{title}} {{body}}", labels: {labels}, columns: {{label: {column}}}}}\n'
        Path(f"{name}.yaml").write_text(f"{text}model: {{name: {model}}}\noutput: {name}\n")
    capsys.readouterr()
    assert main(["diagnose", "first.yaml", "second.yaml", "diagnose.n_folds=3", "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["labels"] == ["neg", "pos"]
    assert [data["rows"] for data in outcome["data"]] == [117, 120]
    assert {cell["value"] is not None for cell in outcome["matrix"]} == {True}


def test_corrections_of_one_of_several_files_are_measured(
    sentences: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.data.labelled.load import load_labelled_data
    from tunesmith.recipe.load import load_recipe

    loaded = load_recipe(Path("recipe.yaml"))
    train = load_labelled_data(loaded.recipe, loaded.base).train
    own = [i - 120 for i in train.row_ids if i >= 120][:4]
    other = {"neg": "pos", "pos": "neg"}
    given = [sentences[i + 120]["label"] for i in own]
    write(Path("wrong.csv"), [{"row_id": i, "given": name, "proposed": other[name]} for i, name in zip(own, given, strict=True)])
    args = ["apply", "wrong.csv", "second.csv", "--output", "measured.csv", "--measure", "recipe.yaml", "output=measured"]
    assert main([*args, "train.num_train_epochs=1", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["measurement"]["corrections"]
    assert (counts["train"], counts["unused"]) == (4, 0)
