"""Computes the objective of proximal policy optimisation: J = L_clip - c1 (V - V_target)^2 + c2 H.

Source: Schulman et al. 2017, "Proximal Policy Optimization Algorithms", equations 7 and 9; the clipped value loss and its factor
1/2 are those of OpenAI's baselines and of TRL's PPOTrainer, so c1 is ``vf_coef`` / 2 and c2 is ``entropy_coef``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of the objective, by TRL's names."""

    cliprange: float = 0.2
    cliprange_value: float = 0.2
    vf_coef: float = 0.1
    entropy_coef: float = 0.0


@dataclass(frozen=True)
class OldTokens:
    """The sampled tokens (n) of a minibatch under the policy that sampled them.

    Attributes:
        logprobs, values, advantages, targets: (n) of each token.
    """

    logprobs: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class NewTokens:
    """The same tokens (n) under the policy and value that are trained, with their graph.

    Attributes:
        entropies: of the distribution that the token is drawn from, in nats.
    """

    logprobs: torch.Tensor
    values: torch.Tensor
    entropies: torch.Tensor


@dataclass(frozen=True)
class PpoLoss:
    """The loss of a minibatch with its parts, each summed over tokens and divided by those of the whole minibatch.

    Attributes:
        total: -J, with its graph.
        clipped: share of the tokens whose ratio the policy loss clips.
        ratio_error: largest |ratio - 1| of a token.
    """

    total: torch.Tensor
    policy: float
    value: float
    entropy: float
    clipped: float
    ratio_error: float


def clipped_policy_loss(ratios: torch.Tensor, advantages: torch.Tensor, cliprange: float) -> torch.Tensor:
    """Computes -min(r A, clip(r, 1 - c, 1 + c) A) of each token: (n)."""
    return torch.maximum(-advantages * ratios, -advantages * ratios.clamp(1.0 - cliprange, 1.0 + cliprange))


def clipped_value_loss(values: torch.Tensor, old: torch.Tensor, targets: torch.Tensor, cliprange: float) -> torch.Tensor:
    """Computes max((V - target)^2, (V_clipped - target)^2) / 2 of each token (n), V_clipped within ``cliprange`` of the old."""
    clipped = torch.minimum(torch.maximum(values, old - cliprange), old + cliprange)
    return 0.5 * torch.maximum((values - targets) ** 2, (clipped - targets) ** 2)


def entropy(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Computes the entropy of each distribution over the last dimension, in nats."""
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)


def ppo_loss(new: NewTokens, old: OldTokens, coefficients: Coefficients, n_tokens: int) -> PpoLoss:
    """Computes the loss of some tokens of a minibatch of ``n_tokens``: losses of all its parts add up to that of the whole."""
    ratios = torch.exp(new.logprobs - old.logprobs)
    losses = clipped_policy_loss(ratios, old.advantages, coefficients.cliprange)
    policy = losses.sum() / n_tokens
    value = clipped_value_loss(new.values, old.values, old.targets, coefficients.cliprange_value).sum() / n_tokens
    entropies = new.entropies.sum() / n_tokens
    total = policy + coefficients.vf_coef * value - coefficients.entropy_coef * entropies
    is_clipped = losses > -old.advantages * ratios
    return PpoLoss(
        total=total,
        policy=float(policy.detach()),
        value=float(value.detach()),
        entropy=float(entropies.detach()),
        clipped=float(is_clipped.sum()) / n_tokens,
        ratio_error=float((ratios.detach() - 1.0).abs().max()),
    )
