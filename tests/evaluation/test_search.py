"""Exact search in blocks gives what sorting the whole matrix gives."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.pairs.retrieval import NO_DOCUMENT
from tunesmith.evaluation import search
from tunesmith.evaluation.search import SEARCHES


@pytest.mark.parametrize(("n_queries", "n_documents", "k"), [(5, 40, 7), (11, 9, 9), (3, 23, 1)])
def test_blocks_give_the_order_of_the_whole_matrix(n_queries: int, n_documents: int, k: int, monkeypatch) -> None:
    draw = np.random.default_rng(0)
    queries, documents = draw.normal(size=(n_queries, 6)), draw.normal(size=(n_documents, 6))
    monkeypatch.setattr(search, "BLOCK_QUERIES", 4)
    monkeypatch.setattr(search, "BLOCK_DOCUMENTS", 7)
    positions, scores = search.nearest(queries, documents, k)
    whole = queries @ documents.T
    assert positions.tolist() == np.argsort(-whole, axis=1)[:, :k].tolist()
    assert scores == pytest.approx(np.take_along_axis(whole, positions, axis=1), abs=1e-5)


def test_equal_scores_stand_in_the_order_of_the_documents() -> None:
    positions, _ = search.nearest(np.ones((1, 2)), np.ones((5, 2)), 5)
    assert positions.tolist() == [[0, 1, 2, 3, 4]]


def test_places_beyond_the_documents_are_marked() -> None:
    positions, scores = search.nearest(np.ones((2, 2)), np.eye(2), 4)
    assert positions[:, 2:].tolist() == [[NO_DOCUMENT, NO_DOCUMENT]] * 2
    assert np.isneginf(scores[:, 2:]).all()


DOCUMENTS = ["the owl hunts at night", "bees make honey and wax", "honey, honey, honey", "nothing to see"]


@pytest.mark.parametrize("name", SEARCHES)
def test_documents_with_the_words_come_first_and_others_not_at_all(name: str) -> None:
    ranked = SEARCHES[name](DOCUMENTS, ["honey", "an owl at night", "xylophone"], 6)
    assert ranked.shape == (3, 6)
    assert ranked[0, :2].tolist() == [2, 1]
    assert ranked[1, 0] == 0
    assert (ranked[0, 2:] == NO_DOCUMENT).all()
    assert (ranked[2] == NO_DOCUMENT).all()


@pytest.mark.parametrize("name", SEARCHES)
def test_fewer_places_than_documents_hold_the_best(name: str) -> None:
    assert SEARCHES[name](DOCUMENTS, ["honey wax"], 1).tolist() == [[1]]
