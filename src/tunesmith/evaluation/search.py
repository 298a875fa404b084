"""Exact nearest-neighbour search by inner product, and similarities as inner products: cosine, dot product, Euclidean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import NO_DOCUMENT

Similarity = Literal["cosine", "dot", "euclidean"]
BLOCK_QUERIES = 1_024
BLOCK_DOCUMENTS = 32_768
"""Scores of one block: 1,024 x 32,768 float32, 128 MiB, in place of the matrix of all queries and documents."""


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
