"""Intervals hold the value, shrink with n, are the same by seed, and agree with scipy where scipy has them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.evaluation.metrics.made import KINDS, of_kind, single
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics.intervals import Spread, acceleration, bca, metric_intervals, score_interval, spread
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores
from tunesmith.evaluation.metrics.resample import Resampling, make_cells
from tunesmith.evaluation.metrics.table import TABLE, compute


@pytest.mark.parametrize("kind", KINDS)
def test_every_interval_contains_its_value_and_names_its_method(kind: str) -> None:
    predictions = of_kind(kind, 150, 0)
    found = metric_intervals(kind, predictions, "test", list(TABLE[kind]), Resampling(500))
    assert [metric.name for metric in found] == list(TABLE[kind])
    for metric in found:
        assert metric.value == pytest.approx(compute(kind, predictions)[metric.name], abs=1e-12)
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low < metric.value < metric.high, metric
        assert (metric.split, metric.n, metric.note) == ("test", 150, "")
        assert metric.interval


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_intervals(kind: str) -> None:
    predictions = of_kind(kind, 100, 1)
    names = list(TABLE[kind])
    first, again = (metric_intervals(kind, predictions, "test", names, Resampling(300, 5)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("kind", KINDS)
def test_sixteen_times_the_rows_a_quarter_of_the_width(kind: str) -> None:
    predictions = of_kind(kind, 200, 2)
    many = predictions.take(np.tile(np.arange(200), 16))
    for small, large in zip(
        metric_intervals(kind, predictions, "test", list(TABLE[kind]), Resampling(1000)),
        metric_intervals(kind, many, "test", list(TABLE[kind]), Resampling(1000)),
        strict=True,
    ):
        assert (large.high - large.low) / (small.high - small.low) == pytest.approx(0.25, abs=0.05), small.name  # below: few_rows


def test_accuracy_has_wilsons_interval() -> None:
    predictions = single(137, 3, 0)
    metric = metric_intervals(SINGLE, predictions, "test", ["accuracy"], Resampling(100))[0]
    right = int((predictions.labels == predictions.decisions).sum())
    expected = stats.binomtest(right, 137).proportion_ci(method="wilson")
    assert (metric.low, metric.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_bca_equals_scipys() -> None:
    """The same data, many resamples: both ends within the resampling error."""
    rng = np.random.default_rng(0)
    right = rng.random(80) < 0.85
    predictions = Predictions(np.ones(80, dtype=int), np.zeros((80, 2)), right.astype(int))
    cells = make_cells([predictions], of_decisions=True)
    statistic = TABLE[SINGLE]["accuracy"].statistic(cells.systems[0])
    drawn = rng.binomial(80, right.mean(), 40_000) / 80
    low, high = bca(right.mean(), drawn, acceleration(cells, statistic))
    expected = stats.bootstrap((right.astype(float),), np.mean, n_resamples=9999, method="BCa", rng=1).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.0126)


def test_bca_is_the_percentile_interval_when_nothing_has_to_be_corrected_and_moves_with_skewness() -> None:
    """Efron 1987, eq. 6.8, for replicates that are symmetric about the value: the ends are those of shifted levels."""
    drawn = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert bca(0.0, drawn, 0.0) == pytest.approx((-1.96, 1.96), abs=2e-3)
    assert bca(0.0, drawn, 0.1) == pytest.approx((-1.96 / 1.196, 1.96 / 0.804), abs=5e-3)


def test_jackknife_acceleration_is_the_skewness_over_six() -> None:
    """For a mean, Efron's acceleration is skewness / (6 sqrt(n))."""
    predictions = single(90, 2, 0)
    cells = make_cells([predictions], of_decisions=True)
    right = (predictions.labels == predictions.decisions).astype(float)
    expected = stats.skew(right) / (6 * 90**0.5)
    statistic = TABLE[SINGLE]["accuracy"].statistic(cells.systems[0])
    assert acceleration(cells, statistic) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_perfect_or_hopeless_score_still_has_an_interval(value: float) -> None:
    low, high = score_interval(value, 0.0, 50, 1.96)
    expected = stats.binomtest(int(50 * value), 50).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-3)


def test_perfect_predictions_have_a_one_sided_interval() -> None:
    labels = np.arange(60) % 3
    perfect = from_scores(SINGLE, labels, np.eye(3)[labels])
    for metric in metric_intervals(SINGLE, perfect, "test", ["accuracy", "macro_f1", "mcc", "auroc"], Resampling(200)):
        assert metric.value == metric.high == 1
        assert 0.8 < metric.low < 1


def test_few_errors_do_not_widen_the_interval_of_the_mean_over_classes() -> None:
    labels = np.arange(320) % 16
    decided = labels.copy()
    widths = []
    for n_wrong in (0, 1, 3, 12):
        decided[:n_wrong] = (labels[:n_wrong] + 1) % 16
        predictions = from_scores(SINGLE, labels, np.eye(16)[decided])
        (metric,) = metric_intervals(SINGLE, predictions, "test", ["macro_f1"], Resampling(300))
        widths.append(metric.high - metric.low)
        assert metric.low > 0.9
    assert widths == sorted(widths)


def test_rows_that_resamples_do_not_show_add_to_both_halves() -> None:
    low, high = score_interval(0.9, 0.03, 100, 1.96)
    wide = score_interval(0.9, (0.03**2 + 0.02**2) ** 0.5, 100, 1.96, unseen=0.02**2)
    assert wide == pytest.approx((0.9 - np.hypot(0.9 - low, 1.96 * 0.02), 0.9 + np.hypot(high - 0.9, 1.96 * 0.02)))
    assert score_interval(0.999, 0.02, 300, 1.96, unseen=0.02**2)[0] > 0.94


