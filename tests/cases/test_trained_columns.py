"""``evaluate`` and ``predict`` on files without the columns of training, and on rows that they cannot use."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import tunesmith
from tunesmith.cli.main import main

TURNED = {"pos": "neg", "neg": "pos"}


@pytest.fixture(scope="module")
def trained(tiny_model: Path, sentences: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the columns message and intent."""
    rows = [{"message": row["text"], "intent": row["label"]} for row in sentences]
    folder = tmp_path_factory.mktemp("trained") / "run"
    train = {"learning_rate": 5e-3, "per_device_train_batch_size": 16, "num_train_epochs": 3, "n_evaluations": 2}
    sections = {"train": train, "evaluate": {"baselines": ["majority"], "n_resamples": 100}}
    return tunesmith.train(rows, model=str(tiny_model), output=folder, **sections).folder


def write(path: Path, rows: list[dict[str, str]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_evaluate_uses_the_label_column_of_training(
    trained: Path, sentences: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"label": TURNED[row["label"]], "message": row["text"], "intent": row["label"]} for row in sentences]
    assert main(["evaluate", str(trained), write(tmp_path / "both.csv", rows)]) == 0
    right = capsys.readouterr()
    assert "instead" not in right.err
    without = [{key: cell for key, cell in row.items() if key != "intent"} for row in rows]
    assert main(["evaluate", str(trained), write(tmp_path / "other.csv", without)]) == 0
    turned = capsys.readouterr()
    assert "has no column intent, which the run has as its label; label is used instead: it is called 'label'" in turned.err
    assert accuracy(right.out) > 0.7 > 0.3 > accuracy(turned.out)


def accuracy(out: str) -> float:
    return float(out.split()[1])  # the first metric


def test_evaluate_names_rows_that_are_not_measured(
    trained: Path, sentences: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"message": row["text"], "intent": "unknown" if i < 7 else row["label"]} for i, row in enumerate(sentences[:40])]
    assert main(["evaluate", str(trained), write(tmp_path / "rows.csv", rows)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "on 33 rows" in line]
    assert lines
    assert all("(40 read; not measured: label is not among those of train: 7)" in line for line in lines)


def test_predict_names_the_column_it_uses_instead(
    trained: Path, sentences: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"body": row["text"], "n": str(i)} for i, row in enumerate(sentences)] + [{"body": "", "n": "1"}]
    assert main(["predict", str(trained), write(tmp_path / "rows.csv", rows)]) == 0
    printed = capsys.readouterr()
    assert "has no column message, which the run has as its text; body is used instead" in printed.err
    assert "1 row not predicted: text is empty" in printed.err
    assert len(printed.out.splitlines()) == 1 + len(sentences)
