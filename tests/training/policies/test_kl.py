"""Estimators of the divergence against sums over the vocabulary and against samples, and the controllers."""

from __future__ import annotations

import math

import pytest
import torch

from tunesmith.training.policies.kl import KlController, exact_kl, k1, k3


@pytest.fixture
def distributions() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.log_softmax(torch.randn(4, 9), dim=-1), torch.log_softmax(torch.randn(4, 9), dim=-1)


def test_the_exact_divergence_is_that_of_a_loop(distributions) -> None:
    p, q = distributions
    expected = [
        sum(math.exp(a) * (a - b) for a, b in zip(*rows, strict=True)) for rows in zip(p.tolist(), q.tolist(), strict=True)
    ]
    assert exact_kl(p, q).tolist() == pytest.approx(expected, abs=1e-6)
    assert exact_kl(p, p).tolist() == [0.0] * 4


@pytest.mark.parametrize("estimate", [k1, k3])
def test_the_expectation_of_an_estimator_is_the_exact_divergence(distributions, estimate) -> None:
    p, q = (each.double() for each in distributions)
    assert (p.exp() * estimate(p, q)).sum(dim=-1).tolist() == pytest.approx(exact_kl(p, q).tolist(), abs=1e-6)


def test_k3_is_never_negative_and_k1_is_for_some_tokens(distributions) -> None:
    assert (k3(*distributions) >= 0).all()
    assert (k1(*distributions) < 0).any()


def test_a_fixed_coefficient_stays() -> None:
    assert KlController(0.05).updated(1e9, 1000).coefficient == 0.05


def test_an_adaptive_coefficient_follows_ziegler() -> None:
    controller = KlController(0.1, target=6.0, horizon=10_000)
    assert controller.updated(6.6, 256).coefficient == pytest.approx(0.1 * (1 + 0.1 * 256 / 10_000))
    assert controller.updated(60.0, 256).coefficient == pytest.approx(0.1 * (1 + 0.2 * 256 / 10_000))
    assert controller.updated(0.0, 256).coefficient == pytest.approx(0.1 * (1 - 0.2 * 256 / 10_000))


def test_an_adaptive_coefficient_brings_the_divergence_to_its_target() -> None:
    controller = KlController(0.01, target=6.0, horizon=1_000)
    for _ in range(400):
        controller = controller.updated(1.0 / controller.coefficient, 64)  # a policy whose divergence falls with the penalty
    assert 1.0 / controller.coefficient == pytest.approx(6.0, rel=0.01)
