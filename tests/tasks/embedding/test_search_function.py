"""A user's function of a search: it leads, selects the checkpoint and is compared, for embedding models and for rerankers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WORDS
from tunesmith.cli.main import main
from tunesmith.evaluation.metrics import own_metrics
from tunesmith.results import Metric, RunResult

THINGS = WORDS[:12]
QUESTIONS = [f"{a} {b} it" for a in THINGS for b in WORDS[16:20]]
ANSWERS = [f"this {b} was {a}" for a in THINGS for b in WORDS[16:20]]
FUNCTIONS = """
import numpy as np
def search(queries, query_ids, ranked, gains, relevant, documents):
    assert len(queries) == len(query_ids) == len(ranked) == len(gains) == len(relevant)
    assert all(document in documents for document in ranked[:, 0])
    hits = gains[:, :10] > 0
    found = np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0)
    return {"my_mrr": found.mean(), "places": np.where(hits.any(axis=1), hits.argmax(axis=1), 10).mean()}
def pairs(labels, predictions, probabilities, classes, texts, pairs):
    return {"gain": float(np.where(labels == predictions, 1.0, -2.0).mean())}
def broken(ranked):
    return ranked.no_such_thing
def both(labels, ranked):
    return 0.5
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search of 48 answers, and pairs of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_metrics, "BUDGET_SECONDS", 0.01)  # the fewest resamples
    Path("f.py").write_text(FUNCTIONS)
    (tmp_path / "search" / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", ANSWERS), ("queries", QUESTIONS)):
        lines = [json.dumps({"_id": f"{name}-{i}", "text": text}) for i, text in enumerate(texts)]
        (tmp_path / "search" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, chosen in (("train", range(0, 48, 2)), ("test", range(1, 48, 2))):
        lines = [f"queries-{i}\tcorpus-{i}\t1" for i in chosen]
        (tmp_path / "search" / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def recipe(model: Path, evaluate: dict[str, Any], **sections: Any) -> str:
    settings = {"max_steps": 4, "n_evaluations": 2, "per_device_train_batch_size": 16, "learning_rate": 0.001}
    content = {
        "task": "embedding", "model": {"name": str(model)}, "data": {"train": "search", "validation": 0.25}, "train": settings,
        "evaluate": {"retrieval": "search", "n_resamples": 200, **evaluate}, "output": "runs/e", **sections,
    }  # fmt: skip
    Path("recipe.yaml").write_text(json.dumps(content))
    return "recipe.yaml"


def check_interval(metric: Metric) -> None:
    assert None not in (metric.value, metric.low, metric.high)
    assert "by calls of f.py:search" in metric.interval
    assert metric.low < metric.value < metric.high  # type: ignore[operator]


def test_a_function_leads_on_the_search_and_selects_on_pairs(tiny_model: Path, capsys) -> None:
    evaluate = {"metric": "my_mrr", "checkpoint_metric": "places", "function": "f.py:search", "lower_is_better": ["places"]}
    assert main(["train", recipe(tiny_model, evaluate, embedding={"matryoshka_dimensions": [8]})]) == 0
    assert "Retrieval my mrr" in capsys.readouterr().out
    result = RunResult.load(Path("runs/e/result.json"))
    assert result.training["best_metric"]["name"] == "places"
    for split in ("validation", "retrieval"):
        for dimension in ("", " dim=8"):
            mine = result.metric(f"my_mrr{dimension}", split)
            assert mine.value == pytest.approx(result.metric(f"mrr@10{dimension}", split).value)
        assert not result.metric("places", split).higher_is_better
    for dimension in ("", " dim=8"):
        check_interval(result.metric(f"my_mrr{dimension}", "retrieval"))
    compared = {v.against for v in result.verdicts if (v.metric, v.split) == ("my_mrr", "retrieval")}
    assert compared == {"untuned", "tfidf", "bm25"}
    words = ["runs/e", "--retrieval", "search", "--against", str(tiny_model), "--json"]
    assert main(["evaluate", *words]) in (0, 3, 4)
    again = json.loads(capsys.readouterr().out)
    values = {metric["name"]: metric["value"] for metric in again["metrics"]}
    assert values["my_mrr"] == pytest.approx(result.metric("my_mrr", "retrieval").value, abs=1e-6)
    assert {v["against"] for v in again["verdicts"] if v["metric"] == "my_mrr"} == {str(tiny_model), "bm25", "tfidf"}


RERANKER = {"embedding": {"head": "cross-encoder", "top_k": 5, "hard_negatives": {"num_negatives": 2}}}


def test_a_function_of_a_search_measures_a_reranker_and_selects_its_checkpoint(tiny_model: Path, capsys) -> None:
    evaluate = {"checkpoint_metric": "my_mrr", "function": "f.py:search", "lower_is_better": ["places"]}
    assert main(["train", recipe(tiny_model, evaluate, **RERANKER)]) == 0
    result = RunResult.load(Path("runs/e/result.json"))
    assert result.training["best_metric"]["name"] == "my_mrr"
    mine = result.metric("my_mrr", "retrieval")
    assert mine.value == pytest.approx(result.metric("mrr@10", "retrieval").value)
    check_interval(mine)
    of_pairs = result.metric("my_mrr", "validation")
    assert 2 * of_pairs.n < result.data["splits"]["validation"]["rows"]  # its queries
    assert 1 / 3 <= (of_pairs.value or 0) <= 1  # one relevant document among three
    majority = next(b for b in result.baselines if b.name == "majority")
    blind = next(m.value for m in majority.metrics if (m.name, m.split) == ("my_mrr", "validation"))
    assert blind is not None
    assert blind < 1  # equal scores are in a random order
    assert {v.against for v in result.verdicts if v.metric == "my_mrr"} >= {"first stage", "tfidf", "bm25"}
    capsys.readouterr()
    words = [str(tiny_model), "--retrieval", "search", "--rerank", "runs/e", "--top-k", "5", "--json"]
    assert main(["evaluate", *words]) in (0, 3, 4)
    again = {metric["name"]: metric["value"] for metric in json.loads(capsys.readouterr().out)["metrics"]}
    assert again["my_mrr"] == pytest.approx(again["mrr@10"])


def test_a_function_of_pairs_measures_those_of_a_reranker(tiny_model: Path) -> None:
    assert main(["train", recipe(tiny_model, {"checkpoint_metric": "gain", "function": "f.py:pairs"}, **RERANKER)]) == 0
    result = RunResult.load(Path("runs/e/result.json"))
    assert result.training["best_metric"]["name"] == "gain"
    assert result.metric("gain", "validation").low is not None
    assert "gain" not in {metric.name for metric in result.metrics if metric.split == "retrieval"}


@pytest.mark.parametrize("sections", [{}, RERANKER])
@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        ({"function": "f.py:broken"}, "f.py:broken: the function failed on"),
        ({"function": "f.py:both"}, "has parameters of rows (labels) and of a search (ranked)"),
        ({"function": "f.py:search", "checkpoint_metric": "my_mr"}, "It returns: my_mrr, places"),
    ],
)
def test_a_function_that_cannot_be_used_ends_before_the_training(
    tiny_model: Path, capsys, evaluate: dict[str, Any], message: str, sections: dict[str, Any]
) -> None:
    if "both" in evaluate["function"] and not sections:
        message = "has the parameter 'labels', which the rows of validation and the queries of a search do not have"
    assert main(["train", recipe(tiny_model, evaluate, **sections)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert ("f.py:12: " in error) == ("broken" in evaluate["function"])
    assert not Path("runs/e").exists()
