"""Label noise: the rate on simulated labels, the interval in designs that break a plain fit, and what a model must know first."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.diagnosis.checks.label_noise import (
    MAX_HARD,
    MAX_ROWS,
    disagreement_of_surest,
    label_noise,
    log_probabilities,
    model_knowledge,
    sample_positions,
)


def rows(n: int, n_classes: int, rate: float, seed: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted probabilities, given labels, and which are wrong; the true class is drawn from the probabilities at T."""
    draw = np.random.default_rng(seed)
    probs = draw.dirichlet(np.full(n_classes, 0.2), n)
    truth = np.array([draw.choice(n_classes, p=row) for row in probs])
    wrong = draw.random(n) < rate
    given = np.where(wrong, (truth + draw.integers(1, n_classes, n)) % n_classes, truth)
    predicted = np.clip(probs, 1e-9, 1) ** temperature  # a model that is less sure than it could be, for T below 1
    return predicted / predicted.sum(axis=1, keepdims=True), given, wrong


def out_of_fold(n: int, n_classes: int, seed: int, *, rate: float = 0.0, hard: float = 0.0, confused: bool = False):
    """Probabilities of linear models on Gaussian classes, labels, and the share of wrong ones; hard rows lie in another class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(n_classes, 10))
    centres *= 3 / np.linalg.norm(centres, axis=1, keepdims=True)
    truth = draw.integers(0, n_classes, n)
    other = (truth + draw.integers(1, n_classes, n)) % n_classes
    points = centres[np.where(draw.random(n) < hard, other, truth)] + draw.normal(size=(n, 10))
    wrong = draw.random(n) < rate
    swapped = (truth + 1) % n_classes if confused else (truth + draw.integers(1, n_classes, n)) % n_classes
    given = np.where(wrong, swapped, truth)
    model = LogisticRegression(C=0.1, max_iter=300)
    return cross_val_predict(model, points, given, cv=5, method="predict_proba"), given, float(wrong.mean())


@pytest.mark.parametrize("n_classes", [2, 3, 12])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_the_share_of_wrong_labels_is_estimated(n_classes: int, rate: float) -> None:
    predicted, given, _ = rows(6_000, n_classes, rate, seed=n_classes)
    noise = label_noise(predicted, given)
    assert noise.rate == pytest.approx(rate, abs=0.02)
    assert (
        noise.low <= rate <= noise.high < rate + (0.1 if n_classes < 12 else 0.3)
    )  # of many classes the surest rows are less sure
    assert noise.low <= max(0, rate - MAX_HARD + 0.03)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("design", [
    {"rate": 0.0}, {"rate": 0.0, "hard": 0.05}, {"rate": 0.0, "hard": 0.1}, {"rate": 0.1, "hard": 0.05},
    {"rate": 0.1, "confused": True}, {"rate": 0.3, "confused": True, "hard": 0.1},
])  # fmt: skip
def test_the_interval_holds_the_true_share(n_classes: int, design: dict[str, float]) -> None:
    held = []
    for seed in range(5):
        predicted, given, true = out_of_fold(600, n_classes, seed, **design)
        noise = label_noise(predicted, given)
        held.append(noise.low <= true <= noise.high)
    assert sum(held) >= 4


def test_confused_classes_are_no_certainty_of_clean_labels() -> None:
    predicted, given, true = out_of_fold(1_000, 4, 0, rate=0.1, confused=True)
    assert label_noise(predicted, given).rate == pytest.approx(true, abs=0.03)


def test_an_underconfident_model_is_sharpened() -> None:
    predicted, given, _ = rows(6_000, 4, 0.05, seed=1, temperature=0.4)
    noise = label_noise(predicted, given)
    assert noise.temperature == pytest.approx(0.4, rel=0.1)
    assert noise.rate == pytest.approx(0.05, abs=0.015)


def test_clean_labels_have_next_to_no_noise() -> None:
    predicted, given, _ = rows(4_000, 5, 0.0, seed=2)
    noise = label_noise(predicted, given)
    assert noise.rate < 0.005
    assert noise.low == 0
    assert noise.high < 0.08


def test_the_probabilities_are_calibrated() -> None:
    predicted, given, wrong = rows(10_000, 6, 0.1, seed=3)
    noise = label_noise(predicted, given)
    assert noise.wrong.mean() == pytest.approx(noise.rate, abs=0.002)
    for low, high in ((0.05, 0.2), (0.2, 0.5), (0.5, 0.9)):
        inside = (noise.wrong >= low) & (noise.wrong < high)
        assert wrong[inside].mean() == pytest.approx(noise.wrong[inside].mean(), abs=0.06)


def test_impossible_labels_are_almost_certainly_wrong_and_finite() -> None:
    predicted = np.array([[1.0, 0.0], [0.0, 1.0]] * 50)
    given = np.array([0, 1] * 49 + [1, 1])
    noise = label_noise(predicted, given)
    assert np.isfinite(noise.wrong).all()
    assert noise.wrong.argmax() == 98
    assert noise.wrong[98] > 0.9


def test_where_no_label_is_wrong_the_least_probable_still_come_first() -> None:
    draw = np.random.default_rng(0)
    own = draw.uniform(0.5, 1, 2_000)
    given = (draw.random(2_000) > own).astype(int)  # labels drawn from the probabilities themselves: none is wrong
    noise = label_noise(np.stack([own, 1 - own], axis=1), given)
    probability = np.where(given == 0, own, 1 - own)
    assert noise.rate < 0.02
    assert np.corrcoef(np.argsort(np.argsort(noise.wrong)), np.argsort(np.argsort(-probability)))[0, 1] > 0.99
    assert (noise.wrong < 0.2).all()


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.3), (0.55, 0.15, 0.15, 0.15), (0.95, 0.05)])
@pytest.mark.parametrize("n", [60, 600])
def test_a_model_that_has_learnt_nothing_does_not_know_enough(n: int, shares: tuple[float, ...]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    for seed in range(10):
        draw = np.random.default_rng(seed)
        given = np.concatenate([np.arange(len(shares)).repeat(5), draw.choice(len(shares), n - 5 * len(shares), p=shares)])
        predicted = cross_val_predict(LogisticRegression(), draw.normal(size=(n, 15)), given, cv=5, method="predict_proba")
        assert not model_knowledge(predicted, given).is_enough


@pytest.mark.parametrize("n_classes", [2, 4, 20])
def test_a_model_that_reads_the_texts_knows_enough_in_spite_of_wrong_labels(n_classes: int) -> None:
    predicted, given, _ = out_of_fold(1_000, n_classes, 0, rate=0.2, hard=0.05)
    knowledge = model_knowledge(predicted, given)
    assert knowledge.is_enough
    assert knowledge.low < knowledge.share < 1


def test_perfect_predictions_explain_all() -> None:
    given = np.arange(200) % 2
    assert model_knowledge(np.eye(2)[given], given).share == pytest.approx(1, abs=0.05)


def test_the_surest_rows_of_each_predicted_class_are_compared() -> None:
    true_class = np.array([[0.9, 0.1]] * 60 + [[0.6, 0.4]] * 40 + [[0.2, 0.8]] * 100)
    given = np.array([0] * 60 + [1] * 40 + [1] * 100)
    given[[0, 1]] = 1
    share, deviation = disagreement_of_surest(true_class, given)
    assert share == pytest.approx(0.5 * 2 / 20)  # the 20 surest of the first 100 rows; class 1 has no other label
    assert 0 < deviation < 0.06


def test_large_data_are_sampled_and_probabilities_of_zero_are_clipped() -> None:
    assert len(np.unique(sample_positions(3 * MAX_ROWS, 2))) == MAX_ROWS
    assert len(np.unique(sample_positions(3 * MAX_ROWS, 100))) == 4_000
    assert sample_positions(30, 100).tolist() == list(range(30))
    assert np.isfinite(log_probabilities(np.array([[0.0, 1.0]]))).all()
