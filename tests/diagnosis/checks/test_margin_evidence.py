"""What AUM adds: it moves probabilities the right way, leaves unfollowed rows alone, and never speaks against a large margin."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.diagnosis.checks.margin_evidence import updated


def planted(n: int = 2_000, share: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which labels are wrong, a calibrated probability of it from other models, and margins that tell more."""
    draw = np.random.default_rng(0)
    wrong = draw.random(n) < share
    signal = np.where(wrong, 1.0, 0.0) + draw.normal(0, 0.8, n)
    ratio = np.exp((signal - 0.5) / 0.64)
    before = share * ratio / (share * ratio + 1 - share)
    return wrong, before, np.where(wrong, 1.0, 4.0) + draw.normal(0, 1.5, n)


def test_ranking_and_calibration_improve() -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    wrong, before, margins = planted()
    after = updated(before, margins)
    assert roc_auc_score(wrong, after) > roc_auc_score(wrong, before) + 0.03
    assert log_loss(wrong, after) < log_loss(wrong, before)
    assert after.sum() == pytest.approx(wrong.sum(), rel=0.2)


def test_a_row_that_was_not_followed_keeps_its_probability() -> None:
    _, before, margins = planted()
    margins[::2] = np.nan
    after = updated(before, margins)
    assert np.array_equal(after[::2], before[::2])
    assert not np.allclose(after[1::2], before[1::2])
    assert np.array_equal(updated(before, np.full(len(before), np.nan)), before)


def test_a_larger_margin_never_makes_a_label_more_suspect() -> None:
    _, before, margins = planted()
    order = np.argsort(margins)
    after = updated(np.full(len(margins), 0.1), margins)
    assert np.array_equal(after, np.full(len(margins), 0.1))  # margins cannot be split by a probability that does not vary
    even = updated(before, margins)
    change = (np.log(even / (1 - even)) - np.log(before / (1 - before)))[order]
    assert (np.diff(change) <= 1e-6).all()


def test_a_run_in_which_wrong_labels_lead_changes_nothing() -> None:
    _, before, margins = planted()
    assert np.array_equal(updated(before, -margins), before)
