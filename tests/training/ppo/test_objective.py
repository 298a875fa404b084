"""The clipped losses against loops over single tokens, and their gradients where they are clipped."""

from __future__ import annotations

import math

import pytest
import torch

from tunesmith.training.ppo.objective import (
    Coefficients,
    NewTokens,
    OldTokens,
    clipped_policy_loss,
    clipped_value_loss,
    entropy,
    ppo_loss,
)

N = 40
COEFFICIENTS = Coefficients(cliprange=0.2, cliprange_value=0.3, vf_coef=0.4, entropy_coef=0.05)


@pytest.fixture
def tokens() -> tuple[NewTokens, OldTokens]:
    torch.manual_seed(1)
    old = OldTokens(*(torch.randn(N) for _ in range(4)))
    new = NewTokens(old.logprobs + 0.4 * torch.randn(N), old.values + 0.5 * torch.randn(N), torch.rand(N))
    return new, old


def loss_by_loop(new: NewTokens, old: OldTokens, c: Coefficients) -> tuple[float, float]:
    """-J of Schulman et al. (2017), token by token, and the share of clipped tokens."""
    total, clipped = 0.0, 0
    for i in range(N):
        ratio = math.exp(float(new.logprobs[i]) - float(old.logprobs[i]))
        a = float(old.advantages[i])
        inside = min(max(ratio, 1 - c.cliprange), 1 + c.cliprange)
        surrogate = min(ratio * a, inside * a)
        clipped += surrogate < ratio * a
        v, was, target = float(new.values[i]), float(old.values[i]), float(old.targets[i])
        near = min(max(v, was - c.cliprange_value), was + c.cliprange_value)
        squared = max((v - target) ** 2, (near - target) ** 2)
        total -= surrogate - c.vf_coef / 2 * squared + c.entropy_coef * float(new.entropies[i])
    return total / N, clipped / N


def test_the_loss_is_that_of_a_loop(tokens) -> None:
    expected, clipped = loss_by_loop(*tokens, COEFFICIENTS)
    loss = ppo_loss(*tokens, COEFFICIENTS, N)
    assert float(loss.total) == pytest.approx(expected, abs=1e-6)
    assert loss.clipped == pytest.approx(clipped)
    assert 0 < clipped < 1


def test_losses_of_parts_add_up_to_that_of_the_whole(tokens) -> None:
    new, old = tokens
    total = 0.0
    for part in (slice(0, 7), slice(7, 30), slice(30, N)):
        parts = [type(one)(*(getattr(one, name)[part] for name in one.__dataclass_fields__)) for one in (new, old)]
        total += float(ppo_loss(*parts, COEFFICIENTS, N).total)
    assert total == pytest.approx(float(ppo_loss(new, old, COEFFICIENTS, N).total), abs=1e-6)


def test_the_old_policy_has_no_clipped_token_and_its_loss_is_minus_the_mean_advantage(tokens) -> None:
    _, old = tokens
    loss = ppo_loss(NewTokens(old.logprobs, old.values, torch.zeros(N)), old, Coefficients(), N)
    assert (loss.clipped, loss.ratio_error) == (0.0, 0.0)
    assert loss.policy == pytest.approx(-float(old.advantages.mean()), abs=1e-6)


def test_a_ratio_that_went_far_enough_has_no_gradient() -> None:
    ratios = torch.tensor([1.5, 1.5, 0.5, 0.5], requires_grad=True)
    clipped_policy_loss(ratios, torch.tensor([1.0, -1.0, 1.0, -1.0]), 0.2).sum().backward()
    assert ratios.grad.tolist() == [0.0, 1.0, -1.0, 0.0]


def test_a_value_is_not_rewarded_for_leaving_the_clip_range() -> None:
    values = torch.tensor([1.0, 5.0], requires_grad=True)
    loss = clipped_value_loss(values, torch.zeros(2), torch.tensor([2.0, 2.0]), 0.3)
    assert loss.tolist() == pytest.approx([0.5 * 1.7**2, 0.5 * 3.0**2])


def test_entropy_is_that_of_a_loop() -> None:
    logs = torch.log_softmax(torch.randn(3, 6), dim=-1)
    expected = [-sum(math.exp(p) * p for p in row) for row in logs.tolist()]
    assert entropy(logs).tolist() == pytest.approx(expected, abs=1e-6)
