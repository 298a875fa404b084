"""Exact search: for each query the documents with the largest inner product, in blocks of bounded memory."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import NO_DOCUMENT

BLOCK_QUERIES = 1_024
BLOCK_DOCUMENTS = 32_768
"""Scores of one block: 1,024 x 32,768 float32, 128 MiB; the matrix of all queries and documents is never made."""


def nearest(queries: Array, documents: Array, k: int, device: str = "cpu") -> tuple[Array, Array]:
    """The best documents of each query, best first.

    Args:
        queries: (Q, D).
        documents: (N, D); may be a memory map, a block is read at a time. Cosine similarity where both have length 1.
        k: how many; with fewer documents the rest is ``NO_DOCUMENT`` with a score of minus infinity.

    Returns:
        Positions (Q, k) int64 and scores (Q, k) float32; documents of equal score stand in their own order.
    """
    import torch

    n_queries = len(queries)
    best_scores = torch.full((n_queries, k), float("-inf"))
    best = torch.full((n_queries, k), NO_DOCUMENT, dtype=torch.int64)
    asked = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32)).to(device)
    with torch.inference_mode():
        for start in range(0, len(documents), BLOCK_DOCUMENTS):
            block = np.ascontiguousarray(documents[start : start + BLOCK_DOCUMENTS], dtype=np.float32)
            held = torch.from_numpy(block).to(device)
            for first in range(0, n_queries, BLOCK_QUERIES):
                rows = slice(first, first + BLOCK_QUERIES)
                scores, places = (asked[rows] @ held.T).topk(min(k, len(held)), dim=1)
                merged = torch.cat([best_scores[rows], scores.cpu()], dim=1)
                positions = torch.cat([best[rows], places.cpu() + start], dim=1)
                best_scores[rows], chosen = merged.topk(k, dim=1)
                best[rows] = positions.gather(1, chosen)
    return in_order(best.numpy(), best_scores.numpy())


def in_order(positions: Array, scores: Array) -> tuple[Array, Array]:
    """Each row (Q, k) by falling score, equal scores by position."""
    order = np.lexsort((positions, -scores), axis=1)
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1)
