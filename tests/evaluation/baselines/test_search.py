"""Search by words finds what shares words, and nothing else."""

from __future__ import annotations

import pytest

from tunesmith.data.pairs.retrieval import NO_DOCUMENT
from tunesmith.evaluation.baselines.search import SEARCHES

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
