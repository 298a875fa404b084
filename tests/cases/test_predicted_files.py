"""Whole ``predict`` and other commands that write beside the file that they read: no file is lost, no row moves."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_rows import TEXTS, N, run, write
from tunesmith.cli.evaluate import metric_lines
from tunesmith.data.readers.read import read_table
from tunesmith.progress import Event
from tunesmith.workflows.evaluate import evaluate
from tunesmith.workflows.predict import predict, table_from_lines


@pytest.fixture
def classifier(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run whose model is a tiny classifier of two labels."""
    from transformers import AutoModelForSequenceClassification

    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(tiny_model, "run/model"))
    AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2).save_pretrained(folder)
    config = {"problem_type": "single_label_classification", "labels": ["a", "b"], "max_length": 16, "thresholds": None}
    (folder / "tunesmith.json").write_text(json.dumps(config | {"columns": {"text": "text", "pair": None}}))
    return folder


def test_no_command_replaces_the_file_that_it_reads(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("rows.csv", text=TEXTS, label=["a", "b"] * (N // 2))
    Path("prompts.jsonl").write_text('{"prompt": "the film"}\n', encoding="utf-8")
    Path("link.csv").symlink_to(path)
    before = Path(path).read_bytes(), Path("prompts.jsonl").read_bytes()
    for words in (
        ("predict", "run", path, "--output", f"./{path}"),
        ("predict", "run", path, "--output", "link.csv"),
        ("init", path, "--output", path, "--force"),
        ("init", "builtin:support_train", "--test", path, "--output", path, "--force"),
        ("generate", "builtin:pocket", "--prompts", "prompts.jsonl", "--output", "prompts.jsonl"),
    ):
        code, _, err = run(capsys, *words)
        assert (words, code, "this is the file that is read, and it would be lost" in err) == (words, 2, True)
    assert (Path(path).read_bytes(), Path("prompts.jsonl").read_bytes()) == before


def test_an_empty_cell_of_a_table_of_one_column_is_a_row(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.csv").write_text('text\ngood film\n""\nbad film\n\n', encoding="utf-8")
    table = read_table("rows.csv")
    assert (table.columns, table.row_ids) == ({"text": ["good film", "", "bad film"]}, [0, 1, 2])
    code, out, err = run(capsys, "predict", "run", "rows.csv")
    assert (code, [line[:2] for line in out.splitlines()[1:]]) == (0, ["0,", "2,"])
    assert "1 row not predicted: text is empty (row 1)" in err
    assert "rows.csv: 1 blank line was left out" in err


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "run", "rows.csv"),
        ("embed", "builtin:minilm", "rows.csv", "--text", "text", "--output", "vectors.npy"),
        ("evaluate", "builtin:pocket", "rows.csv"),
        ("generate", "builtin:pocket", "--prompts", "rows.csv", "--max-new-tokens", "2"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_how_a_file_was_read_is_said(words: tuple[str, ...], classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.csv").write_bytes("text,label\nthe good café,a\nthe bad one,b\n".encode("cp1252"))
    code, _, err = run(capsys, *words)
    assert (code, "rows.csv: 1 line is not UTF-8 and read as cp1252, a guess" in err) == (0, True), err


def test_of_a_folder_with_splits_the_split_that_is_read_is_said(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows").mkdir()
    for split in ("train", "test"):
        Path(f"rows/{split}.csv").write_text("text,label\nthe good one,a\nthe bad one,b\n")
    _, _, err = run(capsys, "predict", "run", "rows")
    assert "rows/train.csv: The rows of train; there are also those of test." in err
    said = list[Event]()
    evaluate("run", "rows", listener=said.append)
    assert "rows/test.csv: The rows of test; there are also those of train." in [event.text for event in said]


ROWS = {
    "ticket": [7, 8, 9, 10],
    "text": ["good film", "", "bad film", "good day"],
    "Prediction": ["=1+1", "x", "y", None],
    "row_id": [5, 6, 7, 8],
    "p_a": [0.5, 1.5, 2.5, 3.5],
    "input_row_id": ["i", "j", "k", "l"],
    "tags": [["a", "b"], [], ["c"], None],
}
OWN, KEPT = (
    ["row_id", "id", "prediction", "probability"],
    ["ticket", "text", "input_Prediction", "input_input_row_id", "input_p_a"],
)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_written_predictions_keep_the_columns_of_the_file(classifier: Path, suffix: str) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of(ROWS)), encoding="utf-8")
    predict("run", "rows.jsonl", output=f"out{suffix}", columns={"text": "text"})
    columns = read_table(f"out{suffix}").columns
    is_text = suffix in (".csv", ".tsv")
    classes = ["p_a", "p_b"] if is_text else ["pred_probs"]
    assert [*columns] == [*OWN, *classes, *KEPT, "input_row_id", "tags"]
    assert [*map(int, columns["row_id"])] == [0, 2, 3]
    assert [*map(int, columns["ticket"])] == [7, 9, 10]
    assert columns["input_row_id"] == ["i", "k", "l"]
    assert [*map(int, columns["input_input_row_id"])] == [5, 7, 8]
    assert [*map(float, columns["input_p_a"])] == [0.5, 2.5, 3.5]
    assert columns["tags"] == (['["a", "b"]', '["c"]', ""] if is_text else [["a", "b"], ["c"], None])
    assert columns["input_Prediction"] == (["=1+1", "y", ""] if is_text else ["=1+1", "y", None])
    first = [columns["p_a"][0], columns["p_b"][0]] if is_text else columns["pred_probs"][0]
    assert sum(map(float, first)) == pytest.approx(1, abs=1e-6)
    assert float(columns["probability"][0]) == max(map(float, first))


def rows_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def test_columns_that_parquet_cannot_hold_are_text(classifier: Path) -> None:
    frame = {"text": ["good film", "bad film"], "mixed": [1, "one"], "empty": [{}, {}], "large": [10**30, 1]}
    predict("run", rows_of(frame), output="out.parquet")
    columns = read_table("out.parquet").columns
    assert (columns["mixed"], columns["empty"], columns["large"]) == (["1", "one"], ["{}", "{}"], [str(10**30), "1"])


def test_an_id_column_is_written_once(classifier: Path) -> None:
    Path("rows.csv").write_text("id,text\n7,good film\n8,bad film\n", encoding="utf-8")
    header, first, *_ = predict("run", "rows.csv").text(".csv").splitlines()
    assert header == "row_id,id,prediction,probability,p_a,p_b,text"
    assert first.startswith("0,7,")


def test_piped_rows_have_no_columns_to_keep(classifier: Path) -> None:
    predicted = predict("run", io.StringIO("text,topic\ngood film,a\n"))
    assert predicted.text().splitlines()[0] == "row_id,prediction,probability,p_a,p_b"


def test_a_file_of_plain_text_is_read_as_standard_input_is(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.txt").write_text("good film\nbad, bad film\n\nvery nice\n", encoding="utf-16")
    code, out, err = run(capsys, "predict", "run", "new.txt")
    assert (code, [line.split(",")[0] for line in out.splitlines()[1:]]) == (0, ["0", "1", "3"])
    assert "1 row not predicted: text is empty (row 2)" in err
    assert out.splitlines()[0].endswith(",text")
    assert '"bad, bad film"' in out
    Path("table.txt").write_text("text\tlabel\ngood film\ta\nbad film\tb\n", encoding="utf-8")
    assert predict("run", "table.txt").dropped == {}
    assert [row["row_id"] for row in predict("run", Path("table.txt")).rows] == [0, 1]
    Path("empty.txt").write_text("\n\n", encoding="utf-8")
    code, _, err = run(capsys, "predict", "run", "empty.txt")
    assert (code, "empty.txt: The file holds nothing but white space." in err) == (2, True)


def test_a_file_that_is_replaced_is_named(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("rows.csv", text=TEXTS)
    assert "there" not in run(capsys, "predict", "run", path, "--output", "out.csv")[1]
    assert run(capsys, "predict", "run", path, "--output", "out.csv")[1].endswith(
        "out.csv, in place of the file that was there\n"
    )


def test_the_note_of_another_column_gives_the_reason(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads(Path("run/model/tunesmith.json").read_text())
    Path("run/model/tunesmith.json").write_text(json.dumps(config | {"columns": {"text": "utterance", "pair": None}}))
    Path("new.txt").write_text("good film\nbad, bad film\n", encoding="utf-8")
    assert "text is used instead: it is the only one." in run(capsys, "predict", "run", "new.txt")[2]


def test_the_tuned_threshold_is_said(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("rows.csv", text=TEXTS, label=["a", "b"] * (N // 2))
    said = "Decision threshold, tuned on validation: b from a probability of 0.3 on."
    assert said not in "".join(run(capsys, "predict", "run", path)[1:])
    config = json.loads(Path("run/model/tunesmith.json").read_text())
    Path("run/model/tunesmith.json").write_text(json.dumps(config | {"thresholds": [0.3]}))
    assert said in run(capsys, "predict", "run", path)[2]
    assert said in metric_lines(evaluate("run", path, n_resamples=100))


def test_piped_columns_and_long_lines() -> None:
    def piped(text: str) -> dict[str, list[str]]:
        return table_from_lines(text, "standard input").columns

    assert piped('text\ngood film\n"bad, film"\n') == {"text": ["good film", "bad, film"]}
    assert piped("text\ngood, bad film\n") == {"text": ["text", "good, bad film"]}
    assert piped("text\n") == {"text": ["text"]}
    long = "word " * 40_000
    assert piped(f"{long}\nshort\n") == {"text": [long, "short"]}
