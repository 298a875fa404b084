"""Search of second texts: more texts make it harder, never easier; and right answers of other splits count."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.corpus import NO_CORPUS, Corpus
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.evaluation.pair_search import pair_outputs
from tunesmith.evaluation.search import normalised


def vectors(n: int, seed: int, near: Array | None = None) -> Array:
    draw = np.random.default_rng(seed).normal(size=(n, 8))
    return normalised((draw if near is None else near + 0.4 * draw).astype(np.float32))


def case(n: int, n_further: int, seed: int) -> tuple[list[list[str]], Corpus, list[Array]]:
    queries = vectors(n, seed)
    sides = [[f"q{i}" for i in range(n)], [f"a{i}" for i in range(n)]]
    further = tuple(f"c{i}" for i in range(n_further))
    return sides, Corpus(further), [queries, vectors(n, seed + 1, queries), vectors(n_further, seed + 2)]


@pytest.mark.parametrize("seed", range(5))
def test_more_texts_never_make_a_search_easier(seed: int) -> None:
    sides, corpus, matrices = case(12, 400, seed)
    alone, among = pair_outputs(sides, NO_CORPUS, matrices[:2]).row_scores, pair_outputs(sides, corpus, matrices).row_scores
    for name in DEFAULT:
        assert (among[name] <= alone[name] + 1e-12).all()
    assert among["ndcg@10"].mean() < alone["ndcg@10"].mean()


def test_the_rank_is_that_among_all_texts() -> None:
    sides, corpus, matrices = case(6, 50, 0)
    scores = matrices[0] @ np.concatenate(matrices[1:]).T
    ranks = [int((scores[i] > scores[i, i]).sum()) + 1 for i in range(6)]
    expected = [1 / rank if rank <= 10 else 0.0 for rank in ranks]
    assert pair_outputs(sides, corpus, matrices).row_scores["mrr@10"] == pytest.approx(expected)
    sparse = [csr_matrix(matrix) for matrix in matrices]
    assert pair_outputs(sides, corpus, sparse).row_scores["mrr@10"] == pytest.approx(expected)


def test_an_answer_of_another_split_is_right() -> None:
    sides, _, (queries, documents, _) = case(4, 0, 0)
    better = np.concatenate([queries[:1], -queries[:1]])  # the nearest and the farthest text of the first query
    unknown = pair_outputs(sides, Corpus(("near", "far")), [queries, documents, better]).row_scores
    known = pair_outputs(sides, Corpus(("near", "far"), (("q0", "near"),)), [queries, documents, better]).row_scores
    assert unknown["mrr@10"][0] == 0.5
    assert known["mrr@10"][0] == 1.0
    assert known["recall@10"][0] == 1.0
