"""What retrieval is measured on: documents, queries, and which documents answer which query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NO_DOCUMENT = -1
"""Where a ranking has fewer documents than places."""


@dataclass(frozen=True)
class Judgements:
    """Which documents are relevant to which query, one entry a pair; every query has one at least.

    Attributes:
        query: (J,) positions of queries.
        document: (J,) positions of documents.
        gain: (J,) how relevant, above 0.
    """

    query: Array
    document: Array
    gain: Array
    n_queries: int
    n_documents: int

    def n_relevant(self) -> Array:
        """(Q,) documents that are relevant to each query."""
        return np.bincount(self.query, minlength=self.n_queries)

    def gains_of(self, ranked: Array) -> Array:
        """(Q, k) the gain of each ranked document (Q, k), 0 where it is not relevant or ``NO_DOCUMENT``."""
        known = self.query.astype(np.int64) * self.n_documents + self.document
        order = np.argsort(known)
        known, gains = known[order], self.gain[order]
        asked = np.arange(self.n_queries)[:, None] * self.n_documents + ranked.astype(np.int64)
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.where((known[place] == asked) & (ranked != NO_DOCUMENT), gains[place], 0.0)


@dataclass(frozen=True)
class Retrieval:
    """Documents, the queries that are judged, and their relevant documents.

    Attributes:
        documents: (D) title and text of each.
        queries: (Q) those with a relevant document.
        split: the name of the file with the judgements: ``test``, ``dev``; ``test`` for ``qrels.tsv``.
        notes: what was left out, as sentences for the user.
    """

    source: str
    split: str
    document_ids: tuple[str, ...]
    documents: tuple[str, ...]
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]
    judgements: Judgements
    notes: tuple[str, ...] = ()
