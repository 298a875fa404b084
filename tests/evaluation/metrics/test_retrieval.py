"""Retrieval metrics: worked examples by hand, bounds and invariants on random rankings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.pairs.retrieval import NO_DOCUMENT, Judgements
from tunesmith.evaluation.metrics.retrieval import METRICS, parse_metric, query_metrics

NAMES = tuple(f"{metric}@{k}" for metric in METRICS for k in (1, 3, 10))


def judgements(query_metrics: list[dict[int, float]], n_documents: int) -> Judgements:
    """From query -> {document: gain}."""
    entries = [(q, d, gain) for q, relevant in enumerate(query_metrics) for d, gain in relevant.items()]
    query, document, gain = (np.array(column) for column in zip(*entries, strict=True))
    return Judgements(query, document, gain.astype(float), len(query_metrics), n_documents)


def test_a_ranking_worked_by_hand() -> None:
    found = query_metrics(
        np.array([[4, 0, 2, 1, 3]]), judgements([{0: 2.0, 1: 1.0, 3: 1.0}], 5), ("ndcg@4", "mrr@4", "recall@4", "map@4")
    )
    gained = 2 / math.log2(3) + 1 / math.log2(5)
    assert found["ndcg@4"] == pytest.approx([gained / (2 + 1 / math.log2(3) + 1 / 2)])
    assert found["mrr@4"] == pytest.approx([1 / 2])
    assert found["recall@4"] == pytest.approx([2 / 3])
    assert found["map@4"] == pytest.approx([(1 / 2 + 2 / 4) / 3])


def test_each_query_is_measured_by_its_own_documents() -> None:
    found = query_metrics(np.array([[0, 1], [0, 1]]), judgements([{0: 1.0}, {1: 1.0}], 2), ("mrr@2",))
    assert found["mrr@2"].tolist() == [1.0, 0.5]


def test_places_without_a_document_gain_nothing() -> None:
    found = query_metrics(np.array([[NO_DOCUMENT, 1, NO_DOCUMENT]]), judgements([{1: 1.0, 2: 1.0}], 3), ("recall@3", "mrr@3"))
    assert (found["recall@3"][0], found["mrr@3"][0]) == (0.5, 0.5)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, Judgements]:
    n_queries, n_documents = draw(st.integers(1, 4)), draw(st.integers(10, 15))
    chance = np.random.default_rng(draw(st.integers(0, 10_000)))
    relevant = [
        {int(d): float(chance.integers(1, 4)) for d in chance.choice(n_documents, chance.integers(1, 6), replace=False)}
        for _ in range(n_queries)
    ]
    return np.stack([chance.permutation(n_documents) for _ in range(n_queries)]), judgements(relevant, n_documents)


@given(rankings())
@settings(max_examples=60, deadline=None)
def test_every_value_is_in_0_to_1_and_the_best_order_has_1(drawn: tuple[np.ndarray, Judgements]) -> None:
    ranked, relevance = drawn
    found = query_metrics(ranked, relevance, NAMES)
    assert all(((values >= 0) & (values <= 1 + 1e-12)).all() for values in found.values())
    gains = np.zeros(ranked.shape)
    gains[relevance.query, relevance.document] = relevance.gain
    best = query_metrics(np.argsort(-gains, axis=1, kind="stable"), relevance, NAMES)
    assert best["ndcg@10"] == pytest.approx(np.ones(len(ranked)))
    assert best["map@10"] == pytest.approx(np.ones(len(ranked)))
    assert all((best[name] >= values - 1e-12).all() for name, values in found.items())


@given(rankings(), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_moving_a_relevant_document_up_never_hurts(drawn: tuple[np.ndarray, Judgements], place: int) -> None:
    ranked, relevance = drawn
    gains = np.zeros(ranked.shape)
    gains[relevance.query, relevance.document] = relevance.gain
    moved = ranked.copy()
    for q in range(len(ranked)):
        if gains[q, ranked[q, place]] > gains[q, ranked[q, place - 1]]:
            moved[q, [place - 1, place]] = ranked[q, [place, place - 1]]
    before, after = query_metrics(ranked, relevance, NAMES), query_metrics(moved, relevance, NAMES)
    assert all((after[name] >= before[name] - 1e-12).all() for name in NAMES)


def test_what_cannot_be_measured_is_refused() -> None:
    relevance = judgements([{0: 1.0}], 20)
    with pytest.raises(ValueError, match="read up to 10"):
        query_metrics(np.zeros((1, 3), dtype=int), relevance, ("ndcg@10",))
    with pytest.raises(ValueError, match="1 without a relevant document"):
        query_metrics(
            np.zeros((2, 20), dtype=int), Judgements(relevance.query, relevance.document, relevance.gain, 2, 20), ("ndcg@10",)
        )
    for name in ("ndcg", "ndcg@0", "ndcg@x", "bleu@10"):
        with pytest.raises(ValueError, match="no retrieval metric"):
            parse_metric(name)
