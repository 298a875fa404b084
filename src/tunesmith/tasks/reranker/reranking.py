"""The best texts of a search in a new order: by a cross-encoder, which reads each question and text together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI
from tunesmith.data.pairs.retrieval import NO_DOCUMENT
from tunesmith.errors import ModelError
from tunesmith.evaluation.embedding_tests import SearchTest
from tunesmith.evaluation.metrics.retrieval import query_metrics
from tunesmith.evaluation.outputs import Outputs
from tunesmith.tasks.finished import Predictor

RELEVANT = "1"
"""The class of pairs that belong together."""
Score = Callable[[Sequence[str], Sequence[str]], Array]
"""Questions and texts (N) to how well each two belong together (N)."""


@dataclass(frozen=True)
class RerankedSearch(SearchTest):
    """A search whose best texts are put in order by a reranker.

    Attributes:
        top_k: how many texts of each query.
    """

    score: Score = field(kw_only=True)
    top_k: int = field(kw_only=True)

    def outputs(self, vectors: Sequence[Array], size: int, similarity: Any = "cosine") -> Outputs:
        return reranked(self, self.ranked(vectors, size, similarity), self.top_k, self.score)


def reranked(test: SearchTest, ranked: Array, top_k: int, score: Score) -> Outputs:
    """What a search says whose first ``top_k`` texts (Q, k) were put in order by their scores; those after them stay."""
    queries, documents = test.data.queries, test.data.documents
    top_k = min(top_k, ranked.shape[1])
    there = ranked[:, :top_k] != NO_DOCUMENT
    asked, place = np.nonzero(there)
    found = ranked[asked, place]
    scores = np.full(there.shape, -np.inf)
    scores[asked, place] = score([queries[i] for i in asked], [documents[i] for i in found])
    order = np.argsort(-scores, axis=1, kind="stable")
    new = np.concatenate([np.take_along_axis(ranked[:, :top_k], order, axis=1), ranked[:, top_k:]], axis=1)
    return Outputs(row_scores=query_metrics(new, test.data.judgements, test.metrics))


def relevance_of(model: Predictor, name: str) -> Score:
    """The probability of the class that says two texts belong together.

    Raises:
        ModelError: the model is no classifier of pairs into 0 and 1.
    """
    labels = model.record.labels
    if RELEVANT not in labels.names or labels.n != 2 or labels.problem_type == MULTI:
        message = f"it is no reranker: its classes are {', '.join(labels.names[:5])}, not 0 and 1."
        raise ModelError.one(name, message, "Train one with embedding.head: cross-encoder.")
    column = labels.names.index(RELEVANT)
    return lambda queries, documents: np.asarray(model.scores(list(queries), list(documents))[:, column])
