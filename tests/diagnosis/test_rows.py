"""The diagnosis of whole files: the planted labels of the sample, the folder it leaves, bad input, corrections applied."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import tunesmith
from tests.report.test_review import data_of
from tunesmith.cli.main import main
from tunesmith.data.readers.read import read_table
from tunesmith.models import base_embeddings

N_TEST = 240
TRUTH = Path(__file__).parents[1] / "data" / "support_truth.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The diagnosis of the built-in support messages, with 240 of the test rows."""
    place = tmp_path_factory.mktemp("doctor")
    table = read_table("builtin:support_test").take(range(N_TEST))
    with (place / "test.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([table.columns, *zip(*table.columns.values(), strict=True)])
    settings = {"data": {"train": "builtin:support_train", "test": "test.csv"}, "output": str(place / "support")}
    (place / "recipe.yaml").write_text(json.dumps(settings), encoding="utf-8")
    assert main(["diagnose", str(place / "recipe.yaml")]) == 0
    return place / "support-diagnosis"


def planted() -> set[int]:
    """Rows of the sample whose label is wrong on purpose."""
    sample = Path(tunesmith.__file__).parent / "data" / "samples" / "support_train.csv"
    with sample.open(encoding="utf-8", newline="") as given, TRUTH.open(encoding="utf-8", newline="") as right:
        pairs = zip(csv.DictReader(given), csv.DictReader(right), strict=True)
        return {int(truth["row_id"]) for row, truth in pairs if row["intent"] != truth["intent"]}


def test_the_planted_labels_are_found(folder: Path) -> None:
    rows = [row for row in pq.read_table(folder / "rows.parquet").to_pylist() if row["split"] == "train"]
    flagged, wrong = {row["row_id"] for row in rows if row["flagged"]}, planted()
    assert len(wrong) == 36
    assert len(flagged & wrong) / len(wrong) >= 0.75
    assert len(flagged & wrong) / len(flagged) >= 0.4  # one in five is promised
    record = json.loads((folder / "diagnosis.json").read_text(encoding="utf-8"))
    summary = next(f["summary"] for f in record["findings"] if f["name"] == "suspect_labels")
    low, high = map(float, re.match(r"Between ([\d.]+)% and ([\d.]+)% of the 900 labels", summary).groups())  # type: ignore[union-attr]
    assert low <= 4 <= high <= 20
    words = re.search(r"(\d+) rows are flagged .* about (\d+) of them do, beside (\d+) of the other rows\.", summary)
    assert words
    n_flagged, among_flagged, among_others = map(int, words.groups())
    assert n_flagged == len(flagged)
    assert 0.2 * n_flagged <= among_flagged <= n_flagged
    assert among_others < 0.2 * (900 - n_flagged)


def test_every_row_has_a_score_in_0_to_1_and_names(folder: Path) -> None:
    rows = pq.read_table(folder / "rows.parquet").to_pylist()
    assert [row["split"] for row in rows].count("train") == 900
    assert [row["split"] for row in rows].count("test") == N_TEST
    for name in (key for key in rows[0] if key.endswith("score")):
        assert all(row[name] is None or 0 <= row[name] <= 1 for row in rows), name
    assert all((row["proposed"] is not None) == row["flagged"] for row in rows)


def test_the_record_has_every_diagnosis_with_a_summary_or_a_reason(folder: Path) -> None:
    record = json.loads((folder / "diagnosis.json").read_text(encoding="utf-8"))
    names = [finding["name"] for finding in record["findings"]]
    assert {"suspect_labels", "pvi", "duplicates", "leakage_test", "language_drift_test", "shortcut_words", "cartography"} <= set(
        names
    )
    assert all(finding["summary"] or finding["skipped"] for finding in record["findings"])
    assert {finding["name"] for finding in record["findings"] if finding["skipped"]} >= {"aum", "forgetting", "cartography"}


def test_the_corrections_can_be_applied_and_the_old_file_stays(folder: Path, tmp_path: Path, capsys) -> None:
    sample = Path(tunesmith.__file__).parent / "data" / "samples" / "support_train.csv"
    data = tmp_path / "support_train.csv"
    data.write_bytes(sample.read_bytes())
    assert main(["apply", str(folder / "corrections.csv"), str(data), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["rows"] == 900
    assert data.read_bytes() == sample.read_bytes()
    changed = Path(done["output"]).read_text(encoding="utf-8").splitlines()
    before = sample.read_text(encoding="utf-8").splitlines()
    assert sum(a != b for a, b in zip(before, changed, strict=True)) == done["relabelled"]


def test_splits_without_enough_labels_are_reported(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("\n".join(["text,label", *different_rows(30)]), encoding="utf-8")
    Path("none.csv").write_text("text,label\nnobody has judged this,\n", encoding="utf-8")
    Path("one.csv").write_text("text,label\nsomebody has judged that,x\n", encoding="utf-8")
    _, findings = diagnosed(["rows.csv", "data.validation=none.csv", "data.test=one.csv", "diagnose.n_folds=2"], capsys)
    assert findings["pvi_validation"]["skipped"] == "no row has a label to compare with the model"
    assert findings["unlabelled_validation"]["flagged"] == 1
    assert findings["knn_shapley_test"]["skipped"] == "it needs two rows with a label"
    assert "nan" not in str([finding["summary"] for finding in findings.values()])


def test_a_class_that_one_fold_holds_alone_leaves_the_others_scored(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = ["a"] * 30 + ["b"] * 10
    lines = [
        f"{line.split(',')[0]},{label},{i if label == 'a' else 'one'}"
        for i, (line, label) in enumerate(zip(different_rows(40), labels, strict=True))
    ]
    Path("rows.csv").write_text("\n".join(["text,label,customer", *lines]), encoding="utf-8")
    result, findings = diagnosed(["rows.csv", "data.columns.group=customer"], capsys)
    assert findings["not_judged"]["flagged"] == 10
    assert findings["suspect_labels"]["skipped"] == "it needs rows of two classes"
    assert len(pq.read_table(result["rows"])) == 40


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("text,label\na,x\nb,y\nc,x\nd,y\n", [], "4 rows in 4 sets that must stay together cannot be divided into 10 folds"),
        ("text,label\n" + "the same text,x\n" * 9 + "another one,y\n", [], "10 rows in 2 sets that must stay together"),
        ("text,label\n" + "".join(f"row {i},\n" for i in range(9)), [], "No column looks like a label"),
        ("text,label\n" + "".join(f"row {i},{'xy'[i % 2]}\n" for i in range(9)), ["diagnose.n_folds=1"], "n_folds"),
    ],
)
def test_bad_input_is_one_clear_message_and_writes_nothing(text, more, message: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(text, encoding="utf-8")
    assert main(["diagnose", "rows.csv", *more]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


WORDS = [
    "apple", "river", "stone", "cloud", "table", "green", "seven", "music", "paper", "light", "house", "water", "train", "sugar",
    "coast",
]  # fmt: skip


def different_rows(n: int) -> list[str]:
    """Lines of a csv file with a text and one of two labels; no text is near another."""
    return [
        f"{WORDS[i // 3]} {WORDS[i % 3]} {WORDS[i // 3 - i % 3]} {WORDS[i // 3]},{'xy'[(i // 3 + i % 3) % 2]}" for i in range(n)
    ]


def diagnosed(words: list[str], capsys) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Returns the output of ``diagnose --json``, and its findings by name."""
    assert main(["diagnose", *words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    return result, {finding["name"]: finding for finding in result["findings"]}


def test_rows_embedded_by_half_of_the_layers_are_noted(tmp_path: Path, tiny_model: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base_embeddings, "MANY_TOKENS", 10)
    monkeypatch.setattr(base_embeddings, "FEWEST_LAYERS", 2)
    Path("rows.csv").write_text("\n".join(["text,label", *different_rows(20)]), encoding="utf-8")
    words = ["diagnose", "rows.csv", f"model.name={tiny_model}", "diagnose.n_folds=2"]
    assert main(words) == 0
    printed = capsys.readouterr()
    note = "so they are embedded by the first 1 of 2 layers"
    assert note in printed.out + printed.err
    assert note in json.loads(Path("runs/rows-diagnosis/diagnosis.json").read_text(encoding="utf-8"))["notes"][0]


def test_annotators_columns_are_used(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [line.split(",") for line in different_rows(20)]
    lines = [",".join([text, label, label, "" if i == 3 else "x" if i == 7 else label]) for i, (text, label) in enumerate(rows)]
    Path("rows.csv").write_text("\n".join(["text,label,anna,ben", *lines]), encoding="utf-8")
    words = ["rows.csv", "data.columns.label=label", "data.columns.annotators=[anna, ben]", "diagnose.n_folds=2"]
    result, findings = diagnosed(words, capsys)
    scores = [row["annotator_disagreement_score"] for row in pq.read_table(result["rows"]).to_pylist()]
    assert rows[7][1] == "y"
    assert [i for i, score in enumerate(scores) if score != 1] == [7]
    assert findings["annotator_disagreement"]["rows"][0]["reason"] == "annotators: x 1, y 1"


def test_an_address_is_in_no_file_of_the_diagnosis(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    mail, phone, damaged = "jane.roe@mail.example.org", "+49 30 901820", "caf\u00c3\u00a9"
    texts = [f"write to {mail} at once,x", f"write to {mail} at once,y", f"call {phone} {damaged} {mail},x"]
    texts += [f"{WORDS[i % 15]} call {phone} {WORDS[i // 2]},x" for i in range(22)]
    rows = "\n".join(
        [
            "text,label,customer",
            *(f"{line},{mail}" for line in texts),
            *(f"{line},c{i}" for i, line in enumerate(different_rows(45))),
        ]
    )
    Path("rows.csv").write_text(rows, encoding="utf-8")
    Path("test.csv").write_text(
        f"text,label,customer\nwrite to {mail} at once,x,c1\nnothing to say here,y,{mail}\n", encoding="utf-8"
    )
    columns = "data.columns={text: text, label: label, group: customer}"
    result, findings = diagnosed(["rows.csv", "data.test=test.csv", columns], capsys)
    assert {"duplicates", "conflicting_labels", "encoding_damage", "leakage_test", "personal_data"} <= {
        name for name, finding in findings.items() if finding["flagged"]
    }
    folder = Path(result["review"]).parent
    contents = {path.name: path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()}
    contents |= {f"rows of {name}": json.dumps(data_of(contents[name])) for name in ("review.html", "review-test.html")}
    contents["rows.parquet"] = str(pq.read_table(result["rows"]).to_pylist())
    assert set(contents) >= {"diagnosis.json", "rows.parquet", "corrections.csv", "review.html", "review-test.html"}
    for piece in (mail, phone, "jane.roe", "901820"):
        assert [name for name, content in contents.items() if piece in content] == [], piece
    assert "write to [email] at once" in contents["rows of review.html"]


def two_intents(n: int) -> list[tuple[str, str]]:
    """Returns support messages of two intents that a model can tell apart, with their labels."""
    sample = Path(tunesmith.__file__).parent / "data" / "samples" / "support_train.csv"
    with sample.open(encoding="utf-8", newline="") as file:
        rows = [(row["message"], row["intent"]) for row in csv.DictReader(file)]
    return [row for row in rows if row[1] in ("login_problem", "cancel_order")][:n]


def test_rows_without_a_label_get_a_proposed_one_that_can_be_applied(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(text, label if i % 9 else "") for i, (text, label) in enumerate(two_intents(90))]
    with Path("rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows, ("", "login_problem")])
    result, findings = diagnosed(["rows.csv"], capsys)
    assert findings["unlabelled"]["flagged"] == 10
    assert findings["dropped_rows"]["summary"] == "1 row was not used: text is empty (train): 1."
    found = {row["row_id"]: row for row in pq.read_table(result["rows"]).to_pylist()}
    assert len(found) == 90
    assert all(found[i]["given"] is None and found[i]["proposed"] and found[i]["flagged"] for i in range(0, 90, 9))
    with Path(result["corrections"]).open(encoding="utf-8", newline="") as file:
        corrections = [row for row in csv.DictReader(file) if not row["given"]]
    assert sorted(int(row["row_id"]) for row in corrections) == list(range(0, 90, 9))
    with Path("blank.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, corrections[0])
        writer.writeheader()
        writer.writerows(corrections)
    assert main(["apply", "blank.csv", "rows.csv", "--output", "full.csv"]) == 0
    with Path("full.csv").open(encoding="utf-8", newline="") as file:
        full = list(csv.DictReader(file))
    assert all(full[int(row["row_id"])]["label"] == row["proposed"] for row in corrections)


def test_a_model_that_has_learnt_nothing_proposes_nothing(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.random.default_rng(0).permutation(["x", "y"] * 60)
    rows = [(text, label if i % 9 else "") for i, ((text, _), label) in enumerate(zip(two_intents(120), labels, strict=True))]
    with Path("rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    result, findings = diagnosed(["rows.csv"], capsys)
    for name in ("suspect_labels", "loss_rank", "confident_learning"):
        assert "of what the class shares leave open" in findings[name]["skipped"]
        assert findings[name]["flagged"] == 0
    assert all(row["proposed"] is None for row in pq.read_table(result["rows"]).to_pylist())
    assert result["n_corrections"] == 0


def test_a_class_with_one_row_is_reported_and_not_scored(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("\n".join(["text,label", *different_rows(45), "so &amp; so,lonely", ""]), encoding="utf-8")
    assert main(["diagnose", "rows.csv", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = {finding["name"]: finding["flagged"] for finding in result["findings"]}
    assert {"html_entities": 1, "rare_labels": 1}.items() <= found.items(), "findings of check without a diagnosis of their own"
    assert [finding["name"] for finding in result["findings"]].count("duplicates") == 1
    (lonely,) = [row for row in pq.read_table(result["rows"]).to_pylist() if row["row_id"] == 45]
    assert lonely["given"] == "lonely"
    assert lonely["score"] is None
    (finding,) = [finding for finding in result["findings"] if finding["name"] == "not_judged"]
    assert finding["flagged"] == 1


def table(n: int) -> dict[str, list[str]]:
    texts, labels = zip(*(line.split(",") for line in different_rows(n)), strict=True)
    return {"text": list(texts), "label": list(labels)}


def test_the_python_function_takes_tables_and_settings(tmp_path: Path) -> None:
    settings = {"data": {"columns": {"text": "text", "label": "label"}}, "diagnose": {"n_folds": 3}}
    found = tunesmith.diagnose(table(45), test=table(12), output=tmp_path / "rows", **settings)
    assert found.folder == tmp_path / "rows-diagnosis"
    assert found.n_rows == 57
    rows = pq.read_table(found.folder / "rows.parquet").to_pylist()
    assert [row["split"] for row in rows] == ["train"] * 45 + ["test"] * 12
    (leaked,) = [finding for finding in found.findings if finding.name == "leakage_test"]
    assert leaked.flagged == 12
    with pytest.raises(tunesmith.InputError, match="--overwrite"):
        tunesmith.diagnose(table(45), output=tmp_path / "rows")


def test_the_python_function_takes_a_recipe_and_nothing_beside_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("\n".join(["text,label", *different_rows(45)]), encoding="utf-8")
    Path("recipe.yaml").write_text("data: {train: rows.csv}\noutput: runs/rows\n", encoding="utf-8")
    assert tunesmith.diagnose("recipe.yaml").n_rows == 45
    with pytest.raises(tunesmith.InputError, match="a recipe file and diagnose were both given"):
        tunesmith.diagnose("recipe.yaml", diagnose={"n_folds": 3})
    with pytest.raises(tunesmith.InputError, match="a recipe file and output, test were both given"):
        tunesmith.diagnose("recipe.yaml", output="runs/other", test=[{"text": "a", "label": "b"}])


def test_the_function_stays_callable_when_its_modules_are_imported() -> None:
    import tunesmith.diagnosis.rows

    assert callable(tunesmith.diagnose)


@pytest.mark.parametrize(("n_corrections", "source"), [(2, "my rows.csv"), (0, "my rows.csv"), (2, "builtin:support_train")])
def test_the_command_that_applies_corrections_is_named(
    n_corrections: int, source: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my rows.csv").write_text("text,label\na,b\n", encoding="utf-8")
    done = SimpleNamespace(
        folder=Path("out"), n_corrections=n_corrections, findings=(), agreement=(), notes=(), to_json=dict, reports=()
    )
    monkeypatch.setattr("tunesmith.diagnosis.rows.diagnose", lambda *_, **__: done)
    monkeypatch.setattr("tunesmith.cli.diagnose.finding_lines", lambda _: [])
    Path("recipe.yaml").write_text(json.dumps({"data": {"train": source}, "output": "out"}), encoding="utf-8")
    assert main(["diagnose", "recipe.yaml"]) == 0
    named = n_corrections > 0 and source == "my rows.csv"
    assert ("tunesmith apply out/corrections.csv 'my rows.csv'" in capsys.readouterr().out) == named
