"""Defines the data of a retrieval evaluation: documents, queries and relevance judgements."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.split import spread_positions

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


def cut_search(search: Retrieval, max_rows: int | None) -> Retrieval:
    """Returns at most so many queries, spread over all, and as many documents; all where ``max_rows`` is None.

    A relevant document of each query stays; the other documents are spread over the rest.
    """
    if max_rows is None or max(len(search.queries), len(search.documents)) <= max_rows:
        return search
    judged = search.judgements
    queries = np.array(spread_positions(judged.n_queries, max_rows))
    entries = np.flatnonzero(np.isin(judged.query, queries))
    _, first = np.unique(judged.query[entries], return_index=True)
    relevant = np.unique(judged.document[entries][first])
    others = np.setdiff1d(np.arange(judged.n_documents), relevant)
    documents = np.union1d(relevant, others[spread_positions(len(others), max_rows - len(relevant))])
    entries = entries[np.isin(judged.document[entries], documents)]
    return replace(
        search,
        document_ids=tuple(search.document_ids[i] for i in documents),
        documents=tuple(search.documents[i] for i in documents),
        query_ids=tuple(search.query_ids[i] for i in queries),
        queries=tuple(search.queries[i] for i in queries),
        judgements=Judgements(
            np.searchsorted(queries, judged.query[entries]),
            np.searchsorted(documents, judged.document[entries]),
            judged.gain[entries],
            len(queries),
            len(documents),
        ),
    )
