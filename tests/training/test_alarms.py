"""Each alarm goes off on the run it is meant for, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tunesmith.training.alarms import AlarmInputs, alarms


def healthy() -> AlarmInputs:
    losses = [{"step": i, "loss": 1.0 / i, "learning_rate": 1e-4, "grad_norm": 1.0} for i in range(1, 21)]
    seen = [{"step": i, "eval_loss": 0.5, "eval_mcc": 0.5} for i in (5, 10, 15, 20)]
    return AlarmInputs(
        metric="mcc", higher_is_better=True, class_names=("no", "yes"), decisions={"test": np.array([0, 1] * 10)},
        history=[*losses, *seen], expected_first_loss=0.7, requested_learning_rate=1e-4, highest_learning_rate=1e-4, ours=0.5,
        majority=0.0, truncated_share={"train": 0.1}, max_length=64,
    )  # fmt: skip


SICK = {
    "first loss abnormal": {"expected_first_loss": 0.3},
    "one class": {"decisions": {"test": np.ones(20, dtype=int)}},
    "not above majority": {"ours": 0.0},
    "loss not lower": {"history": [{"step": i, "loss": 0.69, "learning_rate": 1e-4} for i in range(1, 21)]},
    "validation far from training": {
        "history": [
            *({"step": i, "loss": 1.0 / i**2, "learning_rate": 1e-4} for i in range(1, 21)),
            *({"step": i, "eval_loss": loss} for i, loss in ((5, 0.4), (10, 0.6), (15, 0.8), (20, 1.2))),
        ]
    },
    "learning rate not reached": {"requested_learning_rate": 1e-3},
    "not finite": {"history": [*healthy().history, {"step": 21, "loss": 0.01, "grad_norm": float("nan")}]},
    "most rows truncated": {"truncated_share": {"train": 0.7}},
}


def test_a_healthy_run_raises_none() -> None:
    assert alarms(healthy()) == ()


@pytest.mark.parametrize("name", SICK)
def test_the_alarm_meant_goes_off_alone_and_has_a_remedy(name: str) -> None:
    gone_off = alarms(replace(healthy(), **SICK[name]))
    assert [alarm.name for alarm in gone_off] == [name]
    assert gone_off[0].remedy


def test_a_loss_that_no_evaluation_has_is_not_one_that_broke() -> None:
    unmeasured = [{**entry, "eval_loss": float("nan")} if "eval_loss" in entry else entry for entry in healthy().history]
    assert alarms(replace(healthy(), history=unmeasured)) == ()
    broken = [{**entry, "eval_loss": float("nan")} if entry["step"] == 20 else entry for entry in healthy().history]
    assert [alarm.name for alarm in alarms(replace(healthy(), history=broken))] == ["not finite"]


def test_no_label_at_all_is_an_alarm_for_several_labels() -> None:
    gone_off = alarms(replace(healthy(), decisions={"test": np.zeros((20, 3), dtype=int)}))
    assert [alarm.name for alarm in gone_off] == ["one class"]
    assert "Not one label" in gone_off[0].message