def test_the_correlation_of_rows_of_one_class_has_no_interval() -> None:
    (mcc,) = metric_intervals(SINGLE, from_scores(SINGLE, [0] * 60, [[0.9, 0.1]] * 60), "test", ["mcc"], Resampling(50))
    assert (mcc.value, mcc.low) == (0.0, None)
    assert mcc.note.startswith("no interval: all rows have one class")


def test_one_row_and_one_class_have_no_interval_but_a_reason() -> None:
    one = from_scores(SINGLE, [1], [[0.2, 0.8]])
    accuracy, auroc = metric_intervals(SINGLE, one, "test", ["accuracy", "auroc"], Resampling(50))
    assert (accuracy.value, accuracy.low, accuracy.note) == (1.0, None, "too few rows for an interval")
    assert (auroc.value, auroc.low, auroc.note) == (None, None, "no class has both positive and negative rows here")


def test_a_class_of_one_row_leaves_rankings_without_an_interval() -> None:
    """A third of the resamples do not draw the row and have no AUROC."""
    predictions = from_scores(SINGLE, [1, 0, 0, 0, 0], np.stack([1 - np.arange(5) / 10, np.arange(5) / 10], axis=1))
    auroc = metric_intervals(SINGLE, predictions, "test", ["auroc"], Resampling(200))[0]
    assert auroc.value == 0
    assert (auroc.low, auroc.note) == (None, "too few rows for an interval")


def test_several_seeds_are_averaged_and_widen_the_interval() -> None:
    rows = np.arange(300)
    runs = [single(300, 3, 0, digits=None) for _ in range(3)]
    labels = runs[0].labels
    decisions = []
    for seed, wrong in enumerate((30, 60, 90)):
        predicted = labels.copy()
        flipped = np.random.default_rng(seed).choice(rows, wrong, replace=False)
        predicted[flipped] = (predicted[flipped] + 1) % 3
        decisions.append(predicted)
    seeds = [Predictions(labels, runs[0].scores, predicted) for predicted in decisions]
    together = metric_intervals(SINGLE, seeds, "test", ["accuracy"], Resampling(500))[0]
    alone = metric_intervals(SINGLE, seeds[1], "test", ["accuracy"], Resampling(500))[0]
    assert together.value == pytest.approx(0.8)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert "3 seeds" in together.interval


def test_equal_seeds_are_as_certain_as_one() -> None:
    predictions = single(200, 3, 0)
    single_run, three = (
        metric_intervals(SINGLE, runs, "test", ["mcc"], Resampling(500))[0] for runs in ([predictions], [predictions] * 3)
    )
    assert (three.low, three.high) == pytest.approx((single_run.low, single_run.high), abs=1e-12)


def test_spread_adds_rows_and_seeds() -> None:
    """Seeds that differ by a constant on every resample: rows and seeds add, nothing is taken out."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 1)) * 0.02
    values = [0.7, 0.8, 0.9]
    found = spread([values], [rows + np.array(values)], 10_000)
    assert found.error**2 == pytest.approx(rows.var() + 0.01 / 3, rel=1e-3)
    assert [freedom for _, freedom in found.parts] == [9999, 2]
    assert stats.t.ppf(0.975, 9999) < found.quantile(0.975) < stats.t.ppf(0.975, 2)


def test_what_rows_and_seeds_do_together_is_counted_once() -> None:
    """Each seed errs on rows of its own: seeds then differ by row noise alone, and the error is that of 3 n rows."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        own = rng.normal(size=3) * 0.02
        found.append(spread([list(0.8 + own)], [0.8 + own + rng.normal(size=(400, 3)) * 0.02], 10_000).error ** 2)
    floor = 0.02**2 / 3
    assert floor * 0.95 < np.mean(found) < floor * 1.7
    assert np.median(found) == pytest.approx(floor, rel=0.12)


def test_quantile_of_rows_alone_is_students() -> None:
    assert Spread(0.1, ((0.01, 9),)).quantile(0.975) == pytest.approx(stats.t.ppf(0.975, 9))


def test_systems_of_different_rows_are_refused() -> None:
    first, second = single(20, 2, 0), single(20, 2, 1)
    with pytest.raises(ValueError, match="labels differ"):
        metric_intervals(SINGLE, [first, second], "test", ["accuracy"], Resampling(10))
    with pytest.raises(ValueError, match="20 and 19 rows"):
        metric_intervals(SINGLE, [first, first.take(np.arange(19))], "test", ["accuracy"], Resampling(10))


@pytest.mark.parametrize(("kept", "reached"), [(1.0, 30), (0.6, 0)])
def test_calibration_interval_reaches_zero_where_noise_explains_the_gaps(kept: float, reached: int) -> None:
    """Of a calibrated model (kept = 1) it nearly always comes down to 0; of an overconfident one it never does."""
    down = 0
    for seed in range(36):
        rng = np.random.default_rng(seed)
        top = rng.uniform(0.5, 1.0, 1000)
        right = rng.random(1000) < 0.5 + kept * (top - 0.5)
        predictions = from_scores(SINGLE, right.astype(int), np.stack([1 - top, top], axis=1))
        metric = metric_intervals(SINGLE, predictions, "test", ["calibration_error"], Resampling(400))[0]
        assert metric.low <= metric.value <= metric.high
        down += metric.low < 0.002
    assert down >= reached if kept == 1 else down == 0
