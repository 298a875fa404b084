"""The baseline ``frozen``: a linear model on the base model's own embeddings, without fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.linear import Strengths, fit_and_predict, fitted_model
from tunesmith.evaluation.outputs import BaselineOutputs

Embedded = Array | tuple[Array, Array]
"""(N, D) of single texts, or both sides of pairs, (N, D) each."""

STRENGTHS = Strengths(inverse=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3), ridge=(30_000.0, 10_000.0, 3_000.0, 1_000.0, 300.0), usual=4)


def linear_on_embeddings(
    labels: Labels,
    train: Examples,
    targets: Sequence[Examples],
    embeddings: Mapping[str, Embedded],
    seconds: float = 0.0,
    class_weights: Array | None = None,
) -> BaselineOutputs:
    """Fits a logistic or ridge regression to embeddings computed elsewhere.

    Pairs become [u, v, |u - v|, u * v] (Conneau et al. 2017, InferSent, section 3.1). Features are standardised by
    train; the regularisation is selected on the target named ``validation``.

    Args:
        embeddings: split -> embeddings, for ``train`` and every target.
        seconds: time to compute the embeddings, added to the baseline's own.
        class_weights: (K) those that the run trains with, see ``Strengths``.
    """
    start = time.perf_counter()
    features = pair_features(embeddings[train.split])
    mean, scale = mean_and_scale(features)
    inputs = {examples.split: (pair_features(embeddings[examples.split]) - mean) / scale for examples in targets}
    predictions, strength = fit_and_predict(
        labels, train, targets, (features - mean) / scale, inputs, STRENGTHS.weighted(class_weights)
    )
    note = f"the base model's embeddings, {plural(features.shape[1], 'feature')}, {fitted_model(labels, strength)}"
    return BaselineOutputs("frozen", predictions, seconds + time.perf_counter() - start, note)


def mean_and_scale(features: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (D) of features (N, D), 1 in place of a deviation near 0."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale < 1e-6] = 1.0
    return mean, scale


def pair_features(embedded: Embedded) -> Array:
    """(N, D) float32 of single texts, (N, 4 D) of pairs."""
    if isinstance(embedded, tuple):
        u, v = (side.astype(np.float32) for side in embedded)
        return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)
    return embedded.astype(np.float32)
