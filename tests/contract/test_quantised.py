"""Runs on quantised weights, of every task: what is reported is measured on the model that is saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from tests.contract.afresh import check_measured, filled_in, in_fresh_process, measuring_job
from tests.contract.cases import CASES, N_ROWS, Case
from tests.contract.conftest import Runs
from tunesmith.recipe.metric_names import LOSS_METRICS
from tunesmith.tasks.finished import Run

pytest.importorskip("bitsandbytes")

KINDS = {
    "classification": "nf4", "regression": "int8", "embedding": "fp4", "reranker": "nf4", "sft": "nf4",
    "causal pretraining": "int8", "masked pretraining": "nf4",
}  # fmt: skip
QUANTISED = tuple(case for case in CASES if case.name in KINDS)
BY_NAME = {case.name: case for case in CASES}
MERGED = "the saved model: the adapter merged into unquantised weights"
ROWS = ("classification", "regression", "reranker")
each_task = pytest.mark.parametrize("case", QUANTISED, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def runs(runs: Runs) -> Runs:
    """Runs on base models with large weights, in which rounding shows: of new ones the outputs hardly depend on the layers.

    One dimension has large values, as of real models: a product in 8 bits treats it by what else is in the batch.
    """
    return Runs(runs.root / "large", {name: with_large_weights(folder) for name, folder in runs.models.items()})


def with_large_weights(folder: Path) -> Path:
    """Writes a base model again beside itself, its layers' weights eight times as large."""
    place = folder.with_name(f"{folder.name}-large")
    shutil.copytree(folder, place)
    tensors = load_file(place / "model.safetensors")
    large = {name: 8 * x if x.ndim == 2 and "embed" not in name else x for name, x in tensors.items()}
    for name, tensor in large.items():
        if name.lower().endswith("norm.weight"):
            tensor[0] = 3
    save_file(large, place / "model.safetensors", metadata={"format": "pt"})
    return place


def quantised_run(runs: Runs, case: Case) -> Run:
    adapter = {"method": "lora", "r": 4, "target_modules": "all-linear"}
    return runs.run(case, "quantised", adapter=adapter, quantisation=KINDS[case.name], **searched(case))


def prefix_run(runs: Runs) -> Run:
    adapter = {"method": "prefix_tuning", "num_virtual_tokens": 2}
    return runs.run(BY_NAME["classification"], "prefix", adapter=adapter, quantisation="nf4")


def searched(case: Case) -> dict[str, Any]:
    """Returns the sections by which pairs are searched among the texts of their own split, as ``evaluate`` searches a file."""
    return {"evaluate": {"corpus": "split"}} if case.task == "embedding" else {}


