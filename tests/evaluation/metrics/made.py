"""Made-up predictions for the tests of this folder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores

KINDS = (SINGLE, MULTI, REGRESSION)


def single(n: int, n_classes: int, seed: int, skill: float = 2.0, digits: int | None = 2) -> Predictions:
    """Labels and probabilities that know something of them; rounded to that many digits, so that scores tie."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    labels[:n_classes] = np.arange(n_classes)[:n]
    logits = rng.normal(size=(n, n_classes)) + skill * (labels[:, None] == np.arange(n_classes))
    scores = np.exp(logits)
    scores /= scores.sum(axis=1, keepdims=True)
    if digits is not None:
        scores = np.round(scores, digits) + 1e-3
        scores /= scores.sum(axis=1, keepdims=True)
    return replace(from_scores(SINGLE, labels, scores, row_ids=np.arange(n)), positive=1)


def multi(n: int, n_labels: int, seed: int, digits: int = 2) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, n_labels)) < 0.3).astype(int)
    labels[0], labels[1] = 1, 0
    scores = 1 / (1 + np.exp(-(rng.normal(size=(n, n_labels)) + 3 * labels - 1.5)))
    return from_scores(MULTI, labels, np.clip(np.round(scores, digits), 0.001, 0.999), row_ids=np.arange(n))


def regression(n: int, seed: int, digits: int = 1) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.round(rng.normal(size=n) * 2 + 3, digits)
    return from_scores(REGRESSION, labels, np.round(labels + rng.normal(size=n), digits), row_ids=np.arange(n))


def of_kind(kind: str, n: int, seed: int) -> Predictions:
    """Predictions of that problem type with three classes or labels."""
    return {SINGLE: lambda: single(n, 3, seed), MULTI: lambda: multi(n, 3, seed), REGRESSION: lambda: regression(n, seed)}[kind]()
