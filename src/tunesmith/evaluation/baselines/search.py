"""Lexical search: BM25 and the cosine of TF-IDF vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import NO_DOCUMENT
from tunesmith.errors import MissingExtra

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

BLOCK_SCORES = 20_000_000
"""Similarities in memory at once."""


def bm25(documents: Sequence[str], queries: Sequence[str], k: int) -> Array:
    """Ranks the k best documents of each query (Q, k) by BM25 in Lucene's form, k1 = 1.5, b = 0.75, without English stop words.

    ``NO_DOCUMENT`` fills the ranks after the last document that shares a word with the query. Source: Robertson and Zaragoza
    2009, "The Probabilistic Relevance Framework"; Lù 2024, "BM25S".

    Raises MissingExtra if bm25s is not installed.
    """
    if find_spec("bm25s") is None:
        raise MissingExtra.of("bm25s", "embedding", "the baseline bm25")
    import bm25s  # type: ignore[import-untyped]

    quiet: dict[str, Any] = {"show_progress": False}
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(bm25s.tokenize(list(documents), stopwords="en", **quiet), **quiet)
    query_words = bm25s.tokenize(list(queries), stopwords="en", return_ids=False, **quiet)
    ranked, scores = index.retrieve(query_words, k=min(k, len(documents)), backend_selection="numpy", **quiet)
    return pad_ranking(np.where(scores > 0, ranked, NO_DOCUMENT), k)


def tfidf(documents: Sequence[str], queries: Sequence[str], k: int) -> Array:
    """Ranks the k best documents of each query (Q, k) by the cosine of TF-IDF vectors of words; else like ``bm25``."""
    vectoriser = word_vectoriser()
    vectors = vectoriser.fit_transform(documents)
    return pad_ranking(nearest_by_words(vectoriser.transform(queries), vectors, min(k, len(documents))), k)


def word_vectoriser() -> TfidfVectorizer:
    """A TF-IDF vectoriser of words and punctuation marks, before fitting."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=r"(?u)\w+|[^\w\s]")


def nearest_by_words(queries: csr_matrix, documents: csr_matrix, k: int) -> Array:
    """The k best of sparse vectors (N, D) for each of (Q, D), in blocks of queries; see ``rank_scores``."""
    columns, size = documents.T.tocsr(), max(1, BLOCK_SCORES // documents.shape[0])
    parts = [rank_scores((queries[start : start + size] @ columns).toarray(), k) for start in range(0, queries.shape[0], size)]
    return np.concatenate(parts)


def rank_scores(scores: Array, k: int) -> Array:
    """Positions (Q, k) of the largest scores above 0 of (Q, N), best first, ties by position; ``NO_DOCUMENT`` after them."""
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(scores, top, axis=1)
    order = np.lexsort((top, -values), axis=1)
    ranked = np.take_along_axis(top, order, axis=1)
    return np.where(np.take_along_axis(values, order, axis=1) > 0, ranked, NO_DOCUMENT)


def pad_ranking(ranked: Array, k: int) -> Array:
    """Pads rankings with ``NO_DOCUMENT`` to (Q, k)."""
    missing = np.full((len(ranked), k - ranked.shape[1]), NO_DOCUMENT, dtype=ranked.dtype)
    return np.concatenate([ranked, missing], axis=1).astype(np.int64)


SEARCHES: Mapping[str, Callable[[Sequence[str], Sequence[str], int], Array]] = MappingProxyType({"bm25": bm25, "tfidf": tfidf})
