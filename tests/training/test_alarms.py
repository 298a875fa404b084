"""Each alarm goes off on the run it is meant for, and only there."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tunesmith.results import Verdict
from tunesmith.training.alarms import AlarmInputs, alarms


def healthy() -> AlarmInputs:
    losses = [{"step": i, "loss": 1.0 / i, "learning_rate": 1e-4, "grad_norm": 1.0} for i in range(1, 21)]
    seen = [{"step": i, "eval_loss": 0.5, "eval_mcc": 0.5} for i in (5, 10, 15, 20)]
    return AlarmInputs(
        selection_metric="mcc",
        selects_higher=True,
        metric="mcc", higher_is_better=True, class_names=("no", "yes"), decisions={"test": np.array([0, 1] * 10)},
        history=[*losses, *seen], expected_first_loss=0.7, requested_learning_rate=1e-4, highest_learning_rate=1e-4, ours=0.5,
        majority=0.0, truncated_share={"train": 0.1}, max_length=64,
    )  # fmt: skip


SICK = {
    "first loss abnormal": {"expected_first_loss": 0.3},
    "one class": {"decisions": {"test": np.ones(20, dtype=int)}},
    "not above majority": {"ours": 0.0},
    "at the ceiling": {"ours": 1.0, "baselines": {"majority": 0.0, "tfidf": 1.0}, "split": "test"},
    "still improving at the end": {
        "history": [
            *({"step": i, "loss": 1.0 / i, "learning_rate": 1e-4} for i in range(1, 21)),
            *({"step": i, "eval_loss": 0.5, "eval_mcc": value} for i, value in ((5, 0.1), (10, 0.3), (15, 0.4), (20, 0.45))),
        ]
    },
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


@pytest.mark.parametrize(
    ("measured", "far"), [((-1.0, -4.0, -4.0), False), ((-1.0, -4.0, -3.9), False), ((-1.0, -4.0, 2.0), True)]
)
def test_a_validation_loss_below_zero_is_far_only_if_it_rose(measured: tuple[float, ...], far: bool) -> None:
    history = [{"step": i, "loss": -1.0 * i, "learning_rate": 1e-4} for i in range(1, 21)]
    history += [{"step": 5 * i, "eval_loss": loss, "eval_mcc": 0.5} for i, loss in enumerate(measured, start=1)]
    names = [alarm.name for alarm in alarms(replace(healthy(), history=history))]
    assert ("validation far from training" in names) == far


def test_a_healthy_run_raises_none() -> None:
    assert alarms(healthy()) == ()


@pytest.mark.parametrize("name", SICK)
def test_the_alarm_meant_goes_off_alone_and_has_a_remedy(name: str) -> None:
    gone_off = alarms(replace(healthy(), **SICK[name]))
    assert [alarm.name for alarm in gone_off] == [name]
    assert gone_off[0].remedy
    assert not re.search(r"mcc|loss\D*[0-9]\.[0-9]{4}|\(.*[0-9]\.[0-9]{4}", gone_off[0].message), (
        "titles of metrics, and three decimals"
    )


def test_a_loss_that_no_evaluation_has_is_not_one_that_broke() -> None:
    unmeasured = [{**entry, "eval_loss": float("nan")} if "eval_loss" in entry else entry for entry in healthy().history]
    assert alarms(replace(healthy(), history=unmeasured)) == ()
    broken = [{**entry, "eval_loss": float("nan")} if entry["step"] == 20 else entry for entry in healthy().history]
    assert [alarm.name for alarm in alarms(replace(healthy(), history=broken))] == ["not finite"]


def test_no_label_at_all_is_an_alarm_for_several_labels() -> None:
    gone_off = alarms(replace(healthy(), decisions={"test": np.zeros((20, 3), dtype=int)}))
    assert [alarm.name for alarm in gone_off] == ["one class"]
    assert "Not one label" in gone_off[0].message


@pytest.mark.parametrize(("n_ones", "n_right", "raised"), [(19, 10, True), (20, 19, True), (18, 10, False), (19, 19, False)])
def test_nearly_one_class_is_an_alarm_unless_the_labels_are(n_ones: int, n_right: int, raised: bool) -> None:
    decisions, truth = (np.array([1] * n + [0] * (20 - n)) for n in (n_ones, n_right))
    found = alarms(replace(healthy(), decisions={"test": decisions}, truth={"test": truth}))
    assert ("one class" in [alarm.name for alarm in found]) == raised
    if raised:
        others = "1 row has" if n_right == 19 else "10 rows have"
        assert f"{n_ones} of 20 predictions on test are the class 'yes'; {others} another label" in found[0].message


def test_a_result_whose_interval_holds_the_majoritys_is_not_above_it() -> None:
    verdict = Verdict("mcc", "test", "majority", 0.1, -0.1, 0.3, "cannot tell")
    (alarm,) = alarms(replace(healthy(), majority_verdict=verdict))
    assert alarm.name == "not above majority"
    assert "MCC is 0.500; the baseline majority has 0.000; the interval of the difference is [-0.100, 0.300]" in alarm.message
    assert alarms(replace(healthy(), majority_verdict=replace(verdict, word="better"))) == ()


@pytest.mark.parametrize(
    ("values", "raised"),
    [
        ((3.0, 2.5, 2.3), True), ((3.0, 2.5, 2.6), False), ((2.5, 3.0, 2.4), False), ((3.0, 2.0, 1.99, 1.985), False),
        ((3.0, 2.5), False), ((3.0, float("nan"), 2.5, 2.3), True),
    ],
)  # fmt: skip
def test_a_metric_that_ends_on_a_plateau_or_a_fall_is_not_still_improving(values: tuple[float, ...], raised: bool) -> None:
    history = [{"step": i, "eval_loss": value} for i, value in enumerate(values, 1)]
    found = alarms(replace(healthy(), selection_metric="loss", selects_higher=False, history=history))
    assert ("still improving at the end" in [alarm.name for alarm in found]) == raised


def test_a_loss_that_fell_by_rounding_alone_has_not_fallen() -> None:
    for end, raised in ((0.6929999, True), (0.69, False)):
        history = [{"step": i, "loss": end if i > 18 else 0.693, "learning_rate": 1e-4} for i in range(1, 21)]
        assert ("loss not lower" in [alarm.name for alarm in alarms(replace(healthy(), history=history))]) == raised
