"""Best evaluation, patience and metrics.jsonl are pure functions of the log history."""

from __future__ import annotations

import math

from tunesmith.training.history import as_events, best_so_far, newest_values, selected


def history(*values: float) -> list[dict[str, float]]:
    return [{"step": 10 * i, "eval_loss": 1.0, "eval_mcc": value} for i, value in enumerate(values, 1)]


def test_first_of_equals_is_best_and_patience_counts_on() -> None:
    best = best_so_far(history(0.1, 0.3, 0.3, 0.2), "mcc", higher_is_better=True)
    assert best is not None
    assert (best.step, best.value, best.since) == (20, 0.3, 2)


def test_direction_and_delta() -> None:
    best = best_so_far(history(0.5, 0.45, 0.3), "mcc", higher_is_better=False, delta=0.1)
    assert best is not None
    assert (best.step, best.since) == (30, 0)
    best = best_so_far(history(0.5, 0.45, 0.41), "mcc", higher_is_better=False, delta=0.1)
    assert best is not None
    assert (best.step, best.since) == (10, 2)


def test_undefined_values_are_never_best() -> None:
    assert best_so_far(history(math.nan, math.nan), "mcc", higher_is_better=True) is None
    best = best_so_far(history(0.2, math.nan), "mcc", higher_is_better=True)
    assert best is not None
    assert (best.step, best.since) == (10, 1)


def test_of_equal_values_the_lowest_loss_is_selected_then_the_first() -> None:
    entries = history(0.2, 1.0, 1.0, 1.0, 1.0, 0.9)
    for entry, loss in zip(entries, (0.4, 0.3, 0.1, math.nan, 0.1, 0.01), strict=True):
        entry["eval_loss"] = loss
    found = selected(entries, "mcc", higher_is_better=True)
    assert found is not None
    assert (found.step, found.value, found.n_ties) == (30, 1.0, 4)
    assert selected(history(math.nan), "mcc", higher_is_better=True) is None


def test_events_hold_no_nan() -> None:
    entries = [
        {"step": 1, "epoch": 0.5, "seconds": 1.0, "loss": math.nan, "learning_rate": 0.1},
        *history(math.nan),
        {"train_runtime": 3, "step": 1},
    ]
    first, second = as_events(entries)
    assert first == {"event": "train", "step": 1, "epoch": 0.5, "seconds": 1.0, "loss": None, "learning_rate": 0.1}
    assert second["metrics"] == {"mcc": None}
    assert second["loss"] == 1.0


def test_newest_values_are_the_last_finite_ones_of_each_kind() -> None:
    log = [{"step": 1, "loss": 2.0}, {"step": 2, "eval_loss": 3.0, "eval_mcc": 0.5}, {"step": 3, "loss": 1.0}]
    assert newest_values(log, "mcc") == {"loss": 1.0, "validation_mcc": 0.5}
    assert newest_values(log[:1], "mcc") == {"loss": 2.0}
    assert newest_values([*log, {"step": 4, "loss": math.nan}], "loss") == {"validation_loss": 3.0}
    assert newest_values([], "mcc") == {}
