"""Defines the data of a retrieval evaluation: documents, queries and relevance judgements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array

NO_DOCUMENT = -1
"""Fills up a ranking with fewer documents than positions."""


@dataclass(frozen=True)
class Judgements:
    """The relevance of documents to queries, one entry a pair; every query has at least one relevant document.

    Attributes:
        query: (J,) positions of queries.
        document: (J,) positions of documents.
        gain: (J,) relevance, above 0.
    """

    query: Array
    document: Array
    gain: Array
    n_queries: int
    n_documents: int

    def n_relevant(self) -> Array:
        """Counts the relevant documents of each query (Q,)."""
        return np.bincount(self.query, minlength=self.n_queries)

    def gains_at(self, ranked: Array) -> Array:
        """Looks up the gain of each ranked document (Q, k); 0 if it is not relevant or is ``NO_DOCUMENT``."""
        judged = self.query.astype(np.int64) * self.n_documents + self.document
        order = np.argsort(judged)
        judged, gains = judged[order], self.gain[order]
        pairs = np.arange(self.n_queries)[:, None] * self.n_documents + ranked.astype(np.int64)
        position = np.minimum(np.searchsorted(judged, pairs), len(judged) - 1)
        return np.where((judged[position] == pairs) & (ranked != NO_DOCUMENT), gains[position], 0.0)


@dataclass(frozen=True)
class Retrieval:
    """Documents, the evaluated queries, and their relevant documents.

    Attributes:
        documents: (D) title and text of each document.
        queries: (Q) queries with a relevant document.
        split: the name of the judgements' file: ``test``, ``dev``; ``test`` for ``qrels.tsv``.
        notes: the queries that are left out, as sentences for the user.
    """

    source: str
    split: str
    document_ids: tuple[str, ...]
    documents: tuple[str, ...]
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]
    judgements: Judgements
    notes: tuple[str, ...] = ()
