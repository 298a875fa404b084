"""The diagnosis of several data sets: what is found, what is written, what the command line and Python give back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.cli.main import main
from tunesmith.diagnosis import label_comparison
from tunesmith.diagnosis.datasets import default_folder, diagnose_data_sets, short_names
from tunesmith.errors import InputError
from tunesmith.models import base_embeddings
from tunesmith.models.base_embeddings import BaseEmbeddings
from tunesmith.recipe.load import LoadedRecipe, recipe_from_mapping

WORDS = [
    "film", "book", "food", "day", "music", "house", "garden", "river", "street", "window", "paper", "letter", "train", "ticket",
    "summer", "winter", "coffee", "bread",
]  # fmt: skip
SAME = "the very same words in the film of the day"


def texts(n: int, seed: int) -> list[str]:
    """Texts that tell their class, the even ones good; no two are nearly the same."""
    draw = np.random.default_rng(seed)
    return [f"{'good' if i % 2 else 'awful'} {' '.join(draw.choice(WORDS, 7, replace=False))}" for i in range(n)]


def rows(n: int, seed: int, names: tuple[str, str] = ("neg", "pos")) -> list[list[str]]:
    return [[text, names[i % 2]] for i, text in enumerate(texts(n, seed))]


def write(path: Path, lines: list[list[str]], *columns: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([columns or ("text", "label"), *lines])


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three data sets: in the last one, labels mean the opposite and there is one more."""
    write(tmp_path / "a.csv", [*rows(60, 1), [SAME, "pos"]])
    write(tmp_path / "b.csv", [*rows(50, 2), [SAME.upper() + "!", "neg"], [SAME, "neg"]])
    write(tmp_path / "c.csv", [*rows(50, 3, ("pos", "neg")), *[[f"nobody knows {text}", "mixed"] for text in texts(10, 4)]])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def diagnosed(tiny_model: Path, *words: str) -> int:
    return main(["diagnose", *words, f"model.name={tiny_model}", "diagnose.n_folds=3"])


