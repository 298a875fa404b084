"""Estimates the reward of the best of n answers from N >= n answers to each prompt, and its divergence from the sampled model."""

from __future__ import annotations

from math import comb, log

import numpy as np

from tunesmith.data.arrays import Array


def best_of_n_rewards(rewards: Array, n: int, scores: Array | None = None) -> Array:
    """Estimates, for each prompt, the expected score of the answer with the highest reward among n: (P), unbiased.

    The mean over all subsets of n of the N answers: the i-th smallest reward is the highest of comb(i - 1, n - 1) of the
    comb(N, n) subsets (Nakano et al. 2021, "WebGPT", appendix I). Answers with equal rewards share their weights.

    Args:
        rewards: (P, N) by which the best is chosen.
        scores: (P, N) what is averaged, such as a gold reward; None: the rewards.
    """
    n_answers = rewards.shape[1]
    if not 1 <= n <= n_answers:
        raise ValueError(f"the best of {n} cannot be estimated from {n_answers} answers")
    total = comb(n_answers, n)
    weights = np.array([comb(i, n - 1) / total for i in range(n_answers)])
    order = np.argsort(rewards, axis=1, kind="stable")
    ordered = np.take_along_axis(rewards, order, axis=1)
    values = np.take_along_axis(rewards if scores is None else scores, order, axis=1).astype(np.float64)
    if scores is None:
        return np.asarray(values @ weights)
    return np.array([shared_weights(row, weights) @ of_row for row, of_row in zip(ordered, values, strict=True)])


def shared_weights(ordered: Array, weights: Array) -> Array:
    """Averages the weights of equal rewards in rising order (N): which of them is the best is drawn."""
    _, groups = np.unique(ordered, return_inverse=True)
    means = np.bincount(groups, weights) / np.bincount(groups)
    return np.asarray(means[groups])


def best_of_n_kl(n: int) -> float:
    """Returns log n - (n - 1) / n, the divergence in nats of the best of n from one sample.

    It is exact for a model that never gives one answer twice, and a bound from above else (Beirami et al. 2024, "Theoretical
    guarantees on the best-of-n alignment policy", theorem 3.1).
    """
    return log(n) - (n - 1) / n
