"""The word, the interval and the exact test never contradict each other; McNemar's equals scipy's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.evaluation.metrics.made import KINDS, multi, of_kind, regression, single
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.metrics import verdict as module
from tunesmith.evaluation.metrics.means import mean_verdict
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import TABLE, compute
from tunesmith.evaluation.metrics.verdict import holm, mcnemar, verdicts


def verdict(metric: str, *systems, **options):  # type: ignore[no-untyped-def]
    return verdicts([metric], *systems, **options)[0]


def answers(labels: np.ndarray, right: np.ndarray) -> Predictions:
    """Two-class predictions that are right where it says."""
    decisions = np.where(right, labels, 1 - labels)
    return from_scores(SINGLE, labels, np.eye(2)[decisions] * 0.8 + 0.1)


def pair(n: int, only_ours: int, only_other: int, both: int) -> tuple[Predictions, Predictions]:
    labels = np.arange(n) % 2
    place = np.arange(n)
    ours = (place < both) | ((place >= both) & (place < both + only_ours))
    other = (place < both) | ((place >= both + only_ours) & (place < both + only_ours + only_other))
    return answers(labels, ours), answers(labels, other)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_mcnemar_equals_the_exact_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)


@given(b=st.integers(0, 30), c=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_word_interval_and_p_value_of_accuracy_agree(b: int, c: int) -> None:
    ours, other = pair(100, b, c, 40)
    found = verdict("accuracy", [ours], [other], "other", "test", Resampling(1000))
    assert found.difference == pytest.approx((b - c) / 100)
    assert found.p_value == pytest.approx(mcnemar(b, c))
    if found.low is None or found.high is None:
        assert b == c == 0
        assert found.word == "cannot tell"
        return
    assert found.low - 1e-12 <= found.difference <= found.high + 1e-12
    excludes_zero = found.low > 0 or found.high < 0
    assert (found.word != "cannot tell") == excludes_zero
    if excludes_zero:
        assert found.p_value <= 0.05
        assert found.word == ("better" if b > c else "worse")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_swapping_the_systems_mirrors_the_verdict(kind: str, seed: int) -> None:
    ours = of_kind(kind, 120, seed)
    noisy = np.random.default_rng(seed).permutation(120)[:50]
    scores = ours.scores.copy()
    scores[noisy] = scores[np.roll(noisy, 1)]
    other = replace(from_scores(kind, ours.labels, scores, row_ids=ours.row_ids), positive=ours.positive)
    names = list(TABLE[kind])
    there = verdicts(names, [ours], [other], "b", "test", Resampling(400))
    back = verdicts(names, [other], [ours], "a", "test", Resampling(400))
    mirror = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    for first, second in zip(there, back, strict=True):
        assert second.difference == pytest.approx(-first.difference, abs=1e-12)
        assert (second.low, second.high) == pytest.approx((-first.high, -first.low), abs=1e-12)
        assert second.word == mirror[first.word], first


@pytest.mark.parametrize("kind", KINDS)
def test_a_far_better_system_is_better_on_every_metric(kind: str) -> None:
    """Also where lower is better: the difference is then negative and the word still ``better``."""
    rng = np.random.default_rng(7)
    if kind == SINGLE:
        ours, other = single(400, 3, 0, skill=4), single(400, 3, 0, skill=0.5)
    elif kind == MULTI:
        ours = multi(400, 3, 0)
        other = from_scores(MULTI, ours.labels, np.clip(rng.random(ours.scores.shape), 0.01, 0.99))
    else:
        ours = regression(400, 0)
        other = from_scores(REGRESSION, ours.labels, ours.scores + rng.normal(size=400) * 5)
    for found in verdicts(
        [n for n in TABLE[kind] if n != "calibration_error"], [ours], [other], "other", "test", Resampling(500)
    ):
        higher = TABLE[kind][found.metric].higher_is_better
        assert found.word == "better", found
        assert (found.difference > 0) == higher


def test_the_difference_is_that_of_the_metrics() -> None:
    ours, other = single(90, 3, 0, skill=2), single(90, 3, 0, skill=1)
    for found in verdicts(list(TABLE[SINGLE]), [ours], [other], "other", "test", Resampling(200)):
        first, second = compute(SINGLE, ours)[found.metric], compute(SINGLE, other)[found.metric]
        assert found.difference == pytest.approx(first - second)


def test_equal_systems_are_no_verdict() -> None:
    predictions = single(50, 3, 0)
    for found in verdicts(list(TABLE[SINGLE]), [predictions], [predictions], "itself", "test", Resampling(200)):
        assert (found.difference, found.low, found.word) == (0.0, None, "cannot tell")
        assert found.note == "both give the same result whatever rows are drawn"


def test_six_rows_are_the_fewest_that_can_tell() -> None:
    """Five rows one way have p = 0.0625, six have 0.03125; the smallest detectable difference says six."""
    for only_ours, word in ((5, "cannot tell"), (6, "better")):
        found = verdict(
            "accuracy", list(pair(1000, only_ours, 0, 800)[:1]), [pair(1000, only_ours, 0, 800)[1]], "b", "test", Resampling(2000)
        )
        assert found.word == word
        assert found.smallest_detectable >= 6 / 1000


def test_smallest_detectable_is_found_four_times_in_five() -> None:
    """Power at the difference it names, by simulation: 80 %, give or take discreteness and the simulation's own error."""
    rng = np.random.default_rng(0)
    n, discordant = 1000, 0.15
    shift = verdict("accuracy", *([p] for p in pair(n, 75, 75, 700)), "b", "test", Resampling(2000)).smallest_detectable
    n_different = 0
    for _ in range(200):
        b = rng.binomial(n, (discordant + shift) / 2)
        c = rng.binomial(n - b, (discordant - shift) / 2 / (1 - (discordant + shift) / 2))
        ours, other = pair(n, b, c, 700)
        n_different += verdict("accuracy", [ours], [other], "b", "test", Resampling(300)).word == "better"
    assert 0.70 <= n_different / 200 <= 0.88


