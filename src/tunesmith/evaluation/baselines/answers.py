"""What every baseline gives back, and the labels it learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, Predictions, from_scores


@dataclass(frozen=True)
class Answers:
    """A baseline's answers.

    Attributes:
        name: ``majority``, ``tfidf``, ``frozen`` or ``untuned``.
        predictions: split -> its predictions, rows in the order of the examples.
        seconds: to fit and to answer.
        note: what it is, for the user.
    """

    name: str
    predictions: Mapping[str, Predictions]
    seconds: float
    note: str


def label_array(labels: Labels, examples: Examples) -> Array:
    """Class ids (N,), 0/1 (N, K) or floats (N,).

    Raises:
        ValueError: a row has no label.
    """
    missing = [i for i, label in enumerate(examples.labels) if label is None]
    if missing:
        raise ValueError(
            f"{len(missing)} rows of {examples.split} have no label, the first is row {examples.row_ids[missing[0]]}"
        )
    if labels.problem_type == MULTI:
        return np.asarray(examples.labels, dtype=np.int64).reshape(len(examples), labels.n)
    return np.asarray(examples.labels, dtype=np.float64 if labels.problem_type == REGRESSION else np.int64)


def answered(labels: Labels, targets: Sequence[Examples], scores: Sequence[Array]) -> dict[str, Predictions]:
    """Split -> predictions, from one array of scores a split."""
    return {
        examples.split: from_scores(labels.problem_type, label_array(labels, examples), given, row_ids=examples.row_ids)
        for examples, given in zip(targets, scores, strict=True)
    }