def test_data_sets_are_compared(place: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnosed(tiny_model, "a.csv", "b.csv", "c.csv", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    folder = place / "runs" / "a-b-c-diagnosis"
    record = json.loads((folder / "diagnosis.json").read_text(encoding="utf-8"))
    assert {key: record[key] for key in result} == result
    assert (result["labels"], result["n_rows"], result["oracle"]) == (["neg", "pos"], 61 + 52 + 50, None)
    assert [one["rows"] for one in result["data"]] == [61, 52, 50]
    assert [one["left_out"] for one in result["data"]] == [{}, {}, {"mixed": 10}]
    assert "c: 10 rows were left out of the comparison, since not every data set has their label: mixed (10)." in result["notes"]
    cells = {(cell["trained_on"], cell["tested_on"]): cell for cell in result["matrix"]}
    assert all(cells[name, name]["held_out"] for name in "abc")
    assert cells["a", "b"]["value"] > 0.7
    assert cells["a", "c"]["value"] < -0.7
    assert (cells["a", "b"]["n_trained"], cells["a", "b"]["n_left_out"], cells["b", "a"]["n_left_out"]) == (60, 1, 2)
    assert 0.5 < cells["a", "b"]["low"] < cells["a", "b"]["value"] <= cells["a", "b"]["high"] <= 1
    findings = {finding["name"]: finding for finding in result["findings"]}
    assert findings["opposite_labels"]["flagged"] == 3
    assert findings["opposite_labels"]["summary"].endswith("are labelled differently there. Texts: 1 of a and b.")
    assert findings["opposite_labels"]["rows"][0]["reason"] == "pos here, neg in b: same text as row 50"
    assert findings["transfer"]["remedy"]
    hardness = {row["data"]: row for row in result["difficulty"]}
    assert [hardness[name]["n_classes"] for name in "abc"] == [2, 2, 3]  # each with its own labels
    assert [row["n"] for row in hardness.values()] == [61 if name == "a" else 52 if name == "b" else 60 for name in hardness]
    assert hardness["a"]["low"] > 0.2
    assert hardness["a"]["share_low"] < hardness["a"]["share"] < hardness["a"]["share_high"] <= 1
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "diagnosis.json", "difficulty.csv", "opposite.csv", "recipe.yaml", "report.html", "resolved.yaml", "run.json",
    ]  # fmt: skip


def test_a_word_that_decides_in_one_data_set_alone_is_named(place: Path, tiny_model: Path, capsys) -> None:
    """In one data set texts with "coffee" are positive, whatever else they contain."""
    for name, seed in (("plain", 20), ("coffee", 21)):
        lines = [[text, "pos" if name == "coffee" and "coffee" in text else label] for text, label in rows(700, seed)]
        write(place / f"{name}.csv", lines)
    assert diagnosed(tiny_model, "plain.csv", "coffee.csv") == 0
    out = capsys.readouterr().out
    assert 'if the text contains "coffee": plain ' in out
    record = json.loads((place / "runs/plain-coffee-diagnosis/diagnosis.json").read_text(encoding="utf-8"))
    (criteria,) = record["criteria"]
    named = [rule for rule in [*criteria["rules"], *criteria["tendencies"]] if "coffee" in rule["condition"]]
    assert named[0]["label"] in ("neg", "pos")
    assert 0.25 < named[0]["first_share"] < 0.75
    assert named[0]["second_share"] in (0.0, 1.0)
    (finding,) = [finding for finding in record["findings"] if finding["name"] == "criteria_plain_coffee"]
    assert "coffee" in finding["summary"]
    page = (place / "runs/plain-coffee-diagnosis/report.html").read_text(encoding="utf-8")
    assert ">with &quot;coffee&quot;</td>" in page


@pytest.mark.slow
def test_a_language_model_chooses_one_of_the_conditions(place: Path, tiny_model: Path, shared: Path, capsys) -> None:
    for name, seed in (("plain", 22), ("drinks", 23)):
        decisive = ("coffee", "bread") if name == "drinks" else ()
        lines = [[text, "pos" if any(word in text for word in decisive) else label] for text, label in rows(900, seed)]
        write(place / f"{name}.csv", lines)
    assert diagnosed(tiny_model, "plain.csv", "drinks.csv", "--explain", str(shared / "models/stories3M")) == 0
    assert "  Generated by the language model, one of " in capsys.readouterr().out
    record = json.loads((place / "runs/plain-drinks-diagnosis/diagnosis.json").read_text(encoding="utf-8"))
    (criteria,) = record["criteria"]
    chosen = criteria["chosen"]
    named = [rule["condition"] for rule in [*criteria["rules"], *criteria["tendencies"]]]
    assert any("coffee" in condition or "bread" in condition for condition in named)
    assert chosen["rule"]["condition"].startswith("the text ")
    assert chosen["n_candidates"] >= 2
    assert chosen["low"] <= chosen["agreement"] <= chosen["high"]
    assert not any("was not asked" in note for note in record["notes"])
    write(place / "again.csv", rows(900, 24))
    assert diagnosed(tiny_model, "plain.csv", "again.csv", "--explain", str(shared / "models/stories3M")) == 0
    note = "plain and again: the language model was not asked, since fewer than two conditions passed the test."
    assert note in "".join(capsys.readouterr())
    assert main(["diagnose", "plain.csv", "--explain", "x"]) == 2
    assert "and there is one" in capsys.readouterr().err


def test_data_sets_of_other_labels_are_measured_each_by_itself(place: Path, tiny_model: Path, capsys) -> None:
    """A separable set, one whose labels are independent of the text, and pairs with three classes."""
    write(
        place / "noise.csv",
        [[text, str(draw)] for text, draw in zip(texts(60, 8), np.random.default_rng(0).integers(0, 2, 60), strict=True)],
    )
    write(
        place / "pairs.csv",
        [[a, b, "xyz"[i % 3]] for i, (a, b) in enumerate(zip(texts(45, 5), texts(45, 6), strict=True))],
        "premise",
        "hypothesis",
        "label",
    )
    assert diagnosed(tiny_model, "a.csv", "noise.csv", "pairs.csv", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["labels"], result["matrix"], result["opposite"]) == ([], [], None)
    assert result["notes"][0].startswith("Each data set was measured by itself: pairs has pairs of texts, ")
    table = {row["data"]: row for row in result["difficulty"]}
    assert list(table)[-1] == "a"  # the hardest first
    assert table["a"]["v_information_bits"] > 0.3 > 0.1 > table["noise"]["v_information_bits"]
    assert table["noise"]["low"] < 0.05
    assert table["a"]["codelength_bits"] < table["noise"]["codelength_bits"]
    assert table["pairs"]["entropy_bits"] == pytest.approx(np.log2(3), abs=1e-6)
    with (place / "runs/a-noise-pairs-diagnosis/difficulty.csv").open(encoding="utf-8", newline="") as given:
        assert [line["data"] for line in csv.DictReader(given)] == list(table)
    page = (place / "runs/a-noise-pairs-diagnosis/report.html").read_text(encoding="utf-8")
    assert all(f"{row['codelength_bits']:.3f}" in page for row in table.values())


def test_the_opposite_rows_are_in_a_file(place: Path, tiny_model: Path) -> None:
    assert diagnosed(tiny_model, "a.csv", "b.csv") == 0
    with (place / "runs" / "a-b-diagnosis" / "opposite.csv").open(encoding="utf-8", newline="") as given:
        (line,) = csv.DictReader(given)
    assert line == {
        "overlap": "1.000", "first": "a", "first_row_id": "60", "first_split": "train", "first_label": "pos", "first_rows": "1",
        "second": "b", "second_row_id": "50", "second_split": "train", "second_label": "neg", "second_rows": "2",
        "first_text": SAME, "second_text": SAME.upper() + "!",
    }  # fmt: skip


def test_the_matrix_on_the_terminal_marks_what_is_held_out(place: Path, tiny_model: Path, capsys) -> None:
    assert diagnosed(tiny_model, "a.csv", "b.csv") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("difficulty, each data set with its own labels")
    assert "a 61 rows, b 52 rows; labels: neg, pos" in out
    start = out.index("MCC with its 95 % interval")
    assert out[start + 1].split() == ["trained", "on", "\\", "tested", "on", "a", "b"]
    assert [line.count("*") for line in out[start + 2 : start + 5]] == [1, 1, 1]
    assert out[start + 4] == "  * on held-out folds of the same data set"
    assert "  2 rows of b left out of training: a has their texts" in out


def test_pairs_and_test_files_are_rows_like_the_others(place: Path, tiny_model: Path, capsys) -> None:
    for seed, name in enumerate(("one", "one_test", "two")):
        pairs = [[text, "some day", label] for text, label in rows(30, 10 + seed)]
        write(place / f"{name}.csv", pairs, "premise", "hypothesis", "label")
    (place / "one.yaml").write_text("data: {train: one.csv, test: one_test.csv}\noutput: runs/first\n", encoding="utf-8")
    write(place / "oracle.csv", [[text, "some day", "pos"] for text in texts(30, 11)], "premise", "hypothesis", "label")
    assert diagnosed(tiny_model, "one.yaml", "two.csv", "--oracle", "oracle.csv", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["rows"]) for one in result["data"]] == [("first", 60), ("two", 30)]
    assert [split["split"] for split in result["data"][0]["splits"]] == ["train", "test"]
    assert [(cell["n"], cell["n_trained"]) for cell in result["matrix"]] == [(60, 40), (30, 60), (60, 30), (30, 20)]
    assert [(one["n"], one["n_unanswered"]) for one in result["agreement"]] == [(30, 30), (0, 30)]
    with Path(result["oracle"]).open(encoding="utf-8", newline="") as given:
        assert {(line["split"], line["given"]) for line in csv.DictReader(given)} == {("test", "neg")}


