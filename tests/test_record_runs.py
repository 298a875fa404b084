"""Tests of the comparison of two records of runs, and of what is left out of a record."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import made_recipes
import record_runs
import run_record
from record_differences import notes_and_differences


@pytest.fixture
def record() -> dict[str, Any]:
    """Return a record of one run."""
    run = {
        "train": {"exit_code": 0, "output": ["Test accuracy 0.5"], "errors": []},
        "files": {"runs/a/model/model.safetensors": "12", "runs/a/result.json": "kept"},
        "tables": {"runs/a/predictions.parquet": {"rows": 2, "columns": {"loss": {"type": "double", "sha256": "ab"}}}},
        "events": {"metrics.jsonl": {"train 1": {"loss": 0.5}}},
        "result": {"metrics": {"test accuracy": {"value": 0.5}}, "alarms": {"one class": {"message": "all are x"}}},
        "result_keys": ["alarms", "metrics", "metrics[].value"],
        "resolved": ["task: classification", "output: runs/a"],
        "verbs": {"evaluate": {"exit_code": 0, "output": {"metrics": {"accuracy": 0.5}}}},
        "made": {"made/a/report.html": "34"},
        "made_tables": {},
    }
    return {"fingerprint": {"processor": "one", "torch": "2"}, "only": [], "with_verbs": True, "runs": {"a": run}}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return notes_and_differences(before, after)[1]


def changed(record: dict[str, Any], *path: str, value: Any) -> dict[str, Any]:
    """Return the record with another value at one place of its run."""
    other = copy.deepcopy(record)
    inner = other["runs"]["a"]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return other


def test_equal_records_have_no_difference(record: dict[str, Any]) -> None:
    assert notes_and_differences(record, copy.deepcopy(record)) == ([], [])


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("result", "metrics", "test accuracy", "value"), 0.5000000000000001, "test accuracy / value: 0.5 -> 0.5000000000000001"),
        (("result", "metrics", "test accuracy", "value"), -0.0, "a / result / metrics / test accuracy / value: 0.5 -> -0.0"),
        (("train", "exit_code"), 1, "a / train / exit_code: 0 -> 1"),
        (("resolved",), ["task: regression", "output: runs/a"], 'a / resolved[0]: "task: classification" -> "task: regression"'),
        (("result_keys",), ["alarms", "metrics[].value"], 'a / result_keys[1]: "metrics" -> (absent)'),
        (("files",), {"runs/a/result.json": "kept"}, 'a / files / runs/a/model/model.safetensors: "12" -> (absent)'),
        (("made",), {"made/a/report.html": "35"}, 'a / made / made/a/report.html: "34" -> "35"'),
    ],
)
def test_a_difference_is_one_line_with_its_place(record: dict[str, Any], path: tuple[str, ...], value: Any, line: str) -> None:
    found = differences(record, changed(record, *path, value=value))
    assert len(found) == 1
    assert found[0].endswith(line)


def test_zero_and_minus_zero_and_whole_numbers_differ(record: dict[str, Any]) -> None:
    place = ("events", "metrics.jsonl", "train 1", "loss")
    zero = changed(record, *place, value=0.0)
    assert differences(zero, changed(record, *place, value=-0.0))
    assert differences(zero, changed(record, *place, value=0))


def test_on_another_machine_only_the_structure_is_compared(record: dict[str, Any]) -> None:
    other = changed(record, "result", "metrics", "test accuracy", "value", value=0.6)
    other["fingerprint"]["processor"] = "two"
    notes, found = notes_and_differences(record, other)
    assert found == []
    assert notes[0] == 'machine / processor: "one" -> "two"'
    assert "only the structure is compared" in notes[-1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("result_keys",), ["alarms"]),
        (("tables", "runs/a/predictions.parquet", "rows"), 3),
        (("tables", "runs/a/predictions.parquet", "columns"), {}),
        (("files",), {}),
        (("result", "alarms"), []),
        (("verbs", "evaluate", "exit_code"), 2),
        (("verbs", "evaluate", "output"), {}),
    ],
)
def test_another_structure_is_found_on_another_machine(record: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    other = changed(record, *path, value=value)
    other["fingerprint"]["torch"] = "3"
    assert differences(record, other)


def test_a_run_that_is_missing_is_a_difference_unless_it_was_not_requested(record: dict[str, Any]) -> None:
    none = {**record, "runs": {}}
    assert differences(record, none) == ["a / run: recorded -> absent"]
    assert differences(none, record) == ["a / run: absent -> recorded"]
    notes, found = notes_and_differences(record, {**none, "only": ["b"]})
    assert found == []
    assert notes == ["a is in one of the records only and was not compared."]


def test_verbs_are_not_compared_where_one_record_has_none(record: dict[str, Any]) -> None:
    run = {key: value for key, value in record["runs"]["a"].items() if key not in ("verbs", "made", "made_tables")}
    trained = {**copy.deepcopy(record), "runs": {"a": run}, "with_verbs": False}
    notes, found = notes_and_differences(record, trained)
    assert found == []
    assert len(notes) == 1


def test_the_exit_code_shows_whether_there_are_differences(
    record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps(record))
    second.write_text(json.dumps(changed(record, "train", "exit_code", value=1)))
    assert record_runs.main(["compare", str(first), str(first)]) == 0
    assert capsys.readouterr().out == ""
    assert record_runs.main(["compare", str(first), str(second)]) == 1
    assert capsys.readouterr().out == "a / train / exit_code: 0 -> 1\n"


def test_times_sizes_and_paths_are_left_out() -> None:
    text = "took 1e-05 s and 2 min 05 s in /tmp/x/runs, 12 MB free, loss 0.25 on 12 rows"
    assert (
        run_record.settled_text(text, {"/tmp/x": "PLACE"}) == "took TIME and TIME in PLACE/runs, SIZE free, loss 0.25 on 12 rows"
    )
    found = run_record.settled({"seconds": 3, "metrics": [{"name": "f1", "value": 0.5, "seconds": 1}], "ids": [1, 2]}, {})
    assert found == {"metrics": {"f1": {"name": "f1", "value": 0.5}}, "ids": [1, 2]}


def test_a_long_list_is_kept_as_its_digest() -> None:
    first, second = list(range(100)), [*range(99), 0]
    kept, other = (run_record.settled(items, {}) for items in (first, second))
    assert kept["items"] == 100
    assert kept["sha256"] != other["sha256"]


def test_the_generated_rows_are_always_the_same(tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made_recipes.write_made(tmp_path / name)
        digests.append([run_record.digest(path.read_bytes()) for path in sorted((tmp_path / name).iterdir())])
    assert digests[0] == digests[1]
    assert len(digests[0]) == len(made_recipes.RECIPES) + 7
