"""Draws the prompts of an iteration, and computes the log-probabilities and the exact divergence of sampled answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.models.inference import evaluation_mode
from tunesmith.models.language.value_head import AnswerLayout, AnswerTokens, answer_tokens
from tunesmith.training.policies.kl import exact_kl

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Tokens = Sequence[Sequence[int]]
Reference = Callable[[], "AbstractContextManager[PreTrainedModel]"]
"""Opens a context that yields the reference model."""
TRAINING_NUMBERS, ORDER_NUMBERS, EVALUATION_NUMBERS = 0, 1, 2
"""First part of the seeds of the random numbers for samples in training, for orders of rows, and for samples in evaluation."""


def drawn_prompts(n: int, size: int, seed: int, iteration: int) -> list[int]:
    """Returns the positions of the ``size`` prompts of an iteration: all n prompts in a random order, pass after pass."""
    drawn = range(iteration * size, (iteration + 1) * size)
    orders = {k: np.random.default_rng([ORDER_NUMBERS, seed, k]).permutation(n) for k in {i // n for i in drawn}}
    return [int(orders[i // n][i % n]) for i in drawn]


def token_logprobs(tokens: AnswerTokens, answers: Tokens, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the log-probabilities of the whole vocabulary (n, V) at a temperature, and of the answers' tokens (n)."""
    every = torch.log_softmax(tokens.logits / temperature, dim=-1)
    ids = torch.tensor([token for answer in answers for token in answer], device=every.device)
    return every, every.gather(1, ids[:, None])[:, 0]


def parts_of(n: int, size: int) -> Iterator[slice]:
    """Yields slices of ``size`` rows."""
    yield from (slice(start, min(n, start + size)) for start in range(0, n, size))


def joined(parts: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Joins tables (B, T) of different widths, with zeros behind the narrower ones. Not a tensor of inference mode."""
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts]).clone()


def ended(answers: Tokens, ends: Sequence[int]) -> Array:
    """Tells of each answer whether its last token ends it: (N) of 0 and 1."""
    return np.array([float(bool(len(answer)) and answer[-1] in ends) for answer in answers])


def answer_divergences(
    policy: PreTrainedModel, reference: Reference, prompts: Tokens, answers: Tokens, *, temperature: float, batch_rows: int,
    layout: AnswerLayout, precision: str,
) -> Array:  # fmt: skip
    """Computes the exact divergence of each answer (N) in nats: the sum over its tokens of KL(policy, reference)."""
    found: list[torch.Tensor] = []
    for part in parts_of(len(prompts), batch_rows):
        with evaluation_mode(policy, precision):
            tokens = answer_tokens(policy, prompts[part], answers[part], layout)
            every, _ = token_logprobs(tokens, answers[part], temperature)
        with reference() as model, evaluation_mode(model, precision):
            others = answer_tokens(model, prompts[part], answers[part], layout)
            of_reference, _ = token_logprobs(others, answers[part], temperature)
            found.append(tokens.grid(exact_kl(every, of_reference)).sum(dim=1))
    return torch.cat(found).double().cpu().numpy()
