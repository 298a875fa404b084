"""Every classification metric against scikit-learn, plain and weighted, and its undefined cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.evaluation.metrics.made import multi, single
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.evaluation.metrics import classification as c
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def weights_for(n: int, seed: int) -> np.ndarray:
    """Three rows of weights: ones, a resample, and any positive numbers."""
    rng = np.random.default_rng(seed)
    return np.stack([np.ones(n), np.bincount(rng.integers(0, n, n), minlength=n) + (np.arange(n) < 8), rng.random(n) + 0.1])


def reference_single(p: Predictions, w: np.ndarray) -> dict[str, float]:
    k = p.scores.shape[1]
    hot = np.eye(k)[p.labels]
    ranked = range(k) if k > 2 else [1]
    return {
        "accuracy": sk.accuracy_score(p.labels, p.decisions, sample_weight=w),
        "macro_f1": sk.f1_score(p.labels, p.decisions, average="macro", sample_weight=w),
        "micro_f1": sk.f1_score(p.labels, p.decisions, average="micro", sample_weight=w),
        "mcc": sk.matthews_corrcoef(p.labels, p.decisions, sample_weight=w),
        "auroc": np.mean([sk.roc_auc_score(hot[:, j], p.scores[:, j], sample_weight=w) for j in ranked]),
        "average_precision": np.mean([sk.average_precision_score(hot[:, j], p.scores[:, j], sample_weight=w) for j in ranked]),
        "log_loss": sk.log_loss(p.labels, p.scores, sample_weight=w, labels=np.arange(k)),
    }


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("seed", range(4))
def test_single_label_metrics_equal_scikit_learn(n_classes: int, seed: int) -> None:
    predictions = single(60, n_classes, seed)
    for weights in weights_for(60, seed):
        for name, expected in reference_single(predictions, weights).items():
            value = getattr(c, name)(predictions)(weights[None])[0]
            np.testing.assert_allclose(value, expected, **EXACT, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
def test_v_information_is_the_entropy_minus_the_log_loss_in_bits(seed: int) -> None:
    predictions, several = single(60, 3, seed), multi(60, 4, seed)
    for weights in weights_for(60, seed):
        shares = np.array([weights[predictions.labels == k].sum() for k in range(3)]) / weights.sum()
        entropy = -sum(share * np.log2(share) for share in shares if share)
        loss = c.log_loss(predictions)(weights[None])[0] / np.log(2)
        np.testing.assert_allclose(c.v_information(predictions)(weights[None])[0], entropy - loss, **EXACT)
        each = [
            Predictions(
                several.labels[:, j], np.stack([1 - several.scores[:, j], several.scores[:, j]], axis=1), several.decisions[:, j]
            )
            for j in range(4)
        ]
        mean = np.mean([c.v_information(label)(weights[None])[0] for label in each])
        np.testing.assert_allclose(c.v_information(several)(weights[None])[0], mean, **EXACT)


def test_the_class_frequencies_give_no_information() -> None:
    labels = np.array([0, 0, 0, 1])
    constant = from_scores(SINGLE, labels, np.tile([0.75, 0.25], (4, 1)))
    assert c.v_information(constant)(np.ones((1, 4)))[0] == pytest.approx(0, abs=1e-12)
    wrong = from_scores(SINGLE, labels, np.tile([0.25, 0.75], (4, 1)))
    assert c.v_information(wrong)(np.ones((1, 4)))[0] < -0.5


@pytest.mark.parametrize("seed", range(4))
def test_multi_label_metrics_equal_scikit_learn(seed: int) -> None:
    p = multi(60, 4, seed)
    for w in weights_for(60, seed):
        each = range(4)
        expected = {
            "accuracy": sk.accuracy_score(p.labels, p.decisions, sample_weight=w),
            "macro_f1": sk.f1_score(p.labels, p.decisions, average="macro", sample_weight=w),
            "micro_f1": sk.f1_score(p.labels, p.decisions, average="micro", sample_weight=w),
            "mcc": np.mean([sk.matthews_corrcoef(p.labels[:, j], p.decisions[:, j], sample_weight=w) for j in each]),
            "auroc": sk.roc_auc_score(p.labels, p.scores, average="macro", sample_weight=w),
            "average_precision": sk.average_precision_score(p.labels, p.scores, average="macro", sample_weight=w),
            "log_loss": np.mean([sk.log_loss(p.labels[:, j], p.scores[:, j], sample_weight=w) for j in each]),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(c, name)(p)(w[None])[0], value, **EXACT, err_msg=name)


def test_weights_are_the_same_as_repeated_rows() -> None:
    predictions = single(40, 3, 1)
    counts = np.random.default_rng(0).integers(0, 4, 40)
    repeated = predictions.take(np.repeat(np.arange(40), counts))
    for name in ("accuracy", "macro_f1", "mcc", "auroc", "average_precision", "log_loss", "calibration_error"):
        metric = getattr(c, name)
        weighted = metric(predictions)(counts[None].astype(float))
        np.testing.assert_allclose(weighted, metric(repeated)(np.ones((1, len(repeated)))), **EXACT, err_msg=name)


def test_rows_of_weights_do_not_mix() -> None:
    predictions = single(50, 3, 2)
    weights = weights_for(50, 2)
    for name in ("accuracy", "macro_f1", "mcc", "auroc", "average_precision", "log_loss", "calibration_error"):
        statistic = getattr(c, name)(predictions)
        np.testing.assert_allclose(statistic(weights), [statistic(row[None])[0] for row in weights], **EXACT)


def test_calibration_error_by_hand() -> None:
    """Two bins: 4 rows at 0.9 with 2 right (gap 0.4), 2 rows at 0.6 with 2 right (gap 0.4)."""
    top = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    labels = [1, 1, 0, 0, 1, 1]
    predictions = from_scores(SINGLE, labels, np.stack([1 - top, top], axis=1))
    assert c.calibration_error(predictions)(np.ones((1, 6)))[0] == pytest.approx(0.4)


def test_calibrated_and_certain_rows_have_no_calibration_error() -> None:
    labels = np.array([0, 1, 1, 0])
    predictions = from_scores(SINGLE, labels, np.eye(2)[labels])
    assert c.calibration_error(predictions)(np.ones((1, 4)))[0] == 0
    many = from_scores(MULTI, np.eye(4, dtype=int), np.eye(4))
    assert c.calibration_error(many)(np.ones((1, 4)))[0] == 0


def test_one_column_of_any_numbers_has_an_auroc() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.random(50) < 0.3, rng.integers(-3, 4, 50).astype(float)
    assert c.column_auroc(positive, scores) == pytest.approx(sk.roc_auc_score(positive, scores))
    assert c.column_auroc(np.array([True, False]), np.array([1.0, 1.0])) == 0.5
    assert np.isnan(c.column_auroc(np.array([True, True]), np.array([1.0, 2.0])))


def test_constant_predictions_have_mcc_zero_and_auroc_half() -> None:
    predictions = from_scores(SINGLE, [0, 1, 0, 1, 0], np.tile([0.7, 0.3], (5, 1)))
    ones = np.ones((1, 5))
    assert c.mcc(predictions)(ones)[0] == 0
    assert c.auroc(predictions)(ones)[0] == 0.5
    assert c.average_precision(predictions)(ones)[0] == pytest.approx(0.4)


def test_one_class_has_no_ranking() -> None:
    predictions = from_scores(SINGLE, [1, 1, 1], [[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    assert np.isnan(c.auroc(predictions)(np.ones((1, 3)))[0])
    assert np.isnan(c.average_precision(predictions)(np.ones((1, 3)))[0])


def test_a_resample_without_a_class_is_undefined_and_others_are_not() -> None:
    predictions = from_scores(SINGLE, [0, 0, 1], [[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    weights = np.array([[1.0, 2.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 3.0]])
    assert np.isnan(c.auroc(predictions)(weights)).tolist() == [True, False, True]
    assert np.isnan(c.average_precision(predictions)(weights)).tolist() == [True, False, True]


def test_classes_that_do_not_occur_are_left_out_of_means() -> None:
    """Class 2 is neither a label nor predicted: two classes of F1 1 give a mean of 1."""
    scores = np.eye(3)[[0, 1, 0, 1]]
    predictions = from_scores(SINGLE, [0, 1, 0, 1], scores)
    ones = np.ones((1, 4))
    assert c.macro_f1(predictions)(ones)[0] == 1
    assert c.auroc(predictions)(ones)[0] == 1
