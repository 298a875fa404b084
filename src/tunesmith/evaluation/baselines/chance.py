"""The baseline ``chance``: random decisions by the class shares of train, as their exact expectation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.linear import label_array
from tunesmith.evaluation.metrics.chance import CHANCE, expected_metrics
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs


def chance(labels: Labels, train: Examples, targets: Sequence[Examples]) -> BaselineOutputs:
    """Computes the expected metrics of random decisions for the rows of the targets. Raises ValueError for scores."""
    if not labels.names:
        raise ValueError("random decisions need classes")
    given = label_array(labels, train)
    counts = given.sum(axis=0) if labels.problem_type == MULTI else np.bincount(given, minlength=labels.n)
    return expectation(labels.problem_type, counts / len(train), {rows.split: label_array(labels, rows) for rows in targets})


def expectation(problem: str, shares: Array, truth: Mapping[str, Array]) -> BaselineOutputs:
    """Computes the expected metrics of random decisions.

    Args:
        shares: (K,) of the classes in train.
        truth: split -> class ids (N,), or (N, K) of 0 and 1.
    """
    start = time.perf_counter()
    outputs = {split: Outputs(problem, expected=expected_metrics(problem, given, shares)) for split, given in truth.items()}
    note = "random decisions with the class shares of train: the expected value, without an interval"
    return BaselineOutputs(CHANCE, outputs, time.perf_counter() - start, note)
