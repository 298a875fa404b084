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


def test_labels_that_training_did_not_have_are_named_and_count_as_wrong(
    trained: Path, sentences: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"message": row["text"], "intent": row["label"]} for row in sentences[:40]]
    known, n_right = rows[12:], round(tunesmith.evaluate(trained, rows[12:]).metric("accuracy").value * 28)
    rows = [*({**row, "intent": "refund" if i < 7 else "other"} for i, row in enumerate(rows[:12])), *known]
    assert main(["evaluate", str(trained), write(tmp_path / "rows.csv", [*rows, {"message": "good", "intent": ""}])]) == 0
    lines = capsys.readouterr().out.splitlines()
    read = "(41 read; not measured: label is empty: 1; "
    unknown = "12 of 40 rows have a label that training did not have (refund: 7, other: 5)"
    shown = {line.split()[0]: line for line in lines if "rows" in line}
    assert accuracy(shown["accuracy"]) == pytest.approx(n_right / 40, abs=5e-4)
    assert shown["accuracy"].endswith(f"on 40 rows {read}{unknown}; they count as wrong)")
    assert shown["log"].endswith(f"on 28 rows {read}{unknown}; the model has no probability for them: left out)")
    result, of_known = tunesmith.evaluate(trained, rows), tunesmith.evaluate(trained, known)
    assert result.data["unknown_labels"] == {"refund": 7, "other": 5}
    assert result.metric("auroc").value == of_known.metric("auroc").value
    f1 = {name: value.metric("macro_f1").value for name, value in (("all", result), ("known", of_known))}
    assert f1["all"] < f1["known"] / 2 + 1e-9  # two of four classes are never right


def test_a_file_without_any_label_of_the_run_is_refused(
    trained: Path, sentences: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for labels, remedy in (({"pos": "1", "neg": "0"}, "no file gives their order"), ({"pos": "a", "neg": "b"}, "--label")):
        rows = [{"message": row["text"], "intent": labels[row["label"]]} for row in sentences]
        assert main(["evaluate", str(trained), write(tmp_path / "rows.csv", rows)]) == 2
        error = capsys.readouterr().err
        assert "no row of the column intent has a label of the run: it holds" in error
        assert f"{labels['pos']} (" in error
        assert "those of the run are neg, pos" in error
        assert remedy in error


@pytest.mark.parametrize("names_in_training", [True, False])
def test_class_numbers_of_a_file_are_aligned_with_the_names_of_training(
    names_in_training: bool, tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = {"pos": "0", "neg": "1"}  # not the alphabetical order
    rows = [{"text": row["text"], "label": row["label"], "label_id": number[row["label"]]} for row in sentences]
    label, other = ("label", "label_id") if names_in_training else ("label_id", "label")
    settings = {
        "train": {"num_train_epochs": 1, "learning_rate": 5e-3},
        "evaluate": {"baselines": ["majority"], "n_resamples": 100},
    }
    columns = {"columns": {"text": "text", "label": label}}
    run = tunesmith.train(rows, model=str(tiny_model), output=tmp_path / "run", data=columns, **settings)
    right = tunesmith.evaluate(run, rows).metric("accuracy")
    file = write(tmp_path / "rows.csv", [{"text": row["text"], label: row[other]} for row in rows])
    assert main(["evaluate", str(run.folder), file]) == 0
    printed = capsys.readouterr()
    assert "is aligned: " in printed.err
    assert "did not have" not in printed.out
    assert tunesmith.evaluate(run, file).metric("accuracy") == right


def test_cells_with_several_labels_are_read_with_the_separator_of_training(
    tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path
) -> None:
    rows = [{"text": row["text"], "label": f"{row['label']}|x" if i % 2 else row["label"]} for i, row in enumerate(sentences)]
    settings = {"train": {"num_train_epochs": 1}, "evaluate": {"baselines": ["majority"], "n_resamples": 100}}
    run = tunesmith.train(rows, model=str(tiny_model), output=tmp_path / "run", data={"label_separator": "|"}, **settings)
    result = tunesmith.evaluate(run, [*rows[:100], {"text": "good", "label": "pos|refund"}])
    assert (result.data["rows"], result.data["unknown_labels"]) == (101, {"refund": 1})
    assert (result.metric("accuracy").n, result.metric("log_loss").n) == (101, 100)


def test_predict_names_the_column_it_uses_instead(
    trained: Path, sentences: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"body": row["text"], "n": str(i)} for i, row in enumerate(sentences)] + [{"body": "", "n": "1"}]
    assert main(["predict", str(trained), write(tmp_path / "rows.csv", rows)]) == 0
    printed = capsys.readouterr()
    assert "has no column message, which the run has as its text; body is used instead" in printed.err
    assert "1 row not predicted: text is empty" in printed.err
    assert len(printed.out.splitlines()) == 1 + len(sentences)
