"""What the course of training adds to a row's probability to be labelled wrongly."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array

SURE = 1e-9


def updated(wrong: Array, margins: Array) -> Array:
    """Each row's probability (N) to be wrong, after its area under the margin (AUM) was seen too, by Bayes' rule.

    AUM is taken to be normal among right and among wrong rows, of one variance, so that a larger margin always speaks for the
    label; means and variance are those of the rows weighted by the probabilities that came in. The two kinds of evidence are
    taken to be independent given that a label is right or wrong: one is of models that did not see the row, one of a model
    that did.

    Args:
        wrong: probabilities (N) from held-out models.
        margins: AUM (N), in logits; NaN where a row was not followed, which leaves it as it was.
    """
    seen = np.isfinite(margins)
    if not seen.any():
        return wrong
    prior, value = np.clip(wrong[seen], SURE, 1 - SURE), margins[seen]
    mean_wrong, mean_right = np.average(value, weights=prior), np.average(value, weights=1 - prior)
    variance = float(np.mean(prior * (value - mean_wrong) ** 2 + (1 - prior) * (value - mean_right) ** 2))
    if mean_wrong >= mean_right or variance == 0:  # the run cannot tell them apart
        return wrong
    log_ratio = ((value - mean_right) ** 2 - (value - mean_wrong) ** 2) / (2 * variance)
    after = wrong.copy()
    after[seen] = 1 / (1 + np.exp(-np.clip(np.log(prior / (1 - prior)) + log_ratio, -500, 500)))
    return after
