"""Samples answers with the current policy, and turns their rewards into advantages: the rows that an iteration trains on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tunesmith.data.arrays import Array
from tunesmith.generation.decode import model_end_ids
from tunesmith.generation.sampling import Sampling, sample_answers
from tunesmith.models.inference import evaluation_mode
from tunesmith.models.language.value_head import ActorCritic, answer_tokens
from tunesmith.recipe.reinforcement_sections import PpoSection
from tunesmith.training.policies.answers import (
    ORDER_NUMBERS,
    TRAINING_NUMBERS,
    Reference,
    Tokens,
    drawn_prompts,
    ended,
    joined,
    parts_of,
    token_logprobs,
)
from tunesmith.training.policies.kl import KlController, exact_kl, k1, k3
from tunesmith.training.ppo.advantages import explained_variance, generalised_advantages, whiten

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TENSORS, ANSWERS = "rollout.safetensors", "rollout.json"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the policy acts in.

    Attributes:
        prompts: (N) token ids of the training prompts.
        score: positions of prompts, and an answer to each -> the reward of each answer.
        batch_rows: rows of a forward pass, those of a batch of the training.
    """

    section: PpoSection
    tokenizer: PreTrainedTokenizerBase
    prompts: Tokens
    score: Callable[[Sequence[int], Tokens], Array]
    reference: Reference
    batch_rows: int
    seed: int
    precision: str = "fp32"

    def sampling(self, iteration: int) -> Sampling:
        """Returns how the answers of an iteration are sampled."""
        return Sampling(self.section.response_length, self.section.temperature, (TRAINING_NUMBERS, self.seed, iteration))

    def drawn_prompts(self, iteration: int) -> list[int]:
        """Returns the positions of an iteration's prompts: all prompts in a random order, pass after pass."""
        return drawn_prompts(len(self.prompts), self.section.rollout_batch_size, self.seed, iteration)


