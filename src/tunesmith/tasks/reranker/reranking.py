"""Reorders the best documents of a search by a cross-encoder, which reads each query together with a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI
from tunesmith.data.pairs.retrieval import NO_DOCUMENT
from tunesmith.errors import ModelError
from tunesmith.evaluation.embedding_tests import SearchTest
from tunesmith.evaluation.outputs import Outputs, search_outputs
from tunesmith.evaluation.search import Similarity
from tunesmith.tasks.classification.predictor import Predictor

RELEVANT = "1"
"""The class of relevant pairs."""
Score = Callable[[Sequence[str], Sequence[str]], Array]
"""Queries (N) and documents (N) -> relevance (N)."""


@dataclass(frozen=True)
class RerankedSearch(SearchTest):
    """A search whose best documents a reranker reorders.

    Attributes:
        score: relevance of pairs.
        top_k: number of documents of each query that are reordered.
    """

    score: Score = field(kw_only=True)
    top_k: int = field(kw_only=True)

    def outputs(self, vectors: Sequence[Array], size: int, similarity: Similarity = "cosine") -> Outputs:
        return reranked(self, self.ranked(vectors, size, similarity), self.top_k, self.score)


def reranked(test: SearchTest, ranked: Array, top_k: int, score: Score) -> Outputs:
    """Computes the outputs of a search with the first ``top_k`` documents (Q, k) reordered by score; later ones stay."""
    queries, documents = test.data.queries, test.data.documents
    top_k = min(top_k, ranked.shape[1])
    there = ranked[:, :top_k] != NO_DOCUMENT
    query, place = np.nonzero(there)
    document = ranked[query, place]
    scores = np.full(there.shape, -np.inf)
    scores[query, place] = score([queries[i] for i in query], [documents[i] for i in document])
    order = np.argsort(-scores, axis=1, kind="stable")
    new = np.concatenate([np.take_along_axis(ranked[:, :top_k], order, axis=1), ranked[:, top_k:]], axis=1)
    return search_outputs(new, test.data.judgements, test.metrics)


def relevance_of(model: Predictor, name: str) -> Score:
    """Returns a function that computes the relevance of documents. Raises ModelError for other classes than 0 and 1."""
    labels = model.config.labels
    if RELEVANT not in labels.names or labels.n != 2 or labels.problem_type == MULTI:
        message = f"it is no reranker: its classes are {', '.join(labels.names[:5])}, not 0 and 1."
        raise ModelError.one(name, message, "Train one with embedding.head: cross-encoder.")
    column = labels.names.index(RELEVANT)
    return lambda queries, documents: np.asarray(model.scores(list(queries), list(documents))[:, column])
