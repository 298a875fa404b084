"""The answer that needs no text: the most frequent class, the shares of the labels, or the mean."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.answers import Answers, answered, label_array
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION


def majority(labels: Labels, train: Examples, targets: Sequence[Examples]) -> Answers:
    """The same answer for every row of the targets.

    Class probabilities are the shares of train, with one row spread over the classes so that none is zero.
    """
    start = time.perf_counter()
    constant, note = _constant(labels, label_array(labels, train))
    scores = [
        np.tile(constant, (len(examples), 1)) if constant.ndim else np.full(len(examples), constant) for examples in targets
    ]
    predictions = answered(labels, targets, scores)
    return Answers("majority", predictions, time.perf_counter() - start, note)


def _constant(labels: Labels, known: Array) -> tuple[Array, str]:
    """Probabilities (K), or the mean of a regression (0-d), and what it is in words."""
    if labels.problem_type == REGRESSION:
        return np.asarray(known.mean()), f"the mean of train, {known.mean():.4g}, for every row"
    if labels.problem_type == MULTI:
        shares = (known.sum(axis=0) + 0.5) / (len(known) + 1)
        return shares, f"the {int((shares >= 0.5).sum())} labels that most training rows have, for every row"
    counts = np.bincount(known, minlength=labels.n)
    shares = (counts + 1 / labels.n) / (len(known) + 1)
    return shares, f"the most frequent class of train, {labels.names[int(counts.argmax())]!r}, for every row"
