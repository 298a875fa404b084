"""Measures how well item response theory recovers known difficulties and discriminations, by the number of models.

    python benchmarks/item_response.py

Answers to 200 rows drawn from the two-parameter logistic model; 12 draws for each number of models. Reported are Pearson
correlations with the true values, and how often 95 % intervals hold them. The difficulty is that of the model that
``compare --items`` fits: with few models every discrimination is 1. ``test_sets`` are of other sizes, means and spreads of the
difficulty, with five models and discriminations of 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from record import write

from tunesmith.evaluation.item_response import (
    DIFFICULTY_SPREAD,
    LOG_DISCRIMINATION_SPREAD,
    MODELS_FOR_DISCRIMINATION,
    fit_item_response,
)

ROWS, DRAWS, MODELS = 200, 12, (3, 5, 10, 20, 40)
SET_DRAWS, TEST_SETS = 40, ((0.0, 1.5), (-2.0, 1.5), (-5.0, 1.5), (-3.0, 3.0), (-1.0, 0.5))
"""Mean and deviation of the difficulties of the rows."""


def correlation(estimates: np.ndarray, true: np.ndarray) -> float:
    return float(np.corrcoef(estimates, true)[0, 1])


def one_draw(n_models: int, rng: np.random.Generator) -> dict[str, float]:
    """Draws skills, rows and the answers of models (M, N), and returns how well they are recovered."""
    skill = rng.normal(size=n_models)
    difficulty, log_a = rng.normal(0, DIFFICULTY_SPREAD, ROWS), rng.normal(0, LOG_DISCRIMINATION_SPREAD, ROWS)
    right = rng.random((n_models, ROWS)) < 1 / (1 + np.exp(-np.exp(log_a) * (skill[:, None] - difficulty)))
    whole = fit_item_response(right)
    used = whole if n_models >= MODELS_FOR_DISCRIMINATION else fit_item_response(right, fits_discrimination=False)
    relative = difficulty - skill.mean()
    is_inside = (used.difficulty_low <= relative) & (relative <= used.difficulty_high)
    skill_is_inside = np.abs(used.skill - (skill - skill.mean())) <= 1.96 * used.skill_error
    a_is_inside = (whole.discrimination_low <= np.exp(log_a)) & (np.exp(log_a) <= whole.discrimination_high)
    return {
        "difficulty": correlation(used.difficulty, difficulty),
        "share_of_right_answers": correlation(1 - right.mean(axis=0), difficulty),
        "log_discrimination": correlation(np.log(whole.discrimination), log_a),
        "skill": correlation(used.skill, skill),
        "skill_coverage": float(skill_is_inside.mean()),
        "difficulty_coverage": float(is_inside.mean()),
        "discrimination_coverage": float(a_is_inside.mean()),
    }


def coverage(mean: float, spread: float, n_rows: int) -> dict[str, float]:
    """Returns how often intervals hold the skills of five models and the difficulties of rows, and the share of right answers."""
    rng, inside = np.random.default_rng(n_rows), []
    for _ in range(SET_DRAWS):
        skill, difficulty = 0.5 * rng.normal(size=5), rng.normal(mean, spread, n_rows)
        right = rng.random((5, n_rows)) < 1 / (1 + np.exp(difficulty - skill[:, None]))
        fit, relative = fit_item_response(right, fits_discrimination=False), difficulty - skill.mean()
        of_skill = np.abs(fit.skill - (skill - skill.mean())) <= 1.96 * fit.skill_error
        of_row = (fit.difficulty_low <= relative) & (relative <= fit.difficulty_high)
        inside.append((of_skill.mean(), of_row.mean(), right.mean()))
    names = ("skill_coverage", "difficulty_coverage", "right_answers")
    return dict(zip(names, np.mean(inside, axis=0).round(3).tolist(), strict=True))


def recovery(n_models: int) -> dict[str, float]:
    """Returns means over the draws."""
    rng = np.random.default_rng(n_models)
    rows = [one_draw(n_models, rng) for _ in range(DRAWS)]
    return {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}


def main() -> None:
    """Measures and writes the figures."""
    figures: dict[str, Any] = {"rows": ROWS, "draws": DRAWS, "by_models": {n: recovery(n) for n in MODELS}}
    figures["test_sets"] = [
        {"rows": n, "mean_difficulty": mean, "deviation": spread, **coverage(mean, spread, n)}
        for mean, spread in TEST_SETS
        for n in (100, 500, 2_000)
    ]
    write("item_response", figures)


if __name__ == "__main__":
    main()
