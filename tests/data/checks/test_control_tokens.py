"""Special tokens in texts of classifiers and embedding models are named with their rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.data.checks.control_tokens import control_tokens
from tunesmith.data.table import Examples


def test_rows_with_special_tokens_in_either_text_are_counted() -> None:
    rows = Examples(
        "train", "rows.csv", [4, 5, 6, 7], ["a[SEP]b", "c", "d", "e [SEP]"], [0] * 4, pairs=["x", "[CLS]", "y", "[SEP]"]
    )
    (finding,) = control_tokens([rows], ["[SEP]", "[CLS]"])
    assert finding.flagged == 3
    assert finding.text == "3 of 4 rows of train hold special tokens of the tokenizer. Rows 4, 7, 5 of train."
    assert control_tokens([rows], ["[MASK]"]) == control_tokens([rows], []) == []


CLASSES = [{"text": f"this is text number {i} of a class", "label": "ab"[i % 2]} for i in range(40)]
PAIRS = [{"anchor": f"question {i} about it", "positive": f"this is answer number {i}"} for i in range(40)]


@pytest.mark.parametrize(
    ("task", "rows", "key", "name"),
    [
        ("classification", CLASSES, "text", "control_tokens"),
        ("embedding", PAIRS, "positive", "control_tokens"),
        ("pretraining", [{"text": row["text"]} for row in CLASSES], "text", "template_tokens"),
    ],
)
def test_the_check_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, rows: list[dict[str, str]], key: str, name: str
) -> None:
    model, token = ("builtin:pocket", "<|pad|>") if task == "pretraining" else ("builtin:minilm", "[SEP]")
    held = [{**row, key: f"{row[key]} {token} so"} if i < 3 else row for i, row in enumerate(rows)]
    for split, part in (("train", held), ("test", rows)):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    data = {"train": "train.jsonl", "validation": "test.jsonl"}
    recipe = {"task": task, "model": {"name": model}, "data": data, "output": str(tmp_path / "run")}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    main(["check", str(tmp_path / "recipe.yaml"), "--static"])
    line = next(line for line in capsys.readouterr().out.splitlines() if f" {name}: " in line)
    assert line.startswith("note ")
    assert "3 of 40 rows of train hold special tokens" in line
    assert "Rows 0, 1, 2 of train." in line
    assert "control tokens" in line.split("Rows 0, 1, 2")[1]


def cached(model: Path, cache: Path, without: str = "") -> str:
    """Puts a model into a cache of the hub, without one of its files; returns its id."""
    snapshot = cache / "models--org--model" / "snapshots" / "abc"
    shutil.copytree(model, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    (snapshot / without).unlink() if without else None
    return "org/model"


@pytest.mark.parametrize("task", ["classification", "embedding", "pretraining"])
@pytest.mark.parametrize("without", ["", "tokenizer.json"])
def test_the_tokens_of_a_hub_model_are_those_in_the_cache_or_it_is_said(
    task: str, without: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    rows = {"classification": CLASSES, "embedding": PAIRS, "pretraining": [{"text": row["text"]} for row in CLASSES]}[task]
    key = "positive" if task == "embedding" else "text"
    changed = [{**row, key: f"{row[key]} [MASK] more"} if i == 3 else row for i, row in enumerate(rows)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    recipe = tmp_path / "recipe.yaml"
    name = cached(tiny_model, tmp_path, without)
    recipe.write_text(f"task: {task}\nmodel: {{name: {name}}}\ndata: {{train: rows.jsonl}}\noutput: {tmp_path}/run\n")
    assert main(["check", str(recipe), "--static", "--json"]) == 0
    (note,) = [note for note in json.loads(capsys.readouterr().out)["notes"] if "special tokens" in note]
    if without:
        assert note.startswith("control_tokens: the rows were not searched for special tokens: the model's tokenizer.json is not")
    else:
        assert "of train hold special tokens" in note
        assert "Rows 3" in note or "Row 3" in note
