"""Item response theory: difficulty and discrimination of test rows from the right and wrong answers of several models.

The two-parameter logistic model (Birnbaum 1968): P(model i is right on row j) = 1 / (1 + exp(-a_j (s_i - b_j))), with the skill
s_i of a model, the difficulty b_j and the discrimination a_j of a row. Lalor, Wu and Yu 2016, "Building an Evaluation Scale using
Item Response Theory", fit it to people; Rodriguez et al. 2021, "Evaluation Examples Are Not Equally Informative", to models. With
few models a row has few answers, so skills, difficulties and discriminations have priors (s ~ N(0, 1), b ~ N(0, 1.5),
log a ~ N(0, 0.5)). The posteriors of models and rows are computed in turn on grids, as if independent (mean-field variational
Bayes; Natesan et al. 2016, "Bayesian Prior Choice in IRT Estimation Using MCMC and Variational Bayes").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array

MIN_MODELS = 3
"""Fewest models for a difficulty: with two a row has three possible answers."""
MODELS_FOR_DISCRIMINATION = 20
"""Fewest models for a discrimination; see ``docs/explanation/diagnoses.md`` for the recovery by number of models."""
SKILL_GRID = np.linspace(-4, 4, 33)
DIFFICULTIES = np.linspace(-4, 4, 41)
LOG_DISCRIMINATIONS = np.linspace(-1.2, 1.2, 13)
DIFFICULTY_SPREAD, LOG_DISCRIMINATION_SPREAD = 1.5, 0.5
ITERATIONS, TOLERANCE = 50, 1e-4


@dataclass(frozen=True)
class ItemResponse:
    """Estimates for M models and N rows: posterior means, and for rows the ends of 95 % posterior intervals.

    Attributes:
        skill, skill_error: of each model (M), in standard deviations of the models, and its posterior deviation.
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
    b, log_a = (grid.ravel() for grid in np.meshgrid(DIFFICULTIES, logs, indexing="ij"))
    prior = -((b / DIFFICULTY_SPREAD) ** 2) / 2 - (log_a / LOG_DISCRIMINATION_SPREAD) ** 2 / 2
    logits = np.exp(log_a)[:, None] * (SKILL_GRID[None, :] - b[:, None])  # (G, S)
    log_right, log_wrong = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    skills = np.tile(normalised(-(SKILL_GRID**2) / 2), (len(right), 1))  # (M, S)
    means = np.zeros(len(right))
    for _ in range(ITERATIONS):
        rows = row_posteriors(patterns, skills, log_right, log_wrong, prior)
        expected_right, expected_wrong = rows @ log_right, rows @ log_wrong  # (P, S)
        hits = patterns.T * counts  # (M, P)
        log_skills = hits @ expected_right + (counts - hits) @ expected_wrong - SKILL_GRID**2 / 2
        skills = normalised(log_skills)
        moved, means = np.abs(skills @ SKILL_GRID - means).max(), skills @ SKILL_GRID
        if moved < TOLERANCE:
            break
    rows = row_posteriors(patterns, skills, log_right, log_wrong, prior)
    place = of_row.ravel()
    difficulty, discrimination = (summary(rows, values) for values in (b, np.exp(log_a)))
    error = np.sqrt(np.maximum(skills @ SKILL_GRID**2 - means**2, 0))
    return ItemResponse(means, error, *(part[place] for part in difficulty), *(part[place] for part in discrimination))


def normalised(log_weights: Array) -> Array:
    """Returns weights that add up to 1 along the last axis."""
    weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def row_posteriors(patterns: Array, skills: Array, log_right: Array, log_wrong: Array, prior: Array) -> Array:
    """Returns the posterior of each answer pattern (P) over the grid of difficulties and discriminations (P, G).

    Args:
        patterns: (P, M) of 0 and 1.
        skills: posterior of each model over the grid of skills (M, S).
        log_right, log_wrong: (G, S).
    """
    return normalised(patterns @ (skills @ log_right.T) + (1 - patterns) @ (skills @ log_wrong.T) + prior)


def summary(weights: Array, values: Array) -> tuple[Array, Array, Array]:
    """Returns mean and 95 % interval of values (G) under each row of weights (P, G)."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[:, order], axis=1)
    ends = [values[order][np.minimum((cumulated < share).sum(axis=1), len(values) - 1)] for share in (0.025, 0.975)]
    return weights @ values, ends[0], ends[1]
