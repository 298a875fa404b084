"""The base model's own embeddings, untouched, with a linear model: what fine-tuning has to beat."""

from __future__ import annotations

import numpy as np

from tunesmith.baselines.linear import linear_predictions
from tunesmith.data.table import Examples, Labels
from tunesmith.metrics.predictions import Predictions

Embeddings = tuple[np.ndarray, np.ndarray | None]


def linear_on_embeddings(
    embeddings: dict[str, Embeddings], train: Examples, judged: dict[str, Examples], labels: Labels
) -> dict[str, Predictions]:
    """Split name -> predictions of a linear model on embeddings.

    Args:
        embeddings: split name -> those of the texts (N, D) and, for pairs, those of the second texts (N, D). A pair is
            described by [u, v, |u - v|, u * v].
    """
    features = {name: described(*vectors) for name, vectors in embeddings.items()}
    return linear_predictions(features, train, judged, labels)


def described(first: np.ndarray, second: np.ndarray | None) -> np.ndarray:
    """Rows of length 1 (N, D), or (N, 4 D) for pairs."""
    u = unit(first)
    if second is None:
        return u
    v = unit(second)
    return np.concatenate([u, v, np.abs(u - v), u * v * np.sqrt(u.shape[1])], axis=1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
