"""The baseline ``chance``: random decisions by the class shares of train, as their exact expectation."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tunesmith.data.labelled.labels import MULTI
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.linear import label_array
from tunesmith.evaluation.metrics.chance import CHANCE, expected_metrics
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs


def chance(labels: Labels, train: Examples, targets: Sequence[Examples]) -> BaselineOutputs:
    """Computes the expected metrics of random decisions for the rows of the targets. Raises ValueError for scores."""
    start = time.perf_counter()
    if not labels.names:
        raise ValueError("random decisions need classes")
    given = label_array(labels, train)
    counts = given.sum(axis=0) if labels.problem_type == MULTI else np.bincount(given, minlength=labels.n)
    shares = counts / len(train)
    problem = labels.problem_type
    expected = {rows.split: expected_metrics(problem, label_array(labels, rows), shares) for rows in targets}
    outputs = {split: Outputs(problem, expected=values) for split, values in expected.items()}
    note = "random decisions with the class shares of train: the expected value, without an interval"
    return BaselineOutputs(CHANCE, outputs, time.perf_counter() - start, note)
