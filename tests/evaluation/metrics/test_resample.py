"""Cells and resamples: nothing is lost by grouping rows, and memory is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.metrics.made import KINDS, of_kind, single
from tunesmith.evaluation.metrics import resample
from tunesmith.evaluation.metrics.resample import affordable, make_cells, replicate, weight_blocks
from tunesmith.evaluation.metrics.table import TABLE


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), seed=st.integers(0, 1000), kind=st.sampled_from(KINDS[:2]))
def test_metrics_of_cells_are_those_of_the_rows(n: int, seed: int, kind: str) -> None:
    predictions = of_kind(kind, max(n, 3), seed)
    cells = make_cells([predictions], of_decisions=True)
    assert cells.counts.sum() == len(predictions)
    assert np.array_equal(np.bincount(cells.of_row), cells.counts)
    for metric in TABLE[kind].values():
        if metric.of_decisions:
            of_rows = metric.statistic(predictions)(np.ones((1, len(predictions))))
            np.testing.assert_allclose(metric.statistic(cells.systems[0])(cells.counts[None]), of_rows, atol=1e-12)


def test_cells_keep_systems_apart() -> None:
    """Rows are one cell only if every system decided them alike."""
    first, second = single(200, 3, 0), single(200, 3, 0, skill=0.5)
    cells = make_cells([first, second], of_decisions=True)
    for system, grouped in zip((first, second), cells.systems, strict=True):
        assert np.array_equal(grouped.decisions[cells.of_row], system.decisions)
        assert np.array_equal(grouped.labels[cells.of_row], system.labels)


@pytest.mark.parametrize("n", [30, 500])
def test_every_resample_has_as_many_rows_and_the_expected_counts(n: int) -> None:
    cells = make_cells([single(n, 2, 0)], of_decisions=True)
    blocks = list(weight_blocks(cells, 3000, np.random.default_rng(0)))
    weights = np.concatenate(blocks)
    assert weights.shape == (3000, len(cells.counts))
    assert (weights.sum(axis=1) == n).all()
    np.testing.assert_allclose(weights.mean(axis=0), cells.counts, atol=5 * np.sqrt(cells.counts.max() / 3000))


def test_blocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "BLOCK_ELEMENTS", 1000)
    cells = make_cells([single(100, 3, 0)], of_decisions=False)
    assert max(block.size for block in weight_blocks(cells, 95, np.random.default_rng(0))) <= 1000


def test_replicates_vary_as_theory_predicts() -> None:
    """The standard deviation of a resampled share is sqrt(p (1 - p) / n)."""
    predictions = single(400, 3, 1)
    cells = make_cells([predictions], of_decisions=True)
    statistic = TABLE["single_label_classification"]["accuracy"].statistic(cells.systems[0])
    drawn = replicate(cells, [[statistic]], 4000, 0)[0][:, 0]
    share = (predictions.labels == predictions.decisions).mean()
    assert drawn.std() == pytest.approx((share * (1 - share) / 400) ** 0.5, rel=0.05)
    assert drawn.mean() == pytest.approx(share, abs=0.003)


def test_large_tables_use_fewer_resamples_for_scores_only() -> None:
    assert affordable(300, 10_000, "decisions", 77) == 10_000
    assert affordable(527, 10_000, "ranks", 1) == 10_000
    assert affordable(25_000, 10_000, "ranks", 1) == 800
    assert affordable(3_080, 10_000, "ranks", 77) == resample.MIN_RESAMPLES
    assert affordable(25_000, 100, "ranks", 1) == 100
