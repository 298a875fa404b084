"""Rewards of policies at equal KL: interpolation, notes of comparisons, and the page of several runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tunesmith.report.comparison import opening
from tunesmith.report.equal_kl import RewardCurve, equal_kl, equal_kl_notes, reward_curves
from tunesmith.report.saved_run import SavedRun
from tunesmith.results import RunResult

NEAR = [{"step": 0, "kl": 0.0, "reward": 0.1}, {"step": 10, "kl": 2.0, "reward": 0.3}, {"step": 20, "kl": 4.0, "reward": 0.5}]
FAR = [{"step": 0, "kl": 0.0, "reward": 0.1}, {"step": 20, "kl": 10.0, "reward": 0.6}, {"step": 10, "kl": 5.0, "reward": 0.2}]
BEST = [{"n": n, "kl": kl, "reward": 0.1 + kl / 2, "low": 0.0, "high": 1.0} for n, kl in ((1, 0.0), (2, 0.19), (4, 0.64))]


def policy(points: list[dict[str, Any]], best: list[dict[str, Any]] | None = None) -> RunResult:
    return RunResult("ppo", training={"rewards_by_kl": points, "best_of_n": best or []})


def test_rewards_are_interpolated_in_the_order_of_kl_and_never_beyond() -> None:
    curve = RewardCurve.of("far", FAR)
    assert curve is not None
    assert [curve.at(kl) for kl in (0.0, 5.0, 7.5)] == pytest.approx([0.1, 0.2, 0.4])
    assert curve.at(10.1) is None
    assert RewardCurve.of("short", FAR[:1]) is None


def test_the_note_compares_at_the_largest_common_kl() -> None:
    (note,) = equal_kl_notes([policy(NEAR), policy(FAR)])
    assert "end at a KL of 4.000 and 10.00 nats on validation. At equal KL, 4.000 nats, their rewards are 0.500 and 0.180" in note
    assert not equal_kl_notes([policy(NEAR)])
    assert not equal_kl_notes([policy(NEAR), RunResult("sft")])


def test_the_page_has_a_row_for_each_kl_and_gaps_beyond_a_line() -> None:
    page = equal_kl([("near", policy(NEAR, BEST)), ("far", policy(FAR))])
    assert page is not None
    text = str(page)
    assert text.count("<tr") == 1 + 3  # two sizes of the best of n beyond one answer, and the largest common KL
    assert "best of n untuned answers" in text
    assert not reward_curves([("near", policy(NEAR)), ("other", replace(policy(NEAR), training={}))])
    assert equal_kl([("one", RunResult("sft")), ("two", policy(NEAR))]) is None


@pytest.mark.parametrize(
    ("tasks", "rewards", "warning"),
    [
        (("ppo", "grpo"), ("r.py:a", "r.py:a"), None),
        (("ppo", "grpo"), ("r.py:a", "r.py:b"), "do not have the same rewards"),
        (("ppo", "sft"), ("r.py:a", "r.py:a"), "do not have the same task"),
    ],
)
def test_policies_of_two_tasks_are_compared_if_their_rewards_are_the_same(
    tasks: tuple[str, str], rewards: tuple[str, str], warning: str | None
) -> None:
    results = [
        replace(policy(NEAR if task != "sft" else []), task=task, recipe={"rewards": {"reward_funcs": [name]}})
        for task, name in zip(tasks, rewards, strict=True)
    ]
    found = str(opening([SavedRun(name, result) for name, result in zip(tasks, results, strict=True)]))
    assert ("cannot be compared" in found) == (warning is not None)
    assert (warning or "") in found
