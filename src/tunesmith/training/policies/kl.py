"""Computes the divergence of a policy from its reference, and controls the coefficient of its penalty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

KlEstimator = Literal["k1", "k3", "exact"]
MOST_ERROR = 0.2
"""Largest relative error of the divergence that one update of the coefficient reacts to (Ziegler et al. 2019)."""


def k1(logprobs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Estimates KL(policy, reference) from sampled tokens, log p - log q: unbiased, and negative for some of them.

    Source: Schulman 2020, "Approximating KL divergence" (joschu.net/blog/kl-approx.html), which numbers the estimators.
    """
    return logprobs - reference


def k3(logprobs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Estimates KL(policy, reference) from sampled tokens, q/p - 1 - log(q/p): unbiased and never negative."""
    difference = reference - logprobs
    return torch.expm1(difference) - difference


def exact_kl(log_policy: torch.Tensor, log_reference: torch.Tensor) -> torch.Tensor:
    """Sums p (log p - log q) over the vocabulary, the last dimension: the divergence of the next token, in nats."""
    return (log_policy.exp() * (log_policy - log_reference)).sum(dim=-1)


@dataclass(frozen=True)
class KlController:
    """The coefficient of the KL penalty: fixed, or proportional control towards a target.

    Source of the adaptive one: Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences", section 2.2.

    Attributes:
        target: nats per answer; None keeps the coefficient.
        horizon: answers over which an error of the divergence acts.
    """

    coefficient: float
    target: float | None = None
    horizon: int = 10_000

    def updated(self, divergence: float, n_answers: int) -> KlController:
        """Returns the controller after answers with that mean divergence in nats."""
        if self.target is None:
            return self
        error = min(max(divergence / self.target - 1.0, -MOST_ERROR), MOST_ERROR)
        return replace(self, coefficient=self.coefficient * (1.0 + error * n_answers / self.horizon))
