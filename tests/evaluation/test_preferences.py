"""Metrics of pairs: a tie is half, the loss is that of Bradley and Terry, and shares stay shares with few clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.outputs import SplitMetrics, metrics_of_outputs
from tunesmith.evaluation.preferences import REWARD_DIFFERENCE, accuracy_by_gap, bradley_terry_losses, pair_outputs


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=30))
def test_differences_of_rewards_stay_in_the_outputs_also_where_probabilities_are_certain(values: list[float]) -> None:
    outputs = pair_outputs(np.array(values))
    assert outputs.row_values[REWARD_DIFFERENCE].tolist() == values
    wins, ties = sum(value > 0 for value in values), sum(value == 0 for value in values)
    assert outputs.row_scores["accuracy"].sum() == wins + ties / 2


def test_a_margin_moves_the_loss() -> None:
    assert bradley_terry_losses(np.array([1.0]), np.array([1.0]))[0] == pytest.approx(np.log(2))
    assert bradley_terry_losses(np.array([1000.0, -1000.0])).tolist() == [0.0, 1000.0]


def test_the_accuracy_by_the_gap_of_scores_covers_all_pairs() -> None:
    gaps = np.array([1.0, 1, 1, 1, 2, 2, 3, 3, 4, 4])
    groups = accuracy_by_gap(np.array([1.0, 0, 0, 1, 1, 0, 1, 1, 1, 1]), gaps)
    assert sum(group["rows"] for group in groups) == 10
    assert groups[0] == {"lowest": 1.0, "highest": 1.0, "rows": 4, "accuracy": 0.5}
    assert groups[-1]["accuracy"] == 1.0


def test_the_interval_of_a_calibration_error_ends_at_one() -> None:
    outputs = pair_outputs(np.array([3.0, 3.0, -3.0, -3.0]))
    split = SplitMetrics("test", ("calibration_error",), clusters={"predictions": np.array([0, 0, 1, 1])})
    (error,) = [metric for metric in metrics_of_outputs([outputs], split, Resampling(200)) if metric.name == "calibration_error"]
    assert error.high == 1.0
