"""Measures the best of several answers of the model that the policy starts from: what its rewards reach without any training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.best_of_n import best_of_n_kl, best_of_n_rewards
from tunesmith.evaluation.metrics.means import mean_metric
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.outputs import Outputs
from tunesmith.evaluation.over_optimisation import fit_law_of_best
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
    best = BestOfN.of(np.stack(rewards, axis=1), np.stack(gold, axis=1) if gold else None)
    recipe = session.data.recipe
    clusters = cluster_numbers(split.clusters()["row_scores"])
    resampling = Resampling(recipe.evaluate.n_resamples, recipe.train.seed).of_rows(clusters)
    law = None if best.gold is None else fit_law_of_best(best.kl, best.gold, resampling)
    return replace(untuned, best_of_n=best.curve(split.rows.split, resampling), best_of_n_law=law)


@dataclass(frozen=True)
class BestOfN:
    """The expected rewards of the best of n = 1, 2, 4, ... answers to each of P prompts.

    Attributes:
        sizes: (K) the n.
        rewards: (P, K).
        gold: (P, K) of the same answers; None without a gold reward.
    """

    sizes: tuple[int, ...]
    rewards: Array
    gold: Array | None

    @classmethod
    def of(cls, rewards: Array, gold: Array | None) -> BestOfN:
        """Estimates them from the rewards of N answers to each prompt (P, N)."""
        sizes = tuple(2**k for k in range(rewards.shape[1].bit_length()) if 2**k <= rewards.shape[1])
        best = np.stack([best_of_n_rewards(rewards, n) for n in sizes], axis=1)
        of_gold = None if gold is None else np.stack([best_of_n_rewards(rewards, n, gold) for n in sizes], axis=1)
        return cls(sizes, best, of_gold)

    @property
    def kl(self) -> list[float]:
        """Returns the divergence of each size, or a bound of it, in nats."""
        return [best_of_n_kl(n) for n in self.sizes]

    def curve(self, split: str, resampling: Resampling) -> tuple[Mapping[str, float | int | None], ...]:
        """Returns, for each n, the reward with its interval over prompts, the gold reward and the KL."""
        points: list[Mapping[str, float | int | None]] = []
        for k, (n, kl) in enumerate(zip(self.sizes, self.kl, strict=True)):
            best = mean_metric("reward", split, [self.rewards[:, k]], resampling)
            point: dict[str, float | int | None] = {
                "n": n, "kl": kl, "reward": best.value, "low": best.low, "high": best.high,
            }  # fmt: skip
            if self.gold is not None:
                point["gold_reward"] = float(self.gold[:, k].mean())
            points.append(point)
        return tuple(points)
