"""Advantages, whitening and explained variance against loops over single tokens."""

from __future__ import annotations

import math

import pytest
import torch

from tunesmith.training.ppo.advantages import explained_variance, generalised_advantages, whiten

LENGTHS = (5, 1, 3, 7)


@pytest.fixture
def answers() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.arange(7)[None] < torch.tensor(LENGTHS)[:, None]
    return torch.randn(4, 7), torch.randn(4, 7), mask


def advantages_by_sums(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """A_t as the sum of (gamma lam)^k delta_{t+k}, written out."""
    n = len(rewards)
    deltas = [rewards[t] + gamma * (values[t + 1] if t + 1 < n else 0.0) - values[t] for t in range(n)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, n)) for t in range(n)]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8), (1.0, 1.0), (0.99, 0.0)])
def test_advantages_are_the_sums_of_discounted_errors(answers, gamma: float, lam: float) -> None:
    rewards, values, mask = answers
    advantages, targets = generalised_advantages(rewards, values, mask, gamma=gamma, lam=lam)
    for row, n in enumerate(LENGTHS):
        expected = advantages_by_sums(rewards[row, :n].tolist(), values[row, :n].tolist(), gamma, lam)
        assert advantages[row, :n].tolist() == pytest.approx(expected, abs=1e-6)
        assert targets[row, :n].tolist() == pytest.approx(
            [a + v for a, v in zip(expected, values[row, :n].tolist(), strict=True)], abs=1e-6
        )
    assert (advantages[~mask] == 0).all()
    assert (targets[~mask] == 0).all()


def test_with_lambda_and_gamma_one_a_target_is_the_sum_of_the_rewards_to_come(answers) -> None:
    rewards, values, mask = answers
    _, targets = generalised_advantages(rewards, values, mask, gamma=1.0, lam=1.0)
    for row, n in enumerate(LENGTHS):
        assert targets[row, :n].tolist() == pytest.approx([float(rewards[row, t:n].sum()) for t in range(n)], abs=1e-5)


def test_padding_changes_nothing(answers) -> None:
    rewards, values, mask = answers
    changed = torch.where(mask, rewards, 99.0), torch.where(mask, values, -99.0)
    for one, other in zip(
        generalised_advantages(rewards, values, mask, gamma=0.9, lam=0.9),
        generalised_advantages(*changed, mask, gamma=0.9, lam=0.9),
        strict=True,
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shift_mean", [True, False])
def test_whitened_values_are_those_of_a_loop(answers, shift_mean: bool) -> None:
    values, _, mask = answers
    flat = [float(values[i, t]) for i in range(4) for t in range(LENGTHS[i])]
    mean = sum(flat) / len(flat)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in flat) / (len(flat) - 1) + 1e-8)
    expected = [(value - mean) / deviation + (0.0 if shift_mean else mean) for value in flat]
    whitened = whiten(values, mask, shift_mean=shift_mean)
    assert whitened[mask].tolist() == pytest.approx(expected, abs=1e-6)
    assert (whitened[~mask] == 0).all()


def test_explained_variance_is_one_for_the_targets_and_zero_for_a_constant(answers) -> None:
    targets, _, mask = answers
    assert explained_variance(targets, targets, mask) == pytest.approx(1.0)
    assert explained_variance(torch.full_like(targets, 3.0), targets, mask) == pytest.approx(0.0)
    assert math.isnan(explained_variance(targets, torch.ones_like(targets), mask))
