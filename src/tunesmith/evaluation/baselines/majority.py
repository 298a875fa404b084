"""The baseline ``majority``: a constant prediction, the most frequent class, the label frequencies, or the mean."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.linear import label_array, outputs_by_split
from tunesmith.evaluation.outputs import BaselineOutputs


def majority(labels: Labels, train: Examples, targets: Sequence[Examples]) -> BaselineOutputs:
    """Predicts the same for every row of the targets.

    Class probabilities are the shares of train, with one row spread over the classes so that none is zero.
    """
    start = time.perf_counter()
    train_labels = label_array(labels, train)
    if labels.problem_type == REGRESSION:
        constant = np.asarray(train_labels.mean())
        note = f"the mean of train, {constant:.4g}, for every row"
    elif labels.problem_type == MULTI:
        constant = (train_labels.sum(axis=0) + 0.5) / (len(train_labels) + 1)
        note = f"the {plural(int((constant >= 0.5).sum()), 'label')} that most training rows have, for every row"
    else:
        counts = np.bincount(train_labels, minlength=labels.n)
        constant = (counts + 1 / labels.n) / (len(train_labels) + 1)
        note = f"the most frequent class of train, {labels.names[int(counts.argmax())]!r}, for every row"
    scores = [np.tile(constant, (len(rows), 1)) if constant.ndim else np.full(len(rows), constant) for rows in targets]
    predictions = outputs_by_split(labels, targets, scores)
    return BaselineOutputs("majority", predictions, time.perf_counter() - start, note)
