"""The estimated share of wrong labels: right on data made by the model it assumes, near 0 on clean ones, and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.diagnosis.checks.label_noise import best_rate, label_noise, log_likelihood


def rows(n: int, n_classes: int, rate: float, seed: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted probabilities, given labels, and which of them are wrong; the truth is drawn from the probabilities at T."""
    draw = np.random.default_rng(seed)
    probs = draw.dirichlet(np.full(n_classes, 0.2), n)
    truth = np.array([draw.choice(n_classes, p=row) for row in probs])
    wrong = draw.random(n) < rate
    given = np.where(wrong, (truth + draw.integers(1, n_classes, n)) % n_classes, truth)
    predicted = np.clip(probs, 1e-9, 1) ** temperature  # a model that is less sure than it could be, for T below 1
    return predicted / predicted.sum(axis=1, keepdims=True), given, wrong


@pytest.mark.parametrize("n_classes", [2, 3, 12])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_the_share_of_wrong_labels_comes_out(n_classes: int, rate: float) -> None:
    probs, given, _ = rows(6_000, n_classes, rate, seed=n_classes)
    found = label_noise(probs, given)
    assert found.rate == pytest.approx(rate, abs=0.02)
    assert found.low < found.rate < found.high < found.low + 0.1


def test_the_interval_contains_the_true_share_about_as_often_as_stated() -> None:
    held = []
    for seed in range(40):
        probs, given, _ = rows(600, 3, 0.08, seed)
        found = label_noise(probs, given)
        held.append(found.low <= 0.08 <= found.high)
    assert np.mean(held) >= 0.85  # 0.95 is meant; 0.85 of 40 is three standard errors below


def test_a_model_that_is_too_unsure_is_sharpened() -> None:
    probs, given, _ = rows(6_000, 4, 0.05, seed=1, temperature=0.4)
    found = label_noise(probs, given)
    assert found.temperature == pytest.approx(0.4, rel=0.1)
    assert found.rate == pytest.approx(0.05, abs=0.015)


def test_clean_labels_have_next_to_no_noise() -> None:
    probs, given, _ = rows(4_000, 5, 0.0, seed=2)
    assert label_noise(probs, given).rate < 0.005


def test_the_probabilities_are_calibrated_and_rank_as_well_as_any() -> None:
    probs, given, wrong = rows(20_000, 6, 0.1, seed=3)
    found = label_noise(probs, given)
    assert found.wrong.mean() == pytest.approx(found.rate, abs=0.002)
    for low, high in ((0.05, 0.2), (0.2, 0.5), (0.5, 0.9)):
        inside = (found.wrong >= low) & (found.wrong < high)
        assert wrong[inside].mean() == pytest.approx(found.wrong[inside].mean(), abs=0.05)


def test_the_rate_is_the_most_likely_one() -> None:
    draw = np.random.default_rng(0)
    own = np.concatenate([draw.beta(8, 1, 450), draw.beta(1, 20, 50)])
    best = best_rate(own, 3)
    assert 0 < best < 0.5
    assert all(log_likelihood(best, own, 3) > log_likelihood(best + step, own, 3) for step in (-0.01, 0.01))


def test_impossible_labels_are_certainly_wrong_and_finite() -> None:
    probs = np.array([[1.0, 0.0], [0.0, 1.0]] * 50)
    given = np.array([0, 1] * 49 + [1, 1])
    found = label_noise(probs, given)
    assert np.isfinite(found.wrong).all()
    assert found.wrong[98] > 0.99


def test_where_no_label_seems_wrong_the_least_probable_still_come_first() -> None:
    draw = np.random.default_rng(0)
    own = draw.uniform(0.5, 1, 2_000)
    given = (draw.random(2_000) > own).astype(int)  # labels drawn from the probabilities themselves: none is wrong
    found = label_noise(np.stack([own, 1 - own], axis=1), given)
    chance = np.where(given == 0, own, 1 - own)
    assert found.rate < 0.02
    assert np.array_equal(np.argsort(found.wrong, kind="stable"), np.argsort(-chance, kind="stable"))
    assert (found.wrong < 0.2).all()