@pytest.fixture(scope="module")
def afresh(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Case -> the metrics of the saved model in a process of its own; and what ``predict`` and ``embed`` give there."""
    place = tmp_path_factory.mktemp("afresh")
    jobs = {case.name: measuring_job(runs, case, quantised_run(runs, case)) for case in QUANTISED}
    for name in ROWS:
        run, file = quantised_run(runs, BY_NAME[name]), place / f"{name}.csv"
        pq_rows = pq.read_table(run.folder / "predictions.parquet").to_pylist()
        rows = [row for row in pq_rows if row["split"] != "retrieval"]
        names = [("text", "query"), ("pair", "document")] if name == "reranker" else [("text", "text")]
        table = [{new: row[old] for old, new in names} for row in rows]
        file.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, table)))
        jobs[f"predict {name}"] = {"words": ["predict", str(run.folder), str(file.with_suffix(".jsonl"))]}
    case = BY_NAME["embedding"]
    words = ["embed", "RUN", "TEST", "--text", "anchor", "--output", str(place / "vectors.npy")]
    jobs["embed"] = {"words": filled_in(runs, case, quantised_run(runs, case), words)}
    jobs["prefix"] = measuring_job(runs, BY_NAME["classification"], prefix_run(runs))
    return {**in_fresh_process(jobs), "vectors": place / "vectors.npy"}


@each_task
def test_a_fresh_process_measures_what_the_run_measured(runs: Runs, afresh: dict[str, Any], case: Case) -> None:
    check_measured(afresh[case.name], case, quantised_run(runs, case))


@each_task
def test_the_run_says_which_model_was_measured_and_compares_it_with_an_unquantised_base(runs: Runs, case: Case) -> None:
    result = quantised_run(runs, case).result
    assert all(certificate.passed for certificate in result.certificates)
    assert result.training["quantisation"] == KINDS[case.name]
    assert result.training["measured"] == MERGED
    assert "and merged into unquantised ones" in result.training["notes"][-1]
    notes = {baseline.name: baseline.note for baseline in result.baselines}
    assert "bits" not in notes.get("untuned", "")


def test_the_base_that_is_compared_is_that_of_a_run_without_quantisation(runs: Runs) -> None:
    for name, baselines in {"classification": {"frozen"}, "embedding": {"untuned"}, "sft": {"untuned"}}.items():
        plain, quantised = runs.run(BY_NAME[name], **searched(BY_NAME[name])), quantised_run(runs, BY_NAME[name])
        of_both = [
            {(b.name, m.split, m.name): m.value for b in run.result.baselines if b.name in baselines for m in b.metrics}
            for run in (plain, quantised)
        ]
        assert of_both[0]
        assert of_both[1] == pytest.approx(of_both[0], abs=2e-3, nan_ok=True)


@pytest.mark.parametrize("name", ROWS)
def test_predictions_in_a_fresh_process_are_those_of_the_run(runs: Runs, afresh: dict[str, Any], name: str) -> None:
    rows = pq.read_table(quantised_run(runs, BY_NAME[name]).folder / "predictions.parquet").to_pylist()
    ours = [row for row in rows if row["split"] != "retrieval"]
    theirs = afresh[f"predict {name}"]["predictions"]
    assert len(theirs) == len(ours) > 0
    if name == "regression":
        assert [row["prediction"] for row in theirs] == pytest.approx([row["prediction"] for row in ours], abs=2e-3)
        return
    probabilities = [np.array([row["pred_probs"] for row in rows]) for rows in (theirs, ours)]
    np.testing.assert_allclose(*probabilities, atol=2e-3)


def test_vectors_in_a_fresh_process_are_those_of_the_saved_model(runs: Runs, afresh: dict[str, Any]) -> None:
    from sentence_transformers import SentenceTransformer

    case = BY_NAME["embedding"]
    vectors = np.load(afresh["vectors"])
    model = SentenceTransformer(str(quantised_run(runs, case).folder / "model"), device="cpu")
    upstream = model.encode([row["anchor"] for row in case.other])
    assert vectors.shape == upstream.shape == (N_ROWS, 32)
    np.testing.assert_allclose(vectors, upstream, atol=1e-2)


def saved_where(folder: Path) -> Mapping[str, Any]:
    return dict(json.loads((folder / "base.json").read_text()))


def test_what_cannot_be_merged_is_measured_as_it_is_saved(runs: Runs, afresh: dict[str, Any]) -> None:
    run = prefix_run(runs)
    assert run.result.training["measured"] == "the saved adapter on weights in 4 bits (NF4)"
    assert saved_where(run.folder / "model")["quantisation"] == "nf4"
    check_measured(afresh["prefix"], BY_NAME["classification"], run)


@pytest.mark.parametrize("name", ["classification", "embedding", "sft"])
def test_kept_models_are_measured_as_they_are_saved(runs: Runs, name: str) -> None:
    adapter = {"method": "lora", "r": 4}
    usual = {"evaluate": {"tune_threshold": False}} if name == "classification" else {}  # as during the training
    run = runs.run(BY_NAME[name], "kept", adapter=adapter, quantisation="nf4", train={"save_strategy": "all"}, **usual)
    log = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    logged = {line["step"]: line for line in log if line["event"] == "evaluate"}
    kept = {step: json.loads((run.folder / f"checkpoints/step-{step}/metrics.json").read_text()) for step in (12, 24)}
    for step, of_step in kept.items():
        assert of_step["metrics"].keys() == logged[step]["metrics"].keys()
        assert abs(of_step["loss"] - logged[step]["loss"]) > 1e-4  # the log has the loss in 4 bits, while it was trained
    best = kept[run.result.training["best_step"]]
    best = {**best["metrics"], "loss": best["loss"]}
    reported = {m.name: m.value for m in run.result.metrics if m.split == "validation" and m.name in best}
    if name == "sft":  # during the training fewer answers are generated
        reported = {metric: value for metric, value in reported.items() if metric in LOSS_METRICS}
    assert reported
    assert {metric: best[metric] for metric in reported} == pytest.approx(reported, abs=1e-4)
