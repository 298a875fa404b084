"""Verdicts and alarms of rounds: a policy that did not change is never better, and a gold reward that fell is seen."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.preferences.sampled import SampledAnswer
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.workflows.round_results import Round, compared_verdicts, over_optimised, reward_verdicts

FEW = Resampling(400)


def answers(rewards: np.ndarray, gold: np.ndarray | None = None) -> list[SampledAnswer]:
    golds = [None] * len(rewards) if gold is None else gold.tolist()
    return [SampledAnswer("a b", 2, True, reward, value) for reward, value in zip(rewards.tolist(), golds, strict=True)]


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_policies_that_are_no_better_seldom_get_a_verdict(share: float) -> None:
    """Four rounds of answers of the same quality, of which a share was sampled anew; many rewards are equal.

    The words of one family hold together, so at most 5 of 100 sequences of rounds have any but "cannot tell".
    """
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(120):
        first = rng.integers(0, 3, 40).astype(float)
        rounds = [first]
        for _ in range(4):
            fresh = rng.random(40) < share
            rounds.append(np.where(fresh, rng.integers(0, 3, 40), rounds[-1]))
        verdicts = [v for of_round in reward_verdicts([answers(values) for values in rounds], FEW) for v in of_round]
        assert len(verdicts) == 7  # four against the round before, three against the first
        wrong += any(verdict.word != "cannot tell" for verdict in verdicts)
        if share == 0.0:
            assert wrong == 0
    assert wrong <= 12  # 6 expected at most; more than 12 of 120 have a probability of 1 in 100


def test_each_round_is_compared_with_the_one_before_and_the_first() -> None:
    values = np.random.default_rng(0).random(30)
    policies = [answers(values, -values), answers(values + 1, 1 - values), answers(values + 2, -1 - values)]
    first, second = reward_verdicts(policies, FEW)
    assert [(v.metric, v.against, v.word) for v in first] == [
        ("reward", "round 0", "better"), ("gold_reward", "round 0", "better"),
    ]  # fmt: skip
    assert [(v.metric, v.against, v.word) for v in second] == [
        ("reward", "round 1", "better"), ("gold_reward", "round 1", "worse"),
        ("reward", "round 0", "better"), ("gold_reward", "round 0", "worse"),
    ]  # fmt: skip
    assert {v.n_comparisons for v in (*first, *second)} == {6}
    alarms = over_optimised([Round(1, "a", verdicts=first), Round(2, "b", verdicts=second)])
    assert [alarm.name for alarm in alarms] == ["over-optimised"] * 2
    assert "In round 2 the gold reward is worse than in round 1, by 2" in alarms[0].message


def test_gold_that_falls_with_the_reward_is_no_exploitation() -> None:
    values = np.random.default_rng(0).random(30)
    (verdicts,) = reward_verdicts([answers(values, values), answers(values - 1, values - 1)], FEW)
    assert [v.word for v in verdicts] == ["worse", "worse"]
    assert over_optimised([Round(1, "a", verdicts=verdicts)]) == []


def test_a_person_decides_against_the_round_before() -> None:
    shares = {1: np.array([1.0] * 18 + [0.5] * 4 + [0.0] * 2), 2: np.full(24, 0.5)}
    first, second = compared_verdicts(shares, FEW, 4)[:2]
    assert [(v.metric, v.against, v.word) for v in first] == [("preferred", "round 0", "better")]
    assert first[0].difference == pytest.approx(16 / 24)
    assert [v.word for v in second] == ["cannot tell"]
    assert compared_verdicts(shares, FEW, 4)[2] == ()
