"""Item response theory: difficulty and discrimination of test rows from the right and wrong answers of several models.

The two-parameter logistic model (Birnbaum 1968): P(model i is right on row j) = 1 / (1 + exp(-a_j (s_i - b_j))), with the skill
s_i of a model, the difficulty b_j and the discrimination a_j of a row. Lalor, Wu and Yu 2016, "Building an Evaluation Scale using
Item Response Theory", fit it to people; Rodriguez et al. 2021, "Evaluation Examples Are Not Equally Informative", to models. With
few models a row has few answers, so skills, difficulties and discriminations have normal priors: s with deviation 3, b with
one that is fitted to the answers (empirical Bayes), log a with 0.5. The posteriors of models and rows are computed in turn on
grids, as if independent (mean-field variational Bayes; Natesan et al. 2016, "Bayesian Prior Choice in IRT Estimation Using MCMC
and Variational Bayes"). Only differences of skills and difficulties enter the model, so 0 is put at the mean skill.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array

MIN_MODELS = 3
"""Fewest models for a difficulty: with two a row has three possible answers."""
MODELS_FOR_DISCRIMINATION = 20
"""Fewest models for a discrimination; see ``docs/explanation/diagnoses.md`` for the recovery by number of models."""
SKILLS = np.linspace(-12, 12, 1_201)
"""The step of 0.02 is below twice the posterior deviation of a skill up to about 50,000 rows."""
SKILL_PRIOR = -((SKILLS / 3) ** 2) / 2
STANDARD_DIFFICULTIES = np.linspace(-4, 4, 41)
"""In standard deviations of the difficulties."""
LOG_DISCRIMINATIONS = np.linspace(-1.2, 1.2, 13)
DIFFICULTY_SPREAD, LOG_DISCRIMINATION_SPREAD = 1.5, 0.5
"""Deviations: of the difficulties before they are fitted, and of the prior of log discriminations."""
LEAST_SPREAD, LARGEST_SPREAD = 0.2, 4.0
"""Of the difficulties, fitted to the answers: where all models agree on nearly every row, any large spread explains them."""
ITERATIONS, TOLERANCE = 150, 2e-3


@dataclass(frozen=True)
class ItemResponse:
    """Estimates for M models and N rows: posterior means, and for rows the ends of 95 % posterior intervals.

    Attributes:
        skill, skill_error: of each model (M), in log-odds of a right answer above the mean of the models, and its deviation.
        difficulty, difficulty_low, difficulty_high: of each row (N): at this skill half of the answers are right.
        discrimination, discrimination_low, discrimination_high: of each row (N): how steeply right answers rise with skill.
    """

    skill: Array
    skill_error: Array
    difficulty: Array
    difficulty_low: Array
    difficulty_high: Array
    discrimination: Array
    discrimination_low: Array
    discrimination_high: Array


def fit_item_response(right: Array, fits_discrimination: bool = True) -> ItemResponse:
    """Fits the two-parameter model, by alternating posteriors of skills and of rows on grids (variational Bayes).

    Args:
        right: (M, N) whether each model is right on each row.
        fits_discrimination: False for the one-parameter (Rasch) model, whose discriminations are all 1.
    """
    patterns, of_row = np.unique(right.T.astype(np.int8), axis=0, return_inverse=True)  # rows with the same answers are equal
    counts = np.bincount(of_row.ravel(), minlength=len(patterns)).astype(float)
    logs = LOG_DISCRIMINATIONS if fits_discrimination else np.zeros(1)
    z, log_a = (grid.ravel() for grid in np.meshgrid(STANDARD_DIFFICULTIES, logs, indexing="ij"))
    prior = -(z**2) / 2 - (log_a / LOG_DISCRIMINATION_SPREAD) ** 2 / 2
    skills, spread = np.tile(normalised(SKILL_PRIOR), (len(right), 1)), DIFFICULTY_SPREAD  # (M, S)
    before = np.zeros(len(right) + 1)
    for _ in range(ITERATIONS):
        log_right, log_wrong = answer_logs(spread * z, log_a)
        rows = normalised(patterns @ (skills @ log_right.T) + (1 - patterns) @ (skills @ log_wrong.T) + prior)  # (P, G)
        hits = patterns.T * counts  # (M, P)
        skills = normalised((hits @ rows) @ log_right + ((counts - hits) @ rows) @ log_wrong + SKILL_PRIOR)
        difficulties, variance = spread * z, counts @ (rows @ z**2) / counts.sum()
        spread = float(np.clip(spread * np.sqrt(variance), LEAST_SPREAD, LARGEST_SPREAD))
        after = np.append(skills @ SKILLS, spread)
        if np.abs(after - before).max() < TOLERANCE:
            break
        before = after
    means, place = skills @ SKILLS, of_row.ravel()
    error = np.sqrt(np.maximum(skills @ SKILLS**2 - means**2, 0))
    parts = (summary(rows, values) for values in (difficulties - means.mean(), np.exp(log_a)))
    return ItemResponse(means - means.mean(), error, *(part[place] for parts_of in parts for part in parts_of))


def answer_logs(difficulties: Array, log_discriminations: Array) -> tuple[Array, Array]:
    """Returns the log probabilities (G, S) of a right and of a wrong answer at every skill, for rows (G)."""
    logits = np.exp(log_discriminations)[:, None] * (SKILLS - difficulties[:, None])
    log_right = -np.logaddexp(0, -logits)
    return log_right, log_right - logits


def normalised(log_weights: Array) -> Array:
    """Returns weights that add up to 1 along the last axis."""
    weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def summary(weights: Array, values: Array) -> tuple[Array, Array, Array]:
    """Returns mean and 95 % interval of values (G) under each row of weights (P, G)."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[:, order], axis=1)
    ends = [values[order][np.minimum((cumulated < share).sum(axis=1), len(values) - 1)] for share in (0.025, 0.975)]
    return weights @ values, ends[0], ends[1]
