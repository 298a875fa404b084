"""Measures how well item response theory recovers known difficulties and discriminations, by the number of models.

    python benchmarks/item_response.py

Answers to 200 rows drawn from the two-parameter logistic model with the priors of ``evaluation.item_response``; 12 draws for
each number of models. Reported are Pearson correlations with the true values, and how often 95 % intervals hold them.
The difficulty is that of the model that ``compare --items`` fits: with few models every discrimination is 1.
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


def correlation(estimates: np.ndarray, true: np.ndarray) -> float:
    return float(np.corrcoef(estimates, true)[0, 1])


def one_draw(n_models: int, rng: np.random.Generator) -> dict[str, float]:
    """Draws skills, rows and the answers of models (M, N), and returns how well they are recovered."""
    skill = rng.normal(size=n_models)
    difficulty, log_a = rng.normal(0, DIFFICULTY_SPREAD, ROWS), rng.normal(0, LOG_DISCRIMINATION_SPREAD, ROWS)
    right = rng.random((n_models, ROWS)) < 1 / (1 + np.exp(-np.exp(log_a) * (skill[:, None] - difficulty)))
    whole = fit_item_response(right)
    used = whole if n_models >= MODELS_FOR_DISCRIMINATION else fit_item_response(right, fits_discrimination=False)
    is_inside = (used.difficulty_low <= difficulty) & (difficulty <= used.difficulty_high)
    a_is_inside = (whole.discrimination_low <= np.exp(log_a)) & (np.exp(log_a) <= whole.discrimination_high)
    return {
        "difficulty": correlation(used.difficulty, difficulty),
        "share_of_right_answers": correlation(1 - right.mean(axis=0), difficulty),
        "log_discrimination": correlation(np.log(whole.discrimination), log_a),
        "skill": correlation(used.skill, skill),
        "difficulty_coverage": float(is_inside.mean()),
        "discrimination_coverage": float(a_is_inside.mean()),
    }


def recovery(n_models: int) -> dict[str, float]:
    """Returns means over the draws."""
    rng = np.random.default_rng(n_models)
    rows = [one_draw(n_models, rng) for _ in range(DRAWS)]
    return {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}


def main() -> None:
    """Measures and writes the figures."""
    figures: dict[str, Any] = {"rows": ROWS, "draws": DRAWS, "by_models": {n: recovery(n) for n in MODELS}}
    write("item_response", figures)


if __name__ == "__main__":
    main()
