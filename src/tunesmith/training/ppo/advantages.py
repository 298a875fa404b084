"""Computes advantages and returns of sampled answers by generalised advantage estimation, and whitens masked values."""

from __future__ import annotations

import torch

SMALLEST_VARIANCE = 1e-8


def generalised_advantages(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, *, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Computes advantages and value targets of each token: two tensors (B, T), 0 where the mask is.

    delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t + gamma lam A_{t+1}, target_t = A_t + V_t; behind the last token of an
    answer the value is 0 (Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation",
    equations 11 and 16).

    Args:
        rewards, values: (B, T) of each token of an answer; the value of a token is that of the text before it.
        mask: (B, T) True at the tokens of answers, which begin at the first column.
    """
    kept = mask.to(values.dtype)
    rewards, values = rewards * kept, values * kept
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        next_value = values[:, t + 1] if t + 1 < values.shape[1] else torch.zeros_like(following)
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        following = (delta + gamma * lam * following) * kept[:, t]
        advantages[:, t] = following
    return advantages, (advantages + values) * kept


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Averages the values where the mask is True."""
    kept = mask.to(values.dtype)
    return (values * kept).sum() / kept.sum()


def whiten(values: torch.Tensor, mask: torch.Tensor, *, shift_mean: bool = True) -> torch.Tensor:
    """Scales masked values to variance 1 and, unless ``shift_mean`` is False, mean 0; 0 where the mask is False.

    The variance is the unbiased one over all values of the mask together, as in TRL's ``masked_whiten``.
    """
    mean, count = masked_mean(values, mask), mask.sum()
    centred = (values - mean) * mask.to(values.dtype)
    variance = (centred**2).sum() / (count - 1).clamp_min(1)
    scaled = centred * torch.rsqrt(variance + SMALLEST_VARIANCE)
    return scaled if shift_mean else scaled + mean * mask.to(values.dtype)


def explained_variance(values: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor) -> float:
    """Computes 1 - Var(targets - values) / Var(targets): 1 for a perfect value, 0 for a constant; NaN for constant targets."""
    true, guessed = targets[mask].double(), values[mask].double()
    variance = float(true.var(correction=0))
    if variance <= SMALLEST_VARIANCE * max(1.0, float(true.abs().max()) ** 2):
        return float("nan")
    return 1.0 - float((true - guessed).var(correction=0)) / variance
