"""The difficulty of test rows by the answers of several runs: through the command line, with seeds, and refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.cli.main import main
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.errors import InputError
from tunesmith.results import Metric, RunResult
from tunesmith.workflows.items import measure_items

N_ROWS = 30
LABELS = ["no", "yes"] * 15
Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """A function that writes a finished run that is wrong on these rows, for each seed."""

    def write(
        name: str, *wrong: range, labels: list[str] = LABELS, split: str = "test", kind: str = SINGLE, start: int = 0
    ) -> str:
        folder = tmp_path / name
        folder.mkdir()
        data = {"labels": ["no", "yes"], "problem_type": kind}
        metrics = (Metric("accuracy", split, 0.5, None, None, N_ROWS),)
        RunResult("classification", metrics=metrics, data=data).save(folder / "result.json")
        others = {"split": [split] * N_ROWS, "row_id": list(range(start, start + N_ROWS))}
        tables = [pa.table(columns(rows, seed, labels) | others) for seed, rows in enumerate(wrong)]
        pq.write_table(tables[0], folder / "predictions.parquet")
        if len(tables) > 1:
            pq.write_table(pa.concat_tables(tables), folder / "predictions_of_seeds.parquet")
        return str(folder)

    return write


def columns(wrong: range, seed: int, labels: list[str]) -> dict[str, Any]:
    others = {"no": "yes", "yes": "no"}
    predicted = [others[label] if i in wrong else label for i, label in enumerate(labels)]
    texts = ["write to jo.bloggs@example.com" if i == 0 else f"text {i}" for i in range(N_ROWS)]
    probs = [[0.9, 0.1] if name == "no" else [0.1, 0.9] for name in predicted]
    return {
        "row_id": list(range(N_ROWS)), "split": ["test"] * N_ROWS, "seed": [seed] * N_ROWS, "label": labels,
        "prediction": predicted, "pred_probs": probs, "text": texts,
    }  # fmt: skip


def test_the_command_line_writes_the_rows_the_hardest_first(
    save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [save("good", range(2)), save("middle", range(8)), save("poor", range(16))]
    assert main(["compare", *runs, "--items", str(tmp_path / "items.csv"), "--json"]) in (0, 3, 4)
    items = json.loads(capsys.readouterr().out)["items"]
    assert [Path(model["run"]).name for model in items["models"]] == ["good", "middle", "poor"]
    assert [model["n_right"] for model in items["models"]] == [28, 22, 14]
    assert items["models"][0]["low"] < items["models"][0]["skill"] < items["models"][0]["high"]
    assert "3 models: too few for discriminations" in items["note"]
    with (tmp_path / "items.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row_id"] for row in rows[:2]] == ["0", "1"]
    assert [row["n_right"] for row in rows] == ["0"] * 2 + ["1"] * 6 + ["2"] * 8 + ["3"] * 14
    difficulties = [float(row["difficulty"]) for row in rows]
    assert difficulties == sorted(difficulties, reverse=True)
    assert rows[0]["text"] == ""  # it holds an address
    assert {row["discrimination"] for row in rows} == {""}
    assert main(["compare", *runs, "--items", str(tmp_path / "items.csv")]) in (0, 3, 4)
    out = capsys.readouterr().out
    assert "hardest rows of test" in out
    assert "0 of 3 right" in out


def test_seeds_count_as_models_and_a_note_says_so(save: Save) -> None:
    items = measure_items([save("one", range(3), range(5)), save("two", range(9))])
    assert [(Path(model["run"]).name, model["seed"]) for model in items.models] == [("one", 0), ("one", 1), ("two", 0)]
    assert "Seeds of one run count as models" in items.note
    assert "Few answers are wrong (17 of 90): the intervals of the rows may be too narrow." in items.note
    assert "Few answers are right" not in items.note


def test_the_rows_of_another_split(save: Save) -> None:
    runs = [save(f"run{i}", range(i), split="validation") for i in range(3)]
    assert measure_items(runs).split == measure_items(runs, "validation").split == "validation"
    with pytest.raises(InputError, match="it has no predictions for test"):
        measure_items(runs, "test")


def test_many_models_give_discriminations(save: Save) -> None:
    draw = np.random.default_rng(0)
    runs = [save(f"run{i}", range(int(draw.integers(1, 25)))) for i in range(20)]
    items = measure_items(runs)
    assert all(row["discrimination_low"] <= row["discrimination"] <= row["discrimination_high"] for row in items.rows)
    assert "too few" not in items.note


def test_too_few_models_and_other_labels_are_refused(save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [save("a", range(2)), save("b", range(3))]
    with pytest.raises(InputError, match="2 models predicted test; the difficulty of single rows needs 3"):
        measure_items(runs)
    with pytest.raises(InputError, match="did not predict the same test rows with the same labels"):
        measure_items([*runs, save("c", range(1), labels=LABELS[::-1])])
    with pytest.raises(InputError, match="did not predict the same test rows"):
        measure_items([*runs, save("later rows", range(1), start=1)])
    with pytest.raises(InputError, match="its rows do not have one class each"):
        measure_items([*runs, save("several labels", range(1), kind=MULTI)])
    assert main(["compare", *runs, "--items", str(tmp_path / "items.csv")]) == 2
    assert not (tmp_path / "items.csv").exists()
    assert capsys.readouterr().out == ""
