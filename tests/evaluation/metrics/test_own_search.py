"""A user's function of a search: what it reads, that it agrees with the built-in metrics, and that its intervals hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import NO_DOCUMENT, Judgements, Retrieval
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.own_function import OwnFunction
from tunesmith.evaluation.metrics.own_metrics import own_metrics
from tunesmith.evaluation.metrics.own_search import PARAMETERS, made_up_ranking, probed_on_search, queries_reader, reads_search
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.retrieval import query_metrics


def search(n_queries: int, n_documents: int = 30, seed: int = 0) -> Retrieval:
    """Every query has one or two relevant documents."""
    rng = np.random.default_rng(seed)
    pairs = [(i, int(d)) for i in range(n_queries) for d in rng.choice(n_documents, rng.integers(1, 3), replace=False)]
    query, document = np.array(pairs).T
    names = [tuple(f"{part}{i}" for i in range(n)) for part, n in (("d", n_documents), ("q", n_queries))]
    judged = Judgements(query, document, np.ones(len(pairs)), n_queries, n_documents)
    texts = [tuple(f"text of {name}" for name in of_kind) for of_kind in names]
    return Retrieval("x", "test", names[0], texts[0], names[1], texts[1], judged)


def function(call: Any, *parameters: str) -> OwnFunction:
    return OwnFunction(call, "f.py:score", Path("f.py"), parameters, names=("score",))


def reciprocal_rank(gains: Array) -> float:
    hits = gains[:, :10] > 0
    return float(np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0).mean())


def test_the_function_reads_ids_gains_and_relevant_documents_of_each_query() -> None:
    data, read = search(6), {}

    def call(**arguments: Any) -> float:
        read.update(arguments)
        return 0.5

    ranked = np.where(np.arange(12) < 11, made_up_ranking(data)[:, :12], NO_DOCUMENT)
    rows = queries_reader(function(call, *PARAMETERS), data)(ranked)
    assert rows is not None
    assert len(rows) == 6
    rows.values(np.array([2, 2, 5]))
    assert read["queries"].tolist() == ["text of q2", "text of q2", "text of q5"]
    for i, query in enumerate((2, 2, 5)):
        ids = [f"d{j}" if j != NO_DOCUMENT else "" for j in ranked[query]]
        assert read["ranked"][i].tolist() == ids
        assert read["gains"][i].tolist() == [read["relevant"][i].get(name, 0.0) for name in ids]
        assert 1 <= len(read["relevant"][i]) <= 2
    assert read["documents"]["d3"] == "text of d3"
    assert queries_reader(function(call, "gains"), data)(None) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_function_that_computes_mrr_has_the_value_of_mrr(seed: int) -> None:
    data = search(50, seed=seed)
    ranked = np.stack([np.random.default_rng([seed, i]).permutation(30)[:20] for i in range(50)])
    rows = queries_reader(function(lambda gains: reciprocal_rank(gains), "gains"), data)(ranked)
    assert rows is not None
    (metric,) = own_metrics("test", [rows], Resampling(300, 0))
    assert metric.value == pytest.approx(query_metrics(ranked, data.judgements, ("mrr@10",))["mrr@10"].mean())
    assert metric.n == 50
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < metric.value < metric.high


@pytest.mark.parametrize("skill", [0.0, 2.0])
def test_its_intervals_hold_for_few_queries_of_few_topics(skill: float) -> None:
    """40 queries, 20 topics of 2 that share their outcome, drawn 60 times; a model that knows nothing, and a good one."""
    rng, held, n_documents = np.random.default_rng(int(skill)), 0, 20

    def drawn(n_topics: int) -> Array:
        scores = rng.normal(size=(n_topics, n_documents))
        scores[:, 0] += skill
        return np.repeat(np.argsort(-scores, axis=1), 2, axis=0)

    def measured(ranked: Array) -> tuple[float, float | None, float | None]:
        n = len(ranked)
        names = tuple(map(str, range(max(n, n_documents))))
        judged = Judgements(np.arange(n), np.zeros(n, dtype=int), np.ones(n), n, n_documents)
        data = Retrieval("x", "test", names[:n_documents], names[:n_documents], names[:n], names[:n], judged)
        rows = queries_reader(function(lambda gains: reciprocal_rank(gains), "gains"), data)(ranked)
        assert rows is not None
        (metric,) = own_metrics("test", [rows], Resampling(200, 0).of_rows(np.repeat(np.arange(n // 2), 2)))
        assert metric.value is not None
        return metric.value, metric.low, metric.high

    truth = reciprocal_rank((drawn(20_000) == 0).astype(float))
    for _ in range(60):
        _, low, high = measured(drawn(20))
        held += low is not None and high is not None and low <= truth <= high
    assert held >= 52  # of 57 expected


def test_a_function_of_a_search_is_called_before_the_training_and_one_of_both_is_refused() -> None:
    data = search(20)
    assert probed_on_search(function(lambda gains: gains[:, 0].mean(), "gains"), data, {}).names == ("score",)
    with pytest.raises(RecipeError, match="the function failed on 20 queries of test: ZeroDivisionError"):
        probed_on_search(function(lambda gains: 1 / 0, "gains"), data, {})
    with pytest.raises(RecipeError, match=r"firsst is no metric here, and is not returned by f\.py:score\. It returns: score"):
        probed_on_search(function(lambda gains: 0.1, "gains"), data, {"evaluate.metric": "firsst dim=8"})
    with pytest.raises(RecipeError, match=r"has parameters of rows \(labels\) and of a search \(gains\)"):
        reads_search(function(lambda: 0, "labels", "gains"))


def test_the_made_up_rankings_have_hits_and_misses_and_no_document_twice() -> None:
    data = search(40)
    ranked = made_up_ranking(data)
    assert all(len(set(row)) == len(row) for row in ranked.tolist())
    assert 0.2 < (data.judgements.gains_at(ranked)[:, :3] > 0).any(axis=1).mean() < 1
