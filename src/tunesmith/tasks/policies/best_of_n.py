"""Measures the best of several answers of the model that the policy starts from: what its rewards reach without any training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.best_of_n import best_of_n_kl, best_of_n_rewards
from tunesmith.evaluation.metrics.means import mean_metric
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.outputs import Outputs
from tunesmith.generation.sampling import Sampling, sample_answers
from tunesmith.tasks.policies.model import completions
from tunesmith.training.policies.answers import EVALUATION_NUMBERS

if TYPE_CHECKING:
    from tunesmith.tasks.policies.model import PolicySession, PromptSplit


def best_of_n(session: PolicySession, model: Any, split: PromptSplit, untuned: Outputs) -> Outputs:
    """Adds the curve of the best of n answers to the outputs of the untuned model, whose answer is the first of them."""
    n_answers = session.section.best_of_n
    if n_answers < 2:
        return untuned
    rewards = [untuned.row_scores["reward"]]
    gold = [untuned.row_scores["gold_reward"]] if "gold_reward" in untuned.row_scores else []
    for draw in range(1, n_answers):
        seed = (EVALUATION_NUMBERS, session.data.recipe.train.seed, draw)
        sampling = Sampling(session.section.answer_length, session.section.temperature, seed)
        answers = sample_answers(model, session.tokenizer, split.prompts, sampling, precision=session.fast_path.precision)
        read = completions(session, split, range(len(split)), answers)
        rewards.append(session.data.rewards.proxy(read))
        scores = session.data.rewards.gold_scores(read)
        gold += [] if scores is None else [scores]
    curve = best_curve(session, split, np.stack(rewards, axis=1), np.stack(gold, axis=1) if gold else None)
    return replace(untuned, best_of_n=curve)


def best_curve(
    session: PolicySession, split: PromptSplit, rewards: Array, gold: Array | None
) -> tuple[Mapping[str, float | int | None], ...]:
    """Returns, for n = 1, 2, 4, ..., the reward of the best of n with its interval over prompts, its gold reward and its KL."""
    recipe, name = session.data.recipe, split.rows.split
    resampling = Resampling(recipe.evaluate.n_resamples, recipe.train.seed).of_rows(
        cluster_numbers(split.clusters()["row_scores"])
    )
    sizes = [2**k for k in range(rewards.shape[1].bit_length()) if 2**k <= rewards.shape[1]]
    points: list[Mapping[str, float | int | None]] = []
    for n in sizes:
        best = mean_metric("reward", name, [best_of_n_rewards(rewards, n)], resampling)
        point: dict[str, float | int | None] = {
            "n": n,
            "kl": best_of_n_kl(n),
            "reward": best.value,
            "low": best.low,
            "high": best.high,
        }
        if gold is not None:
            point["gold_reward"] = float(best_of_n_rewards(rewards, n, gold).mean())
        points.append(point)
    return tuple(points)
