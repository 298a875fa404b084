"""Whole ``predict`` and other commands that write beside the file that they read: no file is lost, no row moves."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest

from tests.cases.test_rows import TEXTS, N, run, write
from tunesmith.data.readers.read import read_table
from tunesmith.progress import Event
from tunesmith.workflows.evaluate import evaluate
from tunesmith.workflows.predict import table_from_stream


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
    assert "1 row not predicted: text is empty" in err
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


def test_piped_columns_and_long_lines() -> None:
    def piped(text: str) -> dict[str, list[str]]:
        return table_from_stream(io.StringIO(text)).columns

    assert piped('text\ngood film\n"bad, film"\n') == {"text": ["good film", "bad, film"]}
    assert piped("text\ngood, bad film\n") == {"text": ["text", "good, bad film"]}
    assert piped("text\n") == {"text": ["text"]}
    long = "word " * 40_000
    assert piped(f"{long}\nshort\n") == {"text": [long, "short"]}
