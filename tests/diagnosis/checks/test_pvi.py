"""V-information: the published figures from the published files, the bounds on every row, and its findings about rows."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.pvi import (
    bounds,
    conditional_information,
    information,
    mean_interval,
    prior_log2,
    pvi,
    slices,
    tempered,
)

# (model, file, V-information in bits, accuracy): computed from the released per-instance files of Ethayarajh et al. 2022.
PUBLISHED = [
    ("bert-base-cased_cola_id_dev_std2.csv", 0.339, 0.839),
    ("distilbert-base-uncased_cola_id_dev_std2.csv", 0.279, 0.825),
    ("facebook-bart-base_cola_id_dev_std2.csv", 0.150, 0.782),
    ("gpt2_cola_id_dev_std5.csv", 0.160, 0.778),
    ("bert-base-cased_cola_id_dev_std10.csv", -0.214, 0.852),
    ("bert-base-cased_snli_std2_test.csv", 1.187, 0.901),
]


def released(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Null entropy, entropy given the text, and whether the model was right, per row, bits."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    null, conditional = (np.array([float(row[column]) for row in rows]) for column in ("H_yb", "H_yx"))
    return null, conditional, np.array([row["correct_yx"] in ("True", "1", "1.0") for row in rows])


@pytest.mark.parametrize(("name", "bits", "accuracy"), PUBLISHED)
def test_the_published_figures_come_out_to_the_third_decimal(name: str, bits: float, accuracy: float, shared: Path) -> None:
    null, conditional, right = released(shared / "data/pvi-reference" / name)
    n_classes = 3 if "snli" in name else 2
    chance = 2.0**-conditional
    rest = (1 - chance) / (n_classes - 1)
    probs = np.repeat(rest[:, None], n_classes, axis=1)
    probs[:, 0] = chance
    found = information(probs, np.zeros(len(null), dtype=int), -null)
    assert found.v_information == pytest.approx(bits, abs=5e-4)
    assert right.mean() == pytest.approx(accuracy, abs=5e-4)
    low, high = bounds(found.null_entropy, n_classes)
    assert not (found.pvi < low - 1e-9)[right].any()
    assert not (found.pvi > high + 1e-9)[~right].any()
    if n_classes == 2:
        assert found.accuracy == pytest.approx(accuracy, abs=5e-4)


@given(arrays(float, (12, 4), elements=st.floats(0.001, 1)), st.lists(st.integers(0, 3), min_size=12, max_size=12))
@settings(max_examples=50, deadline=None)
def test_no_probabilities_break_the_bounds(raw: np.ndarray, labels: list[int]) -> None:
    probs = raw / raw.sum(axis=1, keepdims=True)
    answers = np.array(labels)
    found = information(probs, answers)
    own = probs[np.arange(12), answers]
    best = probs.max(axis=1)
    low, high = bounds(found.null_entropy, 4)
    assert not (found.pvi < low - 1e-9)[own >= best].any()
    assert not (found.pvi > high + 1e-9)[own < best].any()


def test_the_prior_is_the_best_null_model() -> None:
    labels = np.array([0] * 9 + [1] * 3)
    prior = prior_log2(labels, 2)
    assert prior == pytest.approx(np.log2([0.75, 0.25]))
    assert information(np.tile([0.75, 0.25], (12, 1)), labels).v_information == pytest.approx(0)
    assert information(np.tile([0.6, 0.4], (12, 1)), labels).v_information < 0


def test_rows_that_tell_less_than_nothing_are_flagged_and_unlabelled_ones_left_alone() -> None:
    probs = np.array([[0.95, 0.05], [0.9, 0.1], [0.02, 0.98], [0.1, 0.9], [0.5, 0.5]])
    found = pvi(
        evidence([0, 0, 0, 1, None, *[0, 1] * 50], pred_probs=np.concatenate([probs, probs[[0, 3] * 50]]), method="frozen")
    )
    assert found.flagged is not None
    assert np.flatnonzero(found.flagged).tolist() == [2]
    assert found.scores is not None
    assert found.scores[2] == 0
    assert np.isnan(found.scores[4])
    assert "PVI" in found.reasons[2]


def test_without_probabilities_it_is_skipped_with_the_reason() -> None:
    assert "out-of-fold probabilities" in pvi(evidence([0, 1])).skipped


def test_a_given_null_model_takes_the_place_of_the_prior() -> None:
    probs = np.array([[0.5, 0.5], [0.25, 0.75]])
    by_prior = pvi(evidence([0, 1], pred_probs=probs)).figures
    by_model = pvi(evidence([0, 1], pred_probs=probs, null_log2=np.array([-2.0, -1.0]))).figures
    assert by_prior["entropy_bits"] == pytest.approx(1)
    assert by_model["entropy_bits"] == pytest.approx(1.5)
    assert by_model["v_information_bits"] - by_prior["v_information_bits"] == pytest.approx(0.5)


def test_what_the_whole_has_beyond_a_part_is_a_difference_of_surprisals() -> None:
    assert conditional_information(np.array([0.5, 0.2]), np.array([0.25, 0.4])) == pytest.approx([1, -1])


@pytest.mark.parametrize("n", [5, 20, 400])
def test_the_interval_of_a_mean_is_that_of_students_t_where_values_are_normal(n: int) -> None:
    from scipy.stats import t

    values = np.random.default_rng(n).normal(3, 2, size=n)
    half = t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    low, high = mean_interval(values, n_resamples=20_000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.12 if n == 5 else 0.05)
    assert low < values.mean() < high
    assert np.isnan(mean_interval(values[:1])).all()


def test_the_interval_of_a_mean_knows_rows_that_belong_together() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=10)
    repeated, in_ten = np.repeat(values, 6), np.repeat(np.arange(10), 6)
    (low, high), (lower, higher) = mean_interval(repeated), mean_interval(repeated, in_ten)
    assert higher - lower > 2 * (high - low)  # sixty rows, but ten units
    assert (lower, higher) == pytest.approx(mean_interval(values), abs=0.05 * (higher - lower))


def test_probabilities_that_know_nothing_become_the_prior_and_good_ones_stay() -> None:
    draw = np.random.default_rng(0)
    labels, folds = (draw.random(3000) < 0.3).astype(int), np.arange(3000) % 5
    sure = draw.dirichlet([0.3, 0.3], size=3000)
    noise = tempered(sure, labels, folds)
    assert information(sure, labels).v_information < -1
    assert noise[:, 1] == pytest.approx(0.3, abs=0.02)
    truth = draw.dirichlet([1, 1], size=3000)
    drawn = (draw.random(3000) < truth[:, 1]).astype(int)
    assert tempered(truth, drawn, folds) == pytest.approx(truth, abs=0.05)
    unsure = truth**0.5 / (truth**0.5).sum(axis=1, keepdims=True)
    assert information(tempered(unsure, drawn, folds), drawn).v_information > information(unsure, drawn).v_information + 0.05


def test_a_fold_is_tempered_by_the_labels_of_the_others_alone() -> None:
    draw = np.random.default_rng(1)
    probs, labels, folds = draw.dirichlet([1, 1], size=60), draw.integers(0, 2, 60), np.arange(60) % 3
    other = labels.copy()
    other[folds == 1] = 1 - other[folds == 1]
    other[3] = -1  # unlabelled, in fold 0
    before, after = tempered(probs, labels, folds), tempered(probs, other, folds)
    unlabelled = tempered(probs, np.where(np.arange(60) == 3, -1, labels), folds)
    assert unlabelled[folds == 0] == pytest.approx(before[folds == 0])
    assert tempered(probs, np.where(folds == 1, other, labels), folds)[folds == 1] == pytest.approx(before[folds == 1])
    assert not np.allclose(after[folds == 0], before[folds == 0])
    assert after.sum(axis=1) == pytest.approx(1)


def test_values_come_lowest_first_with_interval_and_rare_ones_are_counted() -> None:
    given = [i % 2 for i in range(60)]
    own = np.array([0.9] * 30 + [0.4] * 25 + [0.5] * 5)
    probs = np.stack([np.where(np.array(given) == k, own, 1 - own) for k in range(2)], axis=1)
    cells = ["news"] * 30 + [None] * 25 + ["a", "a", "b", "b", 3]
    found = slices(evidence([*given, None], pred_probs=np.vstack([probs, [0.5, 0.5]])), "genre", [*cells, "news"])
    first, second = found.figures["table"]
    assert (first["value"], first["n"], first["accuracy"]) == ("(missing)", 25, 0)
    assert (second["value"], second["n"], second["accuracy"]) == ("news", 30, 1)
    assert first["mean_pvi_bits"] == pytest.approx(1 + np.log2(0.4))
    assert second["low"] == pytest.approx(second["mean_pvi_bits"])
    assert found.name == "slices_genre"
    assert "lowest first: (missing) -0.32 [-0.32, -0.32] (accuracy 0.00, 25 rows)" in found.summary
    assert "Left out: 3 values with fewer than 20 rows, 5 rows in all." in found.summary


def test_a_slice_that_is_harder_than_the_others_is_named() -> None:
    draw = np.random.default_rng(0)
    own = np.where(np.arange(200) < 60, 0.45, 0.9) + draw.uniform(-0.05, 0.05, 200)
    probs, cells = np.stack([own, 1 - own], axis=1), ["phone"] * 60 + ["mail", "chat"] * 70
    found = slices(evidence([0] * 199 + [1], pred_probs=probs), "channel", cells)
    assert "Harder than the other rows: phone; easier than the other rows: " in found.summary
    row = found.figures["table"][0]
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0


@pytest.mark.parametrize(("n_values", "n_rows"), [(2, 20), (8, 20)])
def test_equal_slices_are_seldom_called_different(n_values: int, n_rows: int) -> None:
    """The losses have long tails; at most 5 in 100 columns name any value, here 40 columns and three errors of room."""
    draw = np.random.default_rng(n_values)
    n, named = n_values * n_rows, 0
    for _ in range(40):
        labels = draw.integers(0, 2, n)
        own = 1 / (1 + np.exp(-1 - 2 * draw.normal(size=n)))
        probs = np.where(labels[:, None] == np.arange(2), own[:, None], 1 - own[:, None])
        found = slices(evidence(labels.tolist(), pred_probs=probs), "channel", [i % n_values for i in range(n)])
        named += "None differs" not in found.summary
    assert named <= 40 * 0.05 + 3 * (40 * 0.05 * 0.95) ** 0.5


def test_it_is_skipped_where_no_value_is_frequent_or_nothing_is_known() -> None:
    probs = np.full((3, 2), 0.5)
    assert "20 rows" in slices(evidence([0, 1, 1], pred_probs=probs), "genre", ["x", "x", "y"]).skipped
    assert "no row has a label" in slices(evidence([None] * 3, n_classes=2, pred_probs=probs), "genre", ["x", "x", "y"]).skipped
    assert "out-of-fold" in slices(evidence([0, 1]), "genre", ["x", "x"]).skipped


def test_values_that_name_somebody_are_masked() -> None:
    found = slices(evidence([0, 1] * 10, pred_probs=np.full((20, 2), 0.5)), "sender", ["ada@example.org"] * 20)
    assert found.figures["table"][0]["value"] == "[email]"
    assert "ada@" not in found.summary
