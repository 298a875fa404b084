"""Predictions by several processes are those of one, in the order of the rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.conftest import rows
from tests.finished_models import save_classifier
from tunesmith.cli.main import main
from tunesmith.models import many_processes


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 200 rows of several lengths, and a classifier that another program saved."""
    save_classifier(tmp_path / "model", tiny_model, ("neg", "pos"))
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as out:
        table = [[" ".join([row["text"]] * (1 + i % 7)), row["label"]] for i, row in enumerate(rows(200))]
        csv.writer(out).writerows([("text", "label"), *table])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(many_processes, "cores", lambda: 2)
    return tmp_path


@pytest.mark.slow
def test_predictions_and_metrics_are_those_of_one_process(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    started, start = [], many_processes.start_worker
    monkeypatch.setattr(many_processes, "start_worker", lambda *given: started.append(given) or start(*given))
    for name, options in (("one", []), ("two", ["--processes", "2"])):
        assert main(["predict", "model", "rows.csv", "--output", f"{name}.jsonl", *options]) == 0
    assert Path("one.jsonl").read_bytes() == Path("two.jsonl").read_bytes()
    capsys.readouterr()
    results = []
    for options in ([], ["--processes", "2"]):
        assert main(["evaluate", "model", "rows.csv", "--json", *options]) == 0
        results.append(json.loads(capsys.readouterr().out)["metrics"])
    assert results[0] == results[1]
    assert len(started) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "model", "rows.csv", "--processes", "0"], "0 is neither a whole number from 1 nor auto"),
        (["predict", "model", "rows.csv", "--processes", "3"], "3 are requested, and this machine has 2 cores"),
        (["predict", "model", "one.csv", "--processes", "2"], "2 are requested for 1 row"),
        (["evaluate", "model", "one.csv", "--processes", "2"], "2 are requested for 1 row"),
        (["diagnose", "rows.csv", "--processes", "3"], "3 are requested, and this machine has 2 cores"),
        (["diagnose", "rows.csv", "other.csv", "--processes", "3"], "3 are requested, and this machine has 2 cores"),
        (["embed", "model", "one.csv", "--processes", "2", "--output", "out.npy"], "2 are requested for 1 row"),
        (["embed", "model", "rows.csv", "--teacher", "--processes", "2", "--output", "o.csv"], "only without --teacher"),
        (["evaluate", "builtin:minilm", "rows.csv", "--processes", "2"], "works only for classifiers"),
    ],
)
def test_what_cannot_be_divided_is_refused(place: Path, words: list[str], message: str, capsys, monkeypatch) -> None:
    monkeypatch.setattr(many_processes, "count_gpus", lambda: 0)
    Path("one.csv").write_text("text,label\na good film,pos\n", encoding="utf-8")
    lines = Path("rows.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("other.csv").write_text("".join(lines[:-1]), encoding="utf-8")
    before = sorted(path.name for path in place.iterdir())
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == before
