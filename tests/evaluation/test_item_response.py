"""Item response theory: known skills and difficulties are recovered, intervals cover them, and few models say little."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.item_response import MODELS_FOR_DISCRIMINATION, ItemResponse, fit_item_response


def simulated(n_models: int, seed: int, n_rows: int = 200) -> tuple[ItemResponse, np.ndarray, np.ndarray, np.ndarray]:
    """The fit of answers drawn from the model, and the skills, difficulties and discriminations that they were drawn with."""
    draw = np.random.default_rng(seed)
    skill, difficulty, slope = draw.normal(size=n_models), 1.2 * draw.normal(size=n_rows), np.exp(0.5 * draw.normal(size=n_rows))
    right = draw.random((n_models, n_rows)) < 1 / (1 + np.exp(-slope * (skill[:, None] - difficulty)))
    return fit_item_response(right), skill, difficulty, slope


@pytest.mark.parametrize(("n_models", "of_difficulty", "of_slope"), [(3, 0.55, None), (10, 0.75, None), (40, 0.88, 0.6)])
def test_known_parameters_are_recovered(n_models: int, of_difficulty: float, of_slope: float | None) -> None:
    results = [simulated(n_models, seed) for seed in range(6)]
    assert np.mean([np.corrcoef(fit.skill, skill)[0, 1] for fit, skill, _, _ in results]) > 0.85
    assert np.mean([np.corrcoef(fit.difficulty, difficulty)[0, 1] for fit, _, difficulty, _ in results]) > of_difficulty
    if of_slope is not None:
        assert np.mean([np.corrcoef(np.log(fit.discrimination), np.log(slope))[0, 1] for fit, _, _, slope in results]) > of_slope


@pytest.mark.parametrize("n_models", [3, 10, 40])
def test_intervals_of_rows_cover_the_truth(n_models: int) -> None:
    covered = []
    for seed in range(6):
        fit, skill, difficulty, slope = simulated(n_models, seed)
        relative = difficulty - skill.mean()
        covered.append(
            [
                np.mean((fit.difficulty_low <= relative) & (relative <= fit.difficulty_high)),
                np.mean((fit.discrimination_low <= slope) & (slope <= fit.discrimination_high)),
            ]
        )
    assert (np.mean(covered, axis=0) > 0.9).all()


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.5), (-5.0, 1.5), (-3.0, 3.0), (-1.0, 0.5)])
@pytest.mark.parametrize("n_rows", [500, 3_000])
def test_intervals_cover_skills_and_difficulties_of_any_test_set(mean: float, spread: float, n_rows: int) -> None:
    """Test sets that are half right, nearly all right, and with rows that differ much or little; 10 draws of five models."""
    errors, of_row = [], []
    for seed in range(10):
        draw = np.random.default_rng(seed)
        skill, difficulty = 0.5 * draw.normal(size=5), draw.normal(mean, spread, n_rows)
        right = draw.random((5, n_rows)) < 1 / (1 + np.exp(difficulty - skill[:, None]))
        fit = fit_item_response(right, fits_discrimination=False)
        errors.append((fit.skill - (skill - skill.mean())) / fit.skill_error)
        relative = difficulty - skill.mean()
        of_row.append(np.mean((fit.difficulty_low <= relative) & (relative <= fit.difficulty_high)))
    assert np.mean(np.abs(errors) <= 1.96) >= 0.88  # of 50: 0.95 and two standard errors
    assert 0.4 < np.mean(np.square(errors)) < 1.6  # of skills whose sum is 0: four fifths
    assert np.mean(of_row) > 0.85


def test_few_models_do_not_tell_discriminations_apart() -> None:
    few, _, _, slope = simulated(5, 0)
    assert np.corrcoef(np.log(few.discrimination), np.log(slope))[0, 1] < 0.5
    assert (few.discrimination_low < 0.7).mean() > 0.9  # the intervals are nearly those of the prior
    assert MODELS_FOR_DISCRIMINATION > 10


def test_rows_with_the_same_answers_have_the_same_figures_and_more_wrong_answers_are_harder() -> None:
    right = np.array([[1, 1, 1, 0, 1], [1, 1, 0, 0, 1], [1, 0, 0, 0, 1]], dtype=bool)
    fit = fit_item_response(right, fits_discrimination=False)
    assert (np.diff(fit.difficulty[:4]) > 0).all()
    assert fit.difficulty[0] == pytest.approx(fit.difficulty[4])
    assert fit.discrimination == pytest.approx(1)
    assert (np.diff(fit.skill) < 0).all()
    assert (fit.difficulty_low < fit.difficulty).all()
    assert (fit.difficulty < fit.difficulty_high).all()
