"""Alarms about the loss of preference runs: small losses, and losses that fall without limit."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.recipe.task_sections import PreferenceSection
from tunesmith.tasks.preference.evaluation import below_zero, saturated
from tunesmith.training.history import LogHistory
from tunesmith.training.losses.preference_choice import ChosenLosses, choose_losses

START = float(np.log(2))


def chosen(name: str | list[str] = "sigmoid", smoothing: float | None = None) -> ChosenLosses:
    return choose_losses(PreferenceSection(loss_type=name, label_smoothing=smoothing))


def logged(losses: list[float] | np.ndarray) -> LogHistory:
    return [{"step": step, "loss": float(loss)} for step, loss in enumerate(losses, start=1)]


def test_a_small_loss_is_saturated_and_ipo_is_not_told_to_be_ipo() -> None:
    small = logged([START, *np.linspace(0.3, 0.001, 4), *[0.001] * 15])
    alarm = saturated(small, 20, chosen())
    assert alarm is not None
    assert "or use ipo" in alarm.remedy
    reached = saturated(logged([25.0, *[0.1] * 19]), 20, chosen("ipo"))
    assert reached is not None
    assert "ipo" not in reached.remedy
    assert saturated(small, 20, chosen("robust")) is not None  # without label smoothing it is sigmoid
    assert below_zero(small, chosen("robust"), 1) is None


@pytest.mark.parametrize("names", ["robust", ["robust", "hinge"]])
def test_a_loss_that_falls_below_zero_is_not_saturated_but_without_limit(names: str | list[str]) -> None:
    falling, losses = logged(np.linspace(START, -24, 40)), chosen(names, 0.4)
    assert saturated(falling, 40, losses) is None
    alarm = below_zero(falling, losses, 10)
    assert alarm is not None
    assert "40.0% of the pairs are reversed" in alarm.message
    assert below_zero(logged(np.linspace(START, -0.8, 40)), losses, 1) is None  # not yet as far below 0 as it began above it


@pytest.mark.parametrize(("smoothing", "margin"), [(0.1, 6.0), (0.3, 3.0), (0.4, 6.0)])
def test_a_model_that_has_not_learnt_the_reversed_pairs_seldom_raises_the_alarm(smoothing: float, margin: float) -> None:
    draw, losses, n_rows, found = np.random.default_rng(0), chosen("robust", smoothing), 64, {True: 0, False: 0}
    for learnt in (False, True):
        for _ in range(200):
            margins = draw.normal(margin, margin / 2, n_rows) * np.where(draw.random(n_rows) < smoothing, -1, 1)
            margins = np.abs(margins) * 3 if learnt else margins
            lost = (1 - smoothing) * np.logaddexp(0, -margins) - smoothing * np.logaddexp(0, margins)
            rows = np.concatenate([draw.permutation(lost / (1 - 2 * smoothing)) for _ in range(4)])
            means = [float(part.mean()) for part in np.array_split(rows, 32)]
            found[learnt] += below_zero(logged(means), losses, 4) is not None
    assert found[False] <= 8
    assert found[True] >= 190
