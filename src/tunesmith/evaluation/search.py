"""Search: exact nearest neighbours by inner product (cosine, dot product, Euclidean), BM25, and the cosine of TF-IDF vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import NO_DOCUMENT
from tunesmith.errors import MissingExtra

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

Similarity = Literal["cosine", "dot", "euclidean"]
BLOCK_QUERIES = 1_024
BLOCK_DOCUMENTS = 32_768
"""Scores of one block: 1,024 x 32,768 float32, 128 MiB, in place of the matrix of all queries and documents."""
BLOCK_SCORES = 20_000_000
"""The same in a search of sparse vectors."""


def nearest(queries: Array, documents: Array, k: int, device: str = "cpu") -> tuple[Array, Array]:
    """Ranks the k documents with the largest inner product for each query.

    Args:
        queries: (Q, D).
        documents: (N, D); may be a memory map, a block is read at a time. Unit vectors give cosine similarity.
        k: ranks; with fewer documents the rest is ``NO_DOCUMENT`` with a score of minus infinity.

    Returns:
        Positions (Q, k) int64 and scores (Q, k) float32; equal scores are in the order of the documents.
    """
    import torch

    n_queries = len(queries)
    best_scores = torch.full((n_queries, k), float("-inf"))
    best = torch.full((n_queries, k), NO_DOCUMENT, dtype=torch.int64)
    query_vectors = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32)).to(device)
    with torch.inference_mode():
        for start in range(0, len(documents), BLOCK_DOCUMENTS):
            block = np.ascontiguousarray(documents[start : start + BLOCK_DOCUMENTS], dtype=np.float32)
            document_vectors = torch.from_numpy(block).to(device)
            for first in range(0, n_queries, BLOCK_QUERIES):
                rows = slice(first, first + BLOCK_QUERIES)
                scores, places = (query_vectors[rows] @ document_vectors.T).topk(min(k, len(document_vectors)), dim=1)
                merged = torch.cat([best_scores[rows], scores.cpu()], dim=1)
                positions = torch.cat([best[rows], places.cpu() + start], dim=1)
                best_scores[rows], top = merged.topk(k, dim=1)
                best[rows] = positions.gather(1, top)
    ranked, ranked_scores = best.numpy(), best_scores.numpy()
    order = np.lexsort((ranked, -ranked_scores), axis=1)  # equal scores by position
    return np.take_along_axis(ranked, order, axis=1), np.take_along_axis(ranked_scores, order, axis=1)


def cosine(first: Any, second: Any) -> Array:
    """(N) inner products of two (N, D), dense or sparse, whose rows have length 1."""
    product = first.multiply(second) if hasattr(first, "multiply") else first * second
    return np.asarray(product.sum(axis=1), dtype=np.float64).ravel()


def normalised(vectors: Array) -> Array:
    """Scales vectors (N, D) to length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def inner_product_maps(similarity: Similarity) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Returns functions of queries and of documents (N, D) after which the inner product ranks as the similarity does."""
    if similarity == "dot":
        return np.asarray, np.asarray
    if similarity == "cosine":
        return normalised, normalised
    # -|q - d|^2 = 2 q d - |d|^2 - |q|^2, and the last term is the same for all documents of a query
    return (
        lambda q: np.concatenate([2 * q, -np.ones((len(q), 1), dtype=q.dtype)], axis=1),
        lambda d: np.concatenate([d, (d * d).sum(axis=1, keepdims=True)], axis=1),
    )


def bm25(documents: Sequence[str], queries: Sequence[str], k: int) -> Array:
    """Ranks the k best documents of each query (Q, k) by BM25 in Lucene's form, k1 = 1.5, b = 0.75, without English stop words.

    ``NO_DOCUMENT`` fills the ranks after the last document that shares a word with the query. Source: Robertson and Zaragoza
    2009, "The Probabilistic Relevance Framework"; Lù 2024, "BM25S".
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
    """Returns a TF-IDF vectoriser of words and punctuation marks, before fitting."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=r"(?u)\w+|[^\w\s]")


def nearest_by_words(queries: csr_matrix, documents: csr_matrix, k: int) -> Array:
    """Ranks the k best of sparse vectors (N, D) for each of (Q, D), in blocks of queries: positions (Q, k).

    Best first, ties by position; ``NO_DOCUMENT`` in place of documents without a score above 0.
    """
    columns, size, parts = documents.T.tocsr(), max(1, BLOCK_SCORES // documents.shape[0]), []
    for start in range(0, queries.shape[0], size):
        scores = (queries[start : start + size] @ columns).toarray()
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(scores, top, axis=1)
        order = np.lexsort((top, -values), axis=1)
        ranked = np.take_along_axis(top, order, axis=1)
        parts.append(np.where(np.take_along_axis(values, order, axis=1) > 0, ranked, NO_DOCUMENT))
    return np.concatenate(parts)


def pad_ranking(ranked: Array, k: int) -> Array:
    """Pads rankings with ``NO_DOCUMENT`` to (Q, k)."""
    missing = np.full((len(ranked), k - ranked.shape[1]), NO_DOCUMENT, dtype=ranked.dtype)
    return np.concatenate([ranked, missing], axis=1).astype(np.int64)


SEARCHES: Mapping[str, Callable[[Sequence[str], Sequence[str], int], Array]] = MappingProxyType({"bm25": bm25, "tfidf": tfidf})
