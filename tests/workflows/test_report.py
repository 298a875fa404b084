"""Bold values of LaTeX tables: the verdict between saved runs decides, corrected for the columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.cli.main import main
from tunesmith.report.latex import read_latex_table
from tunesmith.results import Metric, RunResult
from tunesmith.workflows.report import emphasis_of

N_ROWS = 60
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """A function that writes the folder of a run of which that many rows are wrong; a calibration as bad as asked for."""

    def write(name: str, n_wrong: int, sure: float = 0.9) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        truth = [("no", "yes")[i % 2] for i in range(N_ROWS)]
        predicted = [label if i >= n_wrong else {"no": "yes", "yes": "no"}[label] for i, label in enumerate(truth)]
        probs = [[sure, 1 - sure] if label == "no" else [1 - sure, sure] for label in predicted]
        columns = {"row_id": list(range(N_ROWS)), "split": ["test"] * N_ROWS, "label": truth, "prediction": predicted}
        columns |= {"pred_probs": probs, "text": [f"text {i}" for i in range(N_ROWS)]}
        right = np.mean([a == b for a, b in zip(truth, predicted, strict=True)])
        loss = float(np.mean([-np.log(sure if a == b else 1 - sure) for a, b in zip(truth, predicted, strict=True)]))
        metrics = (
            Metric("accuracy", "test", float(right), None, None, N_ROWS), Metric("log_loss", "test", loss, None, None, N_ROWS),
            Metric("rouge_l", "test", float(right), None, None, N_ROWS),
        )  # fmt: skip
        data = {"labels": ["no", "yes"], "problem_type": "single_label_classification"}
        RunResult(task="classification", metrics=metrics, data=data).save(folder / "result.json")
        pq.write_table(pa.table(columns), folder / "predictions.parquet")
        return folder

    return write


def bold(*runs: Path) -> dict[str, str]:
    return {metric: system.name for metric, system in emphasis_of(read_latex_table(runs)).best.items()}


def test_the_best_value_is_bold_only_if_its_verdict_says_better_than_the_next(save: Save) -> None:
    good, near, bad = save("good", 2), save("near", 3), save("bad", 30)
    assert bold(bad, good) == {"accuracy": "good", "log_loss": "good"}
    assert "accuracy" not in bold(bad, good, near)
    unsure = save("unsure", 2, sure=0.6)
    assert bold(good, unsure) == {"log_loss": "good"}  # lower is better, and the accuracies are equal


def test_columns_without_a_verdict_are_named(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = save("good", 2), save("bad_1", 30)
    assert main(["report", str(good), str(bad), "--format", "latex"]) == 0
    text = capsys.readouterr().out
    assert "\\textbf{0} & \\textbf{.967}" in text
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert any("No bold in ROUGE-L: good and bad_1 have no verdict: " in line for line in comments)


def test_several_columns_are_one_family(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.workflows import report

    families: list[int] = []
    real = report.holm
    monkeypatch.setattr(report, "holm", lambda family: families.append(len(family)) or real(family))
    assert bold(save("a", 2), save("b", 30))
    assert families == [2]
