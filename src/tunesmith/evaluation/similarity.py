"""Vector similarities as inner products: cosine, dot product and Euclidean distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from tunesmith.data.arrays import Array

Similarity = Literal["cosine", "dot", "euclidean"]


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
