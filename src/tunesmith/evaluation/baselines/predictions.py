"""The label arrays that baselines are fitted to, and their outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.outputs import Outputs


def label_array(labels: Labels, examples: Examples) -> Array:
    """Class ids (N,), 0/1 (N, K) or floats (N,).

    Raises:
        ValueError: a row has no label.
    """
    missing = [i for i, label in enumerate(examples.labels) if label is None]
    if missing:
        first = examples.row_ids[missing[0]]
        raise ValueError(f"{len(missing)} rows of {examples.split} have no label, the first is row {first}")
    if labels.problem_type == MULTI:
        return np.asarray(examples.labels, dtype=np.int64).reshape(len(examples), labels.n)
    return np.asarray(examples.labels, dtype=np.float64 if labels.problem_type == REGRESSION else np.int64)


def outputs_by_split(labels: Labels, targets: Sequence[Examples], scores: Sequence[Array]) -> dict[str, Outputs]:
    """Split -> outputs, from one array of scores a split."""
    problem = labels.problem_type
    return {
        examples.split: Outputs(problem, from_scores(problem, label_array(labels, examples), values, row_ids=examples.row_ids))
        for examples, values in zip(targets, scores, strict=True)
    }