@dataclass(frozen=True)
class ScoreScale:
    """Mean and variance of all rewards so far (Welford 1962), by which rewards are scaled."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def updated(self, scores: Array) -> ScoreScale:
        """Returns the scale after further rewards."""
        n, mean = len(scores), float(scores.mean())
        total, gap = self.count + n, mean - self.mean
        squares = self.squares + float(((scores - mean) ** 2).sum()) + gap**2 * self.count * n / total
        return ScoreScale(total, self.mean + gap * n / total, squares)

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0

    def scaled(self, scores: Array, section: PpoSection) -> Array:
        """Divides rewards by their deviation, and takes the mean off, as the recipe says; then clips them."""
        if section.use_score_scaling and self.deviation > 0:
            scores = (scores - (self.mean if section.use_score_norm else 0.0)) / self.deviation
        return scores if section.score_clip is None else np.clip(scores, -section.score_clip, section.score_clip)


@dataclass(frozen=True)
class Rollout:
    """The answers of one iteration.

    Attributes:
        rows: (R) positions of the prompts.
        answers: (R) token ids.
        mask: (R, T) True at the tokens of answers.
        logprobs, values, advantages, targets: (R, T) under the policy that sampled them.
    """

    iteration: int
    rows: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    mask: torch.Tensor
    logprobs: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
    targets: torch.Tensor

    def save(self, folder: Path) -> None:
        """Writes the answers with their numbers into a checkpoint."""
        names = ("mask", "logprobs", "values", "advantages", "targets")
        save_file({name: getattr(self, name).detach().cpu().contiguous() for name in names}, folder / TENSORS)
        content = {"iteration": self.iteration, "rows": self.rows, "answers": self.answers}
        (folder / ANSWERS).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Rollout:
        """Reads what ``save`` wrote."""
        content = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
        answers = tuple(map(tuple, content["answers"]))
        return cls(content["iteration"], tuple(content["rows"]), answers, **load_file(folder / TENSORS, device=str(device)))


@dataclass(frozen=True)
class ScoredTokens:
    """Tables (R, T) of answers: log-probabilities of the policy and the reference, values, and exact divergences."""

    mask: torch.Tensor
    logprobs: torch.Tensor
    reference: torch.Tensor
    values: torch.Tensor
    divergences: torch.Tensor


def score_answers(
    actor: ActorCritic, reference: Reference, prompts: Tokens, answers: Tokens, *, temperature: float, batch_rows: int,
    precision: str,
) -> ScoredTokens:  # fmt: skip
    """Computes what the training needs of sampled answers, by the same forward passes as the training, in its batches."""
    width = max(len(answer) for answer in answers)
    parts: list[ScoredTokens] = []
    for part in parts_of(len(prompts), batch_rows):
        with evaluation_mode(actor, precision):
            tokens = actor(prompts[part], answers[part])
            every, logprobs = token_logprobs(tokens, answers[part], temperature)
        with reference() as model, evaluation_mode(model, precision):
            others = answer_tokens(model, prompts[part], answers[part], actor.layout)
            of_reference, their_logprobs = token_logprobs(others, answers[part], temperature)
            divergences = exact_kl(every, of_reference)
            values = (logprobs, their_logprobs, tokens.values, divergences)
            parts.append(ScoredTokens(tokens.mask, *map(tokens.grid, values)))
    names = ("mask", "logprobs", "reference", "values", "divergences")
    return ScoredTokens(*(joined([getattr(each, name) for each in parts], width) for name in names))


def token_rewards(scored: ScoredTokens, scores: Array, section: PpoSection, coefficient: float) -> torch.Tensor:
    """Returns the reward of each token (R, T): minus the KL penalty, and at the last token of an answer plus its score."""
    penalties = {
        "k1": lambda: k1(scored.logprobs, scored.reference),
        "k3": lambda: k3(scored.logprobs, scored.reference),
        "exact": lambda: scored.divergences,
    }
    rewards = -coefficient * penalties[section.kl_estimator]() * scored.mask
    last = scored.mask.sum(dim=1, keepdim=True) - 1
    rewards = rewards.scatter_add(1, last, torch.as_tensor(scores, dtype=rewards.dtype, device=rewards.device)[:, None])
    return whiten(rewards, scored.mask, shift_mean=False) if section.whiten_rewards else rewards


def collect(
    actor: ActorCritic, environment: Environment, iteration: int, controller: KlController, scale: ScoreScale
) -> tuple[Rollout, ScoreScale, dict[str, float]]:
    """Samples an answer to each prompt of an iteration and computes its advantages. Returns also the scale, and figures to log.

    Raises RecipeError for a reward that is not a finite number.
    """
    section, rows = environment.section, environment.drawn_prompts(iteration)
    prompts = [environment.prompts[row] for row in rows]
    sampling, precision = environment.sampling(iteration), environment.precision
    answers = sample_answers(actor.policy, environment.tokenizer, prompts, sampling, precision=precision)
    raw = environment.score(rows, answers)
    finished = ended(answers, model_end_ids(actor.policy, environment.tokenizer))
    penalised = raw - (section.missing_eos_penalty or 0.0) * (1.0 - finished)
    scale = scale.updated(penalised)
    scored = score_answers(
        actor, environment.reference, prompts, answers,
        temperature=section.temperature, batch_rows=environment.batch_rows, precision=precision,
    )  # fmt: skip
    rewards = token_rewards(scored, scale.scaled(penalised, section), section, controller.coefficient)
    advantages, targets = generalised_advantages(rewards, scored.values, scored.mask, gamma=section.gamma, lam=section.lam)
    figures = {
        "reward": float(raw.mean()),
        "reward_std": float(raw.std()),
        "kl": float(scored.divergences.sum(dim=1).mean()),
        "kl_k1": float((k1(scored.logprobs, scored.reference) * scored.mask).sum(dim=1).mean()),
        "kl_coef": controller.coefficient,
        "answer_tokens": float(np.mean([len(answer) for answer in answers])),
        "finished": float(finished.mean()),
        "explained_variance": explained_variance(scored.values, targets, scored.mask),
    }
    if section.whiten_advantages:
        advantages = whiten(advantages, scored.mask)
    ids = tuple(tuple(answer) for answer in answers)
    return (
        Rollout(iteration, tuple(rows), ids, scored.mask, scored.logprobs, scored.values, advantages, targets),
        scale,
        figures,
    )


def minibatch_rows(section: PpoSection, seed: int, iteration: int, step: int) -> list[int]:
    """Returns the rows of a rollout that one of its optimizer steps trains on.

    The first pass keeps their order, so that its first batch is computed exactly as when the answers were scored.
    """
    epoch, place = divmod(step, section.num_mini_batches)
    size = section.rollout_batch_size // section.num_mini_batches
    order = np.arange(section.rollout_batch_size)
    if epoch:
        order = np.random.default_rng([ORDER_NUMBERS, seed, iteration, epoch]).permutation(order)
    return [int(row) for row in order[place * size : (place + 1) * size]]


def state_record(controller: KlController, scale: ScoreScale) -> dict[str, Any]:
    """Returns the state that lasts from iteration to iteration, as JSON types."""
    return {"coefficient": controller.coefficient, "scale": [scale.count, scale.mean, scale.squares]}


def restored_state(record: dict[str, Any], controller: KlController) -> tuple[KlController, ScoreScale]:
    """Reads what ``state_record`` wrote."""
    return replace(controller, coefficient=record["coefficient"]), ScoreScale(*record["scale"])
