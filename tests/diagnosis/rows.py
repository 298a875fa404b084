"""Evidence for tests, from arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.evidence import Evidence, make_evidence


def evidence(given: Sequence[int | None], texts: Sequence[str] | None = None, n_classes: int = 0, **known: Any) -> Evidence:
    """Evidence of rows with these class ids; texts have nothing in common where none are given."""
    n = n_classes or max(label for label in given if label is not None) + 1
    labels = Labels("single_label_classification", tuple("abcdefghijkl"[:n]))
    words = list(texts) if texts is not None else [hashlib.sha256(str(i).encode()).hexdigest() for i in range(len(given))]
    pairs = known.pop("pairs", None)
    rows = Examples("train", "rows.csv", list(range(100, 100 + len(given))), words, list(given), pairs)
    return make_evidence(rows, labels, **known)


def clouds(flipped: int, n: int = 300, seed: int = 0) -> tuple[Evidence, np.ndarray]:
    """Rows around three centres with embeddings; the labels of the first ``flipped`` rows are moved on by one. And the truth."""
    draw = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    vectors = np.hstack([np.eye(3)[truth] * 4 + 0.6 * draw.normal(size=(n, 3)), draw.normal(size=(n, 5))]).astype(np.float32)
    given = truth.copy()
    given[:flipped] = (given[:flipped] + 1) % 3
    return evidence(given.tolist(), embeddings=vectors), truth