def test_an_oracle_labels_every_data_set(place: Path, tiny_model: Path, capsys) -> None:
    labels = [[text, "pos" if i % 2 else "neg"] for i, text in enumerate(texts(60, 1))]
    write(place / "oracle.csv", [*labels, *[[text, "neg"] for text in texts(50, 2)[:10]]])
    assert diagnosed(tiny_model, "a.csv", "b.csv", "--oracle", "oracle.csv") == 0
    out = capsys.readouterr().out
    assert "agreement of a with oracle.csv, kappa 1.000" in out
    assert "agreement of b with oracle.csv, kappa 0.000" in out
    record = json.loads((place / "runs/a-b-diagnosis/diagnosis.json").read_text(encoding="utf-8"))
    assert [(one["data"], one["n"], one["share"], one["n_unanswered"]) for one in record["agreement"]] == [
        ("a", 60, 1.0, 1), ("b", 10, 0.5, 42),
    ]  # fmt: skip
    with (place / "runs/a-b-diagnosis/oracle.csv").open(encoding="utf-8", newline="") as given:
        found = list(csv.DictReader(given))
    assert [(line["data"], line["row_id"], line["given"], line["oracle"]) for line in found] == [
        ("b", str(i), "pos", "neg") for i in (1, 3, 5, 7, 9)
    ]  # fmt: skip