def test_an_undefined_metric_names_its_system() -> None:
    ours = from_scores(REGRESSION, [1.0, 2.0, 3.0], [1.0, 2.0, 2.5])
    mean = from_scores(REGRESSION, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    found = verdict("pearson", [ours], [mean], "majority", "test", Resampling(50))
    assert (found.difference, found.word) == (None, "cannot tell")
    assert found.note == "no value for majority: the labels or the scores are all the same"


@pytest.mark.parametrize("change", ["rows", "ids", "labels"])
def test_rows_that_do_not_match_are_refused(change: str) -> None:
    ours = single(30, 2, 0)
    other = {
        "rows": ours.take(np.arange(29)),
        "ids": replace(ours, row_ids=ours.row_ids + (np.arange(30) > 4)),
        "labels": replace(ours, labels=1 - ours.labels),
    }[change]
    with pytest.raises(ValueError, match="rows"):
        verdict("accuracy", [ours], [other], "other", "test", Resampling(10))


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="both systems"):
        verdict("accuracy", [single(10, 2, 0)], [], "other", "test", Resampling(10))


def test_several_seeds_have_no_p_value_and_a_wider_interval() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 2
    shared = rng.random(600)
    ours = [answers(labels, shared < quality) for quality in (0.78, 0.84, 0.90)]
    other = [answers(labels, shared < 0.75)]
    several = verdict("accuracy", ours, other, "baseline", "test", Resampling(500))
    one = verdict("accuracy", ours[1:2], other, "baseline", "test", Resampling(500))
    assert several.p_value is None
    assert one.p_value is not None
    assert several.high - several.low > one.high - one.low
    assert "3 + 1 seeds" in several.interval


def test_pairs_of_seeds_leave_out_what_a_seed_does_to_both() -> None:
    labels = np.arange(2000) % 2
    shared = np.random.default_rng(0).random(2000)
    other = [answers(labels, shared < quality) for quality in (0.70, 0.76, 0.82)]
    ours = [answers(labels, shared < quality) for quality in (0.723, 0.78, 0.838)]
    paired = verdict("accuracy", ours, other, "b", "test", Resampling(500), paired_seeds=True)
    alone = verdict("accuracy", ours, other, "b", "test", Resampling(500))
    assert paired.difference == alone.difference
    assert (paired.word, alone.word) == ("better", "cannot tell")
    assert "3 pairs of seeds" in paired.interval
    mixed = verdict("accuracy", ours, [other[2], other[0], other[1]], "b", "test", Resampling(500), paired_seeds=True)
    assert mixed.word == "cannot tell"


def test_systems_that_cannot_be_paired_are_refused() -> None:
    one = single(10, 2, 0)
    with pytest.raises(ValueError, match="2 and 1 systems cannot be paired"):
        verdict("accuracy", [one, one], [one], "b", "test", Resampling(10), paired_seeds=True)


