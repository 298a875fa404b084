"""Prompts and minibatches as pure functions of the seed, the reward of each token, and the scale of rewards."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tunesmith.recipe.reinforcement_sections import PpoSection
from tunesmith.training.policies.answers import ended
from tunesmith.training.ppo.rollouts import Environment, ScoredTokens, ScoreScale, minibatch_rows, token_rewards

SECTION = PpoSection(rollout_batch_size=8, num_mini_batches=2, num_ppo_epochs=3)


def acting(n_prompts: int, seed: int = 0) -> Environment:
    return Environment(
        section=SECTION,
        tokenizer=None,
        prompts=[[i] for i in range(n_prompts)],
        score=lambda rows, answers: np.zeros(len(rows)),
        reference=nullcontext,
        batch_rows=4,
        seed=seed,
    )


@pytest.mark.parametrize("n_prompts", [3, 8, 20])
def test_every_prompt_is_drawn_once_before_any_is_drawn_again(n_prompts: int) -> None:
    drawn = [row for iteration in range(15) for row in acting(n_prompts).drawn_prompts(iteration)]
    passes = [drawn[i : i + n_prompts] for i in range(0, len(drawn) - n_prompts + 1, n_prompts)]
    assert all(sorted(each) == list(range(n_prompts)) for each in passes)
    assert acting(n_prompts).drawn_prompts(7) == acting(n_prompts).drawn_prompts(7)
    assert drawn != [row for iteration in range(15) for row in acting(n_prompts, seed=1).drawn_prompts(iteration)]


def test_the_minibatches_of_a_pass_are_the_rollout_and_the_first_pass_keeps_its_order() -> None:
    passes = [[minibatch_rows(SECTION, 3, 5, 2 * epoch + k) for k in range(2)] for epoch in range(3)]
    assert passes[0] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert all(sorted([*parts[0], *parts[1]]) == list(range(8)) for parts in passes)
    assert passes[1] != passes[2]
    assert passes[1] != [minibatch_rows(SECTION, 3, 6, 2 + k) for k in range(2)]


def scored() -> ScoredTokens:
    torch.manual_seed(0)
    mask = torch.arange(5)[None] < torch.tensor([5, 2, 1])[:, None]
    return ScoredTokens(mask, *(torch.randn(3, 5) * mask for _ in range(3)), divergences=torch.rand(3, 5) * mask)


@pytest.mark.parametrize("estimator", ["k1", "k3", "exact"])
def test_a_token_is_penalised_for_its_divergence_and_the_last_one_has_the_score(estimator) -> None:
    tokens, scores = scored(), np.array([1.0, -2.0, 0.5])
    rewards = token_rewards(tokens, scores, PpoSection(kl_estimator=estimator), 0.3)
    for row, n in enumerate((5, 2, 1)):
        for t in range(5):
            log_ratio = float(tokens.reference[row, t] - tokens.logprobs[row, t])
            penalty = {"k1": -log_ratio, "k3": np.expm1(log_ratio) - log_ratio, "exact": float(tokens.divergences[row, t])}
            expected = -0.3 * penalty[estimator] + (scores[row] if t == n - 1 else 0.0) if t < n else 0.0
            assert float(rewards[row, t]) == pytest.approx(expected, abs=1e-6)


def test_whitened_rewards_have_variance_one() -> None:
    tokens = scored()
    rewards = token_rewards(tokens, np.array([1.0, -2.0, 0.5]), PpoSection(whiten_rewards=True), 0.3)
    assert float(rewards[tokens.mask].var()) == pytest.approx(1.0, abs=1e-4)


def test_the_scale_is_that_of_all_rewards_so_far() -> None:
    draw, scale, every = np.random.default_rng(0), ScoreScale(), []
    for n in (1, 5, 3):
        scores = draw.normal(7.0, 3.0, n)
        every += scores.tolist()
        scale = scale.updated(scores)
    assert (scale.mean, scale.deviation) == pytest.approx((np.mean(every), np.std(every, ddof=1)))
    section = PpoSection(use_score_scaling=True, use_score_norm=True, score_clip=1.5)
    expected = np.clip((np.array(every) - np.mean(every)) / np.std(every, ddof=1), -1.5, 1.5)
    assert scale.scaled(np.array(every), section).tolist() == pytest.approx(expected.tolist())
    assert scale.scaled(np.array(every), PpoSection()).tolist() == every


def test_equal_rewards_are_not_divided_by_nothing() -> None:
    scale = ScoreScale().updated(np.ones(4))
    assert scale.scaled(np.ones(4), PpoSection(use_score_scaling=True)).tolist() == [1.0] * 4


def test_only_an_answer_whose_last_token_is_an_end_has_ended() -> None:
    assert ended([[5, 2], [2, 5], [5], [3]], [2, 3]).tolist() == [1.0, 0.0, 0.0, 1.0]