def test_an_oracle_for_one_data_set_is_one_more_diagnosis_of_its_rows(place: Path, tiny_model: Path, capsys) -> None:
    import pyarrow.parquet as pq

    write(place / "people.csv", [[str(i), "pos" if i % 2 or i < 6 else "neg"] for i in range(40)], "row_id", "label")
    assert diagnosed(tiny_model, "a.csv", "--oracle", "people.csv", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    (agreed,) = result["agreement"]
    assert (agreed["data"], agreed["n"], agreed["share"], agreed["n_unanswered"]) == ("train", 40, 37 / 40, 21)
    assert [(one["name"], one["n"], one["share"]) for one in agreed["classes"]] == [("neg", 20, 17 / 20), ("pos", 20, 1.0)]
    (finding,) = [finding for finding in result["findings"] if finding["name"] == "oracle"]
    assert [row["row_id"] for row in finding["rows"]] == [0, 2, 4]
    table = pq.read_table(result["rows"]).to_pylist()
    assert [row["row_id"] for row in table if "oracle" in row["diagnoses"]] == [0, 2, 4]


def test_in_python_tables_have_names_and_a_function_is_an_oracle(place: Path, tiny_model: Path) -> None:
    def oracle(texts: list[str]) -> list[str | None]:
        return [None if text.startswith("nobody") else "pos" if text.startswith("good") else "neg" for text in texts]

    tables = {name: [{"text": text, "label": label} for text, label in rows(40, seed)] for seed, name in enumerate(("x", "y/z"))}
    found = diagnose_data_sets(tables, oracle=oracle, model=str(tiny_model), diagnose={"n_folds": 2})
    assert found.folder == Path("runs/x-y-z-diagnosis")
    assert [cell.n for cell in found.matrix] == [40] * 4
    assert [(one.data, one.share) for one in found.agreement] == [("x", 1.0), ("y/z", 1.0)]
    again = diagnose_data_sets(["a.csv", place / "b.csv"], output="compared", model=str(tiny_model), diagnose={"n_folds": 2})
    assert (again.folder, again.labels) == (Path("compared"), ("neg", "pos"))
    with pytest.raises(InputError, match="a is no two data sets"):
        diagnose_data_sets(["a.csv"], model=str(tiny_model))


def test_each_data_set_gets_the_embeddings_of_its_own_rows(place: Path, tiny_model: Path, monkeypatch) -> None:
    seen: dict[str, Any] = {}

    def lengths(rows: Any, *_: Any) -> BaseEmbeddings:
        return BaseEmbeddings(np.array([[float(len(text))] for text in rows.texts]), 3, 6, 5_200_000)

    monkeypatch.setattr(base_embeddings, "embed", lengths)
    monkeypatch.setattr(label_comparison, "transfer_matrix", lambda sets, *_: seen.update({one.name: one for one in sets}) or [])
    found = diagnose_data_sets(["a.csv", "b.csv"], model=str(tiny_model))
    assert "a: the rows have 5.2 million tokens, so they are embedded by the first 3 of 6 layers." in found.notes
    assert list(seen) == ["a", "b"]
    for one in seen.values():
        assert one.embedded[:, 0].tolist() == [len(text) for text in one.rows.texts]
        assert len(one.folds) == len(one.near_duplicates) == len(one.rows)


def test_a_finished_run_stands_for_its_rows_and_is_an_oracle(place: Path, tiny_model: Path, capsys) -> None:
    settings = ["train.max_steps=2", "train.n_evaluations=1", "data.validation=0.2"]
    assert main(["train", "a.csv", f"model.name={tiny_model}", *settings]) == 0
    capsys.readouterr()
    assert main(["diagnose", "runs/a", "b.csv", "--oracle", "runs/a", "diagnose.n_folds=3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["rows"]) for one in result["data"]] == [("a", 61), ("b", 52)]
    assert [one["n"] for one in result["agreement"]] == [61, 52]
    findings = {finding["name"]: finding["summary"] for finding in result["findings"]}
    assert (
        "It was trained on labels of a.csv: its agreement is higher than that of an independent oracle." in findings["oracle_a"]
    )
    assert "It was trained on" not in findings["oracle_b"]


def test_texts_with_personal_data_are_not_repeated(place: Path, tiny_model: Path) -> None:
    secret = "write to jo.bloggs@example.com about the film of the day"
    write(place / "d.csv", [*rows(40, 5), [secret, "pos"]])
    write(place / "e.csv", [*rows(40, 6), [secret, "neg"]])
    assert diagnosed(tiny_model, "d.csv", "e.csv") == 0
    folder = place / "runs" / "d-e-diagnosis"
    assert "jo.bloggs" not in "".join(path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file())
    assert "1.000,d,40,train,pos,1,e,40,train,neg,1,," in (folder / "opposite.csv").read_text(encoding="utf-8")


def loaded(train: str, output: str) -> LoadedRecipe:
    return LoadedRecipe(recipe_from_mapping({"data": {"train": train}, "output": output}, ""), None, {}, "", Path())


def test_names_tell_the_data_sets_apart() -> None:
    assert short_names([loaded("a.csv", "runs/x"), loaded("a.csv", "runs/y")]) == ["x", "y"]
    assert short_names([loaded("a.csv", "runs/run"), loaded("b.csv.gz", "runs/run")]) == ["a", "b"]
    assert short_names([loaded("old/a.csv", "runs/a"), loaded("new/a.csv", "runs/a")]) == ["old-a", "new-a"]
    assert short_names([loaded("a.csv", "runs/a"), loaded("a.tsv", "runs/a")]) == ["a-1", "a-2"]
    assert default_folder("results/a", ["a", "b c"]) == Path("results/a-b-c-diagnosis")


def test_a_given_output_is_used(place: Path, tiny_model: Path) -> None:
    assert diagnosed(tiny_model, "a.csv", "b.csv", "output=results/both") == 0
    assert (place / "results" / "both-diagnosis" / "diagnosis.json").exists()
    assert not (place / "runs").exists()