def test_the_exact_test_holds_the_bootstrap_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it five rows of 1,000 would be called better."""
    ours, other = pair(1000, 5, 0, 800)
    held = verdict("accuracy", [ours], [other], "b", "test", Resampling(2000))
    assert held.low == 0
    assert "stretched to zero" in held.interval
    monkeypatch.setattr(module, "_swap_p_value", lambda *_: 0.0)
    assert verdict("accuracy", [ours], [other], "b", "test", Resampling(2000)).word == "better"


def test_the_swap_test_is_mcnemars_for_accuracy() -> None:
    ours, other = pair(200, 14, 6, 150)
    cells = module.make_cells([ours, other], of_decisions=True)
    kind = module.metric_kind(SINGLE, "micro_f1")
    values = tuple(module.metric_value(kind, system) for system in (ours, other))
    made = module._Pair("micro_f1", kind, cells, 1, values, np.zeros((1, 2)), 1)
    assert module._swap_p_value(made, None, 20_000, 0) == pytest.approx(mcnemar(14, 6), abs=0.012)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
def test_equal_systems_are_seldom_told_apart(metric: str) -> None:
    """At most 5 in 100 are; the grid is in benchmarks/verdict_simulation.py, here 300 simulations and three errors of room."""
    rng = np.random.default_rng(1)
    n_different = 0
    for _ in range(300):
        labels = rng.integers(0, 2, 100)
        together = rng.random(100) < 0.5
        first, second, third = (rng.random(100) < 0.8 for _ in range(3))
        ours, other = answers(labels, np.where(together, first, second)), answers(labels, np.where(together, first, third))
        n_different += verdict(metric, [ours], [other], "other", "test", Resampling(300)).word != "cannot tell"
    assert n_different <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize(("n", "share"), [(40, 0.5), (100, 0.1), (400, 0.5)])
@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_equal_models_are_seldom_told_apart_by_v_information(n: int, share: float, scale: float) -> None:
    """Few rows, a rare class, models that know nothing (scale 0) and models whose losses have long tails."""
    rng = np.random.default_rng(2)
    n_different, prior = 0, np.log(share / (1 - share))
    for _ in range(200):
        labels = (rng.random(n) < share).astype(int)
        signal = prior + scale * (2 * labels - 1 + rng.normal(size=n))
        ours, other = (1 / (1 + np.exp(-signal - 1.5 * rng.normal(size=n))) for _ in range(2))
        systems = [from_scores(SINGLE, labels, np.stack([1 - p, p], axis=1)) for p in (ours, other)]
        n_different += (
            verdict("v_information", [systems[0]], [systems[1]], "other", "test", Resampling(300)).word != "cannot tell"
        )
    assert n_different <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize("n", [8, 20, 200])
def test_a_difference_that_is_the_same_in_all_rows_has_an_interval(n: int) -> None:
    labels = np.arange(n) % 2
    right, wrong = (Predictions(labels, np.eye(2)[decisions], decisions) for decisions in (labels, 1 - labels))
    for verdict in verdicts(("accuracy", "macro_f1", "mcc"), [right], [wrong], "other", "test", Resampling(200, 0)):
        largest = 2.0 if verdict.metric == "mcc" else 1.0
        assert verdict.difference == largest
        assert verdict.low is not None
        assert verdict.high is not None
        assert 0 < verdict.low < largest - 0.5 * largest / n
        assert verdict.high == pytest.approx(largest)
        assert verdict.word == "better"
    (worse,) = verdicts(("accuracy",), [wrong], [right], "other", "test", Resampling(200, 0))
    assert (worse.low, worse.word) == (pytest.approx(-1.0), "worse")


@pytest.mark.parametrize(("ours", "other"), [(1.0, 0.0), (0.9, 0.7), (1.0, 1 / np.log2(3)), (0.55, 0.5)])
@pytest.mark.parametrize("n", [5, 20, 200])
def test_means_that_differ_by_the_same_in_all_rows_have_an_interval(ours: float, other: float, n: int) -> None:
    found = mean_verdict("token_f1", [np.full(n, ours)], [np.full(n, other)], "untuned", "test", Resampling(200, 0))
    assert found.low is not None
    assert found.high is not None
    assert found.low < ours - other - 0.5 / n
    assert found.high <= 1.0
    assert (found.p_two_sided or 0.0) <= 0.05 or found.word == "cannot tell"


@pytest.mark.parametrize("n", [4, 5, 8, 12, 14, 16, 40])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
def test_the_word_and_the_p_value_of_opposite_systems_agree(n: int, metric: str) -> None:
    labels = np.arange(n) % 2
    right, wrong = (Predictions(labels, np.eye(2)[decisions], decisions) for decisions in (labels, 1 - labels))
    (found,) = verdicts((metric,), [right], [wrong], "other", "test", Resampling(2_000, 0))
    if found.low is not None and found.high is not None:
        largest = 2.0 if metric == "mcc" else 1.0
        assert found.low < largest * (1 - 1 / n)
        assert found.high <= largest
        assert (found.word == "cannot tell") == ((found.p_two_sided or 0.0) > 0.05)


def test_an_undecided_comparison_takes_no_other_ones_correction() -> None:
    labels = np.arange(5) % 2
    right, wrong = (Predictions(labels, np.eye(2)[decisions], decisions) for decisions in (labels, 1 - labels))
    undecided = verdicts(("accuracy",), [right], [wrong], "other", "test", Resampling(500, 0))[0]
    decided = replace(undecided, word="better", low=0.01, high=0.2, p_two_sided=0.04)
    assert [verdict.word for verdict in holm([undecided, decided])] == ["cannot tell", "cannot tell"]
