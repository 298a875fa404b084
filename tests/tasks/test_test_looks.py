"""Every finished evaluation of a test set is counted beside the runs, and the optimism of the best is that of simulated runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.data.readers.hashes import hash_given
from tunesmith.report.words import looks_notes
from tunesmith.results import Metric, RunResult
from tunesmith.tasks.test_looks import LOOKS, expected_largest, read_looks, with_look, with_train_look


def result(split: str = "test", sha256: str = "abc", test: str | float = "test.csv") -> RunResult:
    metric = Metric("accuracy", split, 0.8, 0.7, 0.9, 100)
    data = {"splits": {split: {"sha256": sha256}}}
    return RunResult("classification", metrics=(metric,), data=data, recipe={"data": {"test": test}})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    result().save(folder / "result.json")
    return folder


def test_looks_are_counted_by_test_set(run: Path) -> None:
    assert looks_notes(with_train_look(result(), run, run, {})) == []
    assert looks_notes(with_train_look(result(sha256="other"), run, run, {})) == []
    again = with_train_look(result(), run, run.with_name("b"), {})
    assert again.data["test_looks"]["count"] == 2
    assert looks_notes(again) == ["This test set has been looked at 2 times: the best of 2 is too kind by up to 0.030."]
    looks = read_looks(run.parent / LOOKS)
    assert [(look.run, look.test, look.value) for look in looks] == [("a", "abc", 0.8), ("a", "other", 0.8), ("b", "abc", 0.8)]


def test_a_share_is_identified_by_its_rows(run: Path) -> None:
    def look(rows: list[int], validation: int = 0) -> int:
        table = {"split": ["validation", *["test"] * len(rows)], "row_id": [validation, *rows], "text": ["x", *map(str, rows)]}
        pq.write_table(pa.table(table), run / "predictions.parquet")
        return int(with_train_look(result(test=0.2), run, run, {}).data["test_looks"]["count"])

    assert [look([1, 2]), look([1, 2]), look([1, 3]), look([1, 2], validation=9)] == [1, 2, 1, 3]


def test_validation_and_other_models_are_not_counted(run: Path, tmp_path: Path) -> None:
    assert "test_looks" not in with_train_look(result("validation"), run, run, {}).data
    file = tmp_path / "new.csv"
    file.write_text("text,label\nx,y\n")
    assert "test_looks" not in with_look(result(), str(file), "builtin:minilm").data
    assert "test_looks" not in with_look(result(), "hub:some/data", str(run)).data
    assert not (run.parent / LOOKS).exists()
    assert with_look(result(), str(file), str(run)).data["test_looks"]["count"] == 1
    assert with_look(result(), file, str(run)).data["test_looks"]["count"] == 2


def test_a_table_in_memory_is_counted_by_its_cells(run: Path) -> None:
    tables = ({"text": ["x"], "label": ["y"]}, [{"text": "x", "label": "y"}], {"text": ["z"], "label": ["y"]})
    assert [with_look(result(), table, str(run)).data["test_looks"]["count"] for table in tables] == [1, 2, 1]


def test_a_training_and_an_evaluation_of_the_same_rows_add_up(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "search"
    (folder / "qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        (folder / name).write_text(name)
    frame = {"text": ["x"], "label": ["y"]}
    sources: list[tuple[str, str, object]] = [
        ("test", "data", frame),
        ("test", "data", "builtin:support_test"),
        ("retrieval", "evaluate", str(folder)),
        ("retrieval", "evaluate", "builtin:handbook"),
    ]
    for split, section, data in sources:
        named = data if isinstance(data, str) else "table in memory"
        trained = replace(result(split, sha256=""), recipe={section: {split: named}})
        inputs = {} if named.startswith("builtin:") else {f"{section}.{split}": hash_given(data)}
        assert with_train_look(trained, run, run, inputs).data["test_looks"]["count"] == 1
        of_test = replace(trained, metrics=(replace(trained.metrics[0], split="test"),))
        assert with_look(of_test, data, "builtin:minilm", None, str(run)).data["test_looks"]["count"] == 2


def test_a_training_looks_at_every_test_set(run: Path) -> None:
    both = replace(result(), metrics=(*result("retrieval").metrics, *result().metrics, *result("validation").metrics))
    counted = with_train_look(both, run, run, {"evaluate.retrieval": "def"})
    looks = read_looks(run.parent / LOOKS)
    assert len(looks) == 2
    assert len({look.test for look in looks}) == 2
    assert counted.data["test_looks"]["count"] == 1


def test_a_line_that_was_cut_off_is_left_out(run: Path) -> None:
    with_train_look(result(), run, run, {})
    path = run.parent / LOOKS
    path.write_text(path.read_text() + '{"test": "abc", "ru')
    assert len(read_looks(path)) == 1
    assert with_train_look(result(), run, run, {}).data["test_looks"]["count"] == 2
    path.write_text(json.dumps({"schema": 2}) + "\n")
    assert read_looks(path) == []


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_optimism_is_that_of_the_best_of_equal_runs(n: int) -> None:
    drawn = np.random.default_rng(0).normal(size=(20_000, n)).max(axis=1)
    assert expected_largest(n) == pytest.approx(drawn.mean(), abs=0.03)
    assert expected_largest(1) == 0


def test_a_metric_without_interval_has_no_optimism(run: Path) -> None:
    plain = result()
    bare = replace(plain, metrics=(replace(plain.metrics[0], low=None, high=None),))
    twice = [with_train_look(bare, run, run, {}).data["test_looks"] for _ in range(2)][-1]
    assert (twice["count"], twice["best_too_kind_by"]) == (2, 0)


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b'{"test": 1' + b"1" * 5_000 + b"}\n", b'"text"\n'])
def test_damaged_lines_are_left_out(run: Path, damage: bytes) -> None:
    with_train_look(result(), run, run, {})
    with (run.parent / LOOKS).open("ab") as file:
        file.write(damage)
    assert with_train_look(result(), run, run, {}).data["test_looks"]["count"] == 2


def test_a_file_that_cannot_be_written_costs_no_evaluation(run: Path) -> None:
    (run.parent / LOOKS).mkdir()
    found = with_train_look(result(), run, run, {})
    assert looks_notes(found) == [f"This look at the test set is not counted: {run.parent / LOOKS}: Is a directory."]
    assert found.metrics == result().metrics


def test_a_look_of_a_run_that_was_killed_after_it_and_resumed_counts_once(run: Path) -> None:
    for is_resumed, count in ((False, 1), (True, 1), (False, 2)):
        counted = with_train_look(result(), run, run, {}, is_resumed=is_resumed)
        assert counted.data["test_looks"]["count"] == count
    other = replace(result(), metrics=(replace(result().metrics[0], value=0.7),))
    assert with_train_look(other, run, run, {}, is_resumed=True).data["test_looks"]["count"] == 3
