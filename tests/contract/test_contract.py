"""What every task does, the same for each line of the task table and for a task that is added in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.contract.afresh import MEASURED_BY, RUN, TEST, check_measured, filled_in, in_fresh_process, measuring_job
from tests.contract.cases import CASES, N_ROWS, Case, write_rows
from tests.contract.conftest import Runs
from tunesmith.cli.main import main
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.errors import InputError, Interrupted
from tunesmith.evaluation.outputs import Outputs, metric_values
from tunesmith.models.inference import batches_by_length
from tunesmith.preflight.report import CheckLine
from tunesmith.progress import Clock, silent
from tunesmith.recipe.load import load_recipe
from tunesmith.recipe.tasks import TASKS as SETTINGS
from tunesmith.results import RunResult
from tunesmith.tasks.steps import read
from tunesmith.tasks.table import TASKS, task_for
from tunesmith.tasks.task import Request
from tunesmith.workflows import train as train_workflow
from tunesmith.workflows.check import check

each_task = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
FEW = 6


def test_every_line_of_the_task_table_has_a_case(runs: Runs) -> None:
    assert {case.task for case in CASES} == TASKS.keys() == SETTINGS.keys()


@each_task
def test_sixteen_rows_are_learnt(runs: Runs, case: Case) -> None:
    result = runs.run(case).result
    if SETTINGS[case.task].loss_falls:
        assert result.training["last_loss"] < 0.75 * result.training["first_loss"]
    else:  # the model makes its own rows, and what it learns shows in its metric
        assert result.verdicts[0].difference > 0.25


FILES = ("recipe.yaml", "resolved.yaml", "result.json", "metrics.jsonl", "predictions.parquet", "report.html")


@each_task
def test_the_run_folder_is_whole(runs: Runs, case: Case) -> None:
    run = runs.run(case)
    assert [name for name in FILES if not (run.folder / name).is_file()] == []
    assert (run.folder / "model" / "README.md").is_file()
    assert not run.folder.with_name("run.partial").exists()
    assert RunResult.load(run.folder / "result.json").metrics == run.result.metrics
    assert run.result.certificates
    assert all(certificate.passed for certificate in run.result.certificates)
    assert {"row_id", "split", "text"} <= predictions(run.folder).keys()


# --- a run's model in another process ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def afresh(runs: Runs) -> dict[str, Any]:
    """Case -> split -> metric -> value of the saved model in a process of its own."""
    return in_fresh_process({case.name: measuring_job(runs, case, runs.run(case)) for case in CASES})


@each_task
def test_a_fresh_process_measures_what_the_run_measured(runs: Runs, afresh: dict[str, Any], case: Case) -> None:
    check_measured(afresh[case.name], case, runs.run(case))


# --- the same again ------------------------------------------------------------------------------------------------------------


@each_task
def test_a_resumed_run_equals_one_that_was_not_stopped(runs: Runs, case: Case) -> None:
    whole = runs.fit(case, "whole")
    with pytest.raises(Interrupted, match="after step 4 of 6"):
        runs.fit(case, "parts", stop_at=4)
    torch.manual_seed(12345)
    resumed = runs.fit(case, "parts", resume=True)
    assert "resumed from step 4" in resumed.fit.notes
    assert resumed.losses == whole.losses
    assert (resumed.fit.best_step, resumed.fit.best_value) == (whole.fit.best_step, whole.fit.best_value)
    assert all(torch.equal(resumed.weights[name], value) for name, value in whole.weights.items())


def predictions(folder: Path) -> dict[str, list[Any]]:
    return dict(pq.read_table(folder / "predictions.parquet").to_pydict())


@each_task
def test_the_same_seed_gives_the_same_run(runs: Runs, case: Case) -> None:
    first, second = runs.run(case), runs.run(case, "again")
    assert predictions(first.folder) == predictions(second.folder)
    assert first.result.metrics == second.result.metrics
    assert first.result.verdicts == second.result.verdicts


# --- rows ----------------------------------------------------------------------------------------------------------------------


def records(result: RunResult) -> Iterator[Mapping[str, Any]]:
    """The records of all rows that a run reads."""
    yield from result.data["splits"].values()
    yield from result.data.get("also", [])
    if "pairs" in result.data:
        yield result.data["pairs"]


def rows_by_source(result: RunResult) -> dict[str, int]:
    """Source -> the rows that were read from it, into all splits."""
    found: dict[str, int] = {}
    for record in records(result):
        found[record["source"]] = found.get(record["source"], 0) + record["rows_read"]
    return found


def is_training_file(source: str) -> bool:
    return Path(source).name.startswith("train.")


SHARES = {"validation": 0.25, "test": 0.25}


def cut_run(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> RunResult:
    """A smoke run of a few rows, of shares of a sample."""
    monkeypatch.setattr(train_workflow, "SMOKE_ROWS", FEW)
    more = {"also": [write_rows(runs.folder(case, "smoke") / "more", case.rows)]} if case.task == "embedding" else {}
    embedding = {"embedding": {"mix": "proportional"}} if more else {}
    data = {**SHARES, "max_rows": FEW + 2, **more}
    short: dict[str, Any] = {"max_steps": 2, "n_evaluations": 1}
    if case.task != "ppo":  # its batches divide the answers of an iteration
        short["per_device_train_batch_size"] = 4
    return runs.run(case, "smoke", smoke=True, data=data, train=short, **embedding).result


@each_task
def test_no_row_is_lost_silently(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = runs.run(case).result, cut_run(runs, case, monkeypatch)
    for result in (whole, cut):
        for record in records(result):
            assert record["rows_read"] == record["rows"] + sum(record["dropped"].values()) + record["not_sampled"], record
        (read,) = [count for source, count in rows_by_source(result).items() if is_training_file(source)]
        assert read == N_ROWS + len(case.bad_rows)
    assert all(record["rows"] <= FEW for record in records(cut))


def sequences(value: object, path: str = "") -> Iterator[tuple[str, int]]:
    """Every list, tuple and array below an object, with its length; of texts only their number. Lines of check are no rows."""
    if isinstance(value, list | tuple | np.ndarray):
        if not all(isinstance(one, CheckLine) for one in value):
            yield path, len(value)
        if not isinstance(value, np.ndarray):
            for one in value:
                yield from sequences(one, path)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from sequences(one, f"{path}.{key}")
    elif dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            yield from sequences(getattr(value, part.name), f"{path}.{part.name}")


@each_task
def test_a_smoke_run_cuts_every_input(runs: Runs, case: Case) -> None:
    place = runs.folder(case, "cut")
    more = {"data": {"also": [write_rows(place / "more", case.rows)]}} if case.task == "embedding" else {}
    loaded = load_recipe(runs.recipe(case, "cut", **more, embedding={"mix": "proportional"} if more else {}))
    task, clock = task_for(loaded.recipe), Clock(silent, {})
    data = read(task, Request(loaded, clock, max_rows=FEW))
    for part in (data, task.load_steps().prepare(data, clock)):
        assert list(row_counts(part))
        assert [(name, count) for name, count in row_counts(part) if count > FEW] == []
        assert [(name, count) for name, count in sequences(part) if count >= N_ROWS] == []


def row_counts(value: object, path: str = "") -> Iterator[tuple[str, int]]:
    """The rows, queries and documents of everything in the data of a task."""
    if isinstance(value, Retrieval):
        yield from ((f"{path}.queries", len(value.queries)), (f"{path}.documents", len(value.documents)))
    elif hasattr(value, "row_ids"):
        yield path, len(value.row_ids)
    elif isinstance(value, tuple):
        for one in value:
            yield from row_counts(one, path)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from row_counts(one, f"{path}.{name}")
    elif dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            yield from row_counts(getattr(value, part.name), f"{path}.{part.name}")


@each_task
def test_bad_rows_are_named(runs: Runs, case: Case) -> None:
    found = runs.run(case).result.findings
    named = {row["row_id"] for finding in found if finding.name == "dropped_rows" for row in finding.rows}
    assert named == set(case.bad_rows)
    counted = next(record for record in records(runs.run(case).result) if is_training_file(record["source"]))
    assert sum(counted["dropped"].values()) == len(case.bad_rows)


@each_task
def test_a_row_that_cannot_be_read_is_one_error_that_names_it(runs: Runs, case: Case) -> None:
    place = runs.folder(case, "unreadable")
    lines = [json.dumps(row) for row in case.rows]
    (place / "broken.jsonl").write_text("\n".join([*lines[:4], lines[4][:20], *lines[5:]]))
    loaded = load_recipe(runs.recipe(case, "unreadable", data={"train": str(place / "broken.jsonl")}))
    with pytest.raises(InputError, match="line 5") as caught:
        read(task_for(loaded.recipe), Request(loaded, Clock(silent, {})))
    assert len(caught.value.problems) == 1


@each_task
def test_a_cell_that_is_no_text_is_named(runs: Runs, case: Case) -> None:
    rows = [*case.rows[:4], {**case.rows[4], case.empty: ["one", "two"]}, *case.rows[5:]]
    data = {"train": write_rows(runs.folder(case, "no-text") / "odd", rows), "columns": case.columns}
    loaded = load_recipe(runs.recipe(case, "no-text", data=data))
    request = Request(loaded, Clock(silent, {}))
    if "pretraining" in case.task or case.task in ("sft", "preference", "reward", "ppo", "grpo"):  # such rows are left out
        findings = read(task_for(loaded.recipe), request).findings
        assert [row["row_id"] for finding in findings for row in finding.rows if finding.name == "dropped_rows"] == [4]
        return
    with pytest.raises(InputError, match=r"row 4 \(line 5\)") as caught:
        read(task_for(loaded.recipe), request)
    assert len(caught.value.problems) == 1


# --- batches -------------------------------------------------------------------------------------------------------------------

SIZES = (1, 3, 8)
BATCHED_IN = (
    "models.inference", "models.language.token_losses", "models.language.seq2seq", "generation.decode", "generation.sampling",
)  # fmt: skip


@each_task
def test_the_batch_size_changes_no_output(runs: Runs, case: Case) -> None:
    steps, session = runs.plain(case)
    alone, *others = (steps.sample_outputs(session, size) for size in SIZES)
    assert len(alone) > max(SIZES) / 2
    for together in others:
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5 * float(np.abs(alone).max()))


@each_task
def test_the_batch_size_changes_no_metric(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, session = runs.plain(case)
    splits = {split.split: split for split in steps.metrics(session)}
    whole = dict(steps.outputs(session))
    sizes = []

    def small(lengths: np.ndarray, max_rows: int, *rest: Any, **more: Any) -> Iterator[np.ndarray]:
        for batch in batches_by_length(lengths, min(max_rows, 3), *rest, **more):
            sizes.append(len(batch))
            yield batch

    for module in BATCHED_IN:
        monkeypatch.setattr(f"tunesmith.{module}.batches_by_length", small)
    for name, outputs in steps.outputs(session).items():
        before = metric_values(whole[name], splits[name])
        assert metric_values(outputs, splits[name]) == pytest.approx(before, abs=1e-3, nan_ok=True)
        assert outputs.texts == whole[name].texts
        for one, other in zip(arrays(outputs), arrays(whole[name]), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1.0, float(np.abs(other).max())))
    assert max(sizes) == 3


def arrays(outputs: Outputs) -> Iterator[np.ndarray]:
    """Everything that outputs have of each row."""
    yield from outputs.row_scores.values()
    yield from outputs.embeddings
    if outputs.predictions is not None:
        yield outputs.predictions.scores
    if outputs.token_losses is not None:
        yield outputs.token_losses.sums


# --- the pre-flight and the verbs ----------------------------------------------------------------------------------------------

CHECKS = ("longest batch", "first loss", "gradients", "evaluation", "the saved model equals the trained one", "time")


@each_task
def test_the_preflight_tries_everything(runs: Runs, case: Case) -> None:
    report = check(load_recipe(runs.recipe(case, "check")))
    names = [line.check for line in report.checks]
    assert report.problems == ()
    assert [name for name in CHECKS if name not in names] == []
    assert [name for name in names if name.endswith("in a padded batch")]
    assert "lengths of train" in names
    assert report.estimate_seconds is not None
    assert not (runs.folder(case, "check") / "run").exists()


RECIPE, OTHER, OUT = "RECIPE", "OTHER", "OUT"
VERBS: Mapping[str, list[str]] = {
    "check": ["check", RECIPE],
    "evaluate": ["evaluate", RUN, TEST],
    "compare": ["compare", RUN, OTHER],
    "predict": ["predict", RUN, TEST, "--output", OUT],
    "trace": ["trace", RECIPE, "--row", "3", "--run", RUN],
    "report": ["report", RUN],
}
# Verb, case -> other words than those of ``VERBS``.
OTHER_WORDS: Mapping[tuple[str, str], list[str]] = {
    ("evaluate", "reranker"): MEASURED_BY["reranker"],
    ("predict", "reranker"): ["predict", RUN, TEST, "--text", "anchor", "--pair", "positive", "--output", OUT],
    ("trace", "toy"): ["trace", RECIPE, "--row", "3"],
}
NO_LABELS = "Use check and train for it"
# Verb -> case -> what the message names instead, where the verb has no meaning for the task.
REFUSED: Mapping[str, Mapping[str, str]] = {
    "check": {},
    "evaluate": {
        "masked pretraining": "model.name",
        "ppo": "tunesmith compare",
        "grpo": "tunesmith compare",
        "toy": "tunesmith compare",
    },
    "compare": {},
    "predict": {
        "embedding": "tunesmith embed",
        "sft": "tunesmith generate",
        "ppo": "tunesmith generate",
        "grpo": "tunesmith generate",
        "preference": "tunesmith generate",
        "causal pretraining": "tunesmith generate",
        "masked pretraining": "model.name",
        "seq2seq sft": "tunesmith generate",
        "seq2seq pretraining": "tunesmith generate",
        "toy": "tunesmith compare",
    },
    "trace": {case.name: NO_LABELS for case in CASES if case.name not in ("classification", "regression", "toy")},
    "report": {},
}
CANNOT_TELL = 4


@pytest.mark.parametrize("verb", VERBS)
@each_task
def test_a_verb_works_or_names_what_to_use(runs: Runs, case: Case, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    runs.run(case)
    if verb == "compare":
        runs.run(case, "again")
    place = runs.folder(case, "base")
    places = {RECIPE: str(place / "recipe.yaml"), OTHER: str(runs.folder(case, "again") / "run"), OUT: str(place / "out.csv")}
    words = filled_in(runs, case, runs.run(case), OTHER_WORDS.get((verb, case.name), VERBS[verb]))
    capsys.readouterr()
    code = main([places.get(word, word) for word in words])
    printed = capsys.readouterr()
    instead = REFUSED[verb].get(case.name)
    if instead is None:
        assert code == (CANNOT_TELL if verb == "compare" else 0), printed.err
        return
    assert code == 2
    (message,) = [line for line in printed.err.splitlines() if line.startswith("tunesmith: ")]
    assert instead in message
