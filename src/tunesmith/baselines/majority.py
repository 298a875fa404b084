"""The answer that needs no text: the commonest class, the usual labels, the mean."""

from __future__ import annotations

import numpy as np

from tunesmith.data.table import Examples, Labels
from tunesmith.metrics.predictions import REGRESSION, SINGLE, Predictions, from_scores


def majority(train: Examples, judged: dict[str, Examples], labels: Labels) -> dict[str, Predictions]:
    """Split name -> predictions: class shares of train as probabilities, label rates, or the mean of train for every row."""
    targets = np.asarray(train.labels)
    answer: np.ndarray
    if labels.problem_type == REGRESSION:
        answer = np.asarray(targets.mean())
    elif labels.problem_type == SINGLE:
        answer = np.bincount(targets, minlength=labels.n) / len(targets)
    else:
        answer = targets.mean(axis=0)
    return {
        name: from_scores(
            labels.problem_type, split.labels, np.tile(answer, (len(split), *[1] * answer.ndim)), row_ids=split.row_ids
        )
        for name, split in judged.items()
    }
