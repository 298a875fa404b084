"""Samples answers with random numbers of each row's own, so that an answer does not depend on the other rows of its batch.

Upstream's ``generate`` runs greedily over scores of which a processor leaves one token: the one that the row's next random number
selects (inversion of the cumulative distribution). Nothing but the temperature changes the distribution: no top-k, no nucleus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from tunesmith.generation.arguments import Decoding
from tunesmith.generation.decode import model_end_ids, start_inputs, until_end
from tunesmith.models.inference import batches_by_length, evaluation_mode

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Sampling:
    """How answers are sampled.

    Attributes:
        length: largest number of new tokens.
        seed: with the number of a row it gives the row's random numbers.
    """

    length: int
    temperature: float = 1.0
    seed: tuple[int, ...] = (0,)

    def numbers(self, row: int) -> np.ndarray:
        """Returns the random numbers in [0, 1) of one row: (length)."""
        return np.random.default_rng([*self.seed, row]).random(self.length)


def pick(scores: torch.Tensor, numbers: torch.Tensor, temperature: float) -> torch.Tensor:
    """Returns the token that each number in [0, 1) (B, 1) selects from scores (B, V) at a temperature: (B, 1)."""
    cumulative = torch.softmax(scores.double() / temperature, dim=-1).cumsum(dim=-1)
    return torch.searchsorted(cumulative, numbers * cumulative[:, -1:], right=True).clamp_max(scores.shape[1] - 1)


class PickByNumber(LogitsProcessor):  # type: ignore[misc]
    """Leaves, of each row's scores (B, V), the token that its number of this step selects.

    Args:
        numbers: (B, T) in [0, 1) for the tokens of each row.
    """

    def __init__(self, numbers: torch.Tensor, temperature: float) -> None:
        self.numbers, self.temperature, self.step = numbers, temperature, 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        picked = pick(scores, self.numbers[:, self.step : self.step + 1], self.temperature)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(1, picked, 0.0)


def sample_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    precision: str = "fp32",
    rows: Sequence[int] | None = None,
) -> list[list[int]]:
    """Samples one answer for each prompt: its new tokens, with the end token where one was drawn.

    Args:
        rows: (N) the number of each row, which seeds it; the position by default.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    numbers = range(len(prompts)) if rows is None else rows
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    ends = model_end_ids(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0] if ends else 0
    with evaluation_mode(model, precision) as device:
        for batch in batches_by_length(lengths, ROWS_AT_ONCE, ROWS_AT_ONCE * max(1, int(lengths.max(initial=1)))):
            inputs, n_before = start_inputs(model, tokenizer, [prompts[i] for i in batch], pad)
            drawn = torch.from_numpy(np.stack([sampling.numbers(numbers[i]) for i in batch])).to(device)
            sequences = model.generate(
                **inputs,
                logits_processor=LogitsProcessorList([PickByNumber(drawn, sampling.temperature)]),
                pad_token_id=pad,
                eos_token_id=ends or None,
                **Decoding(max_new_tokens=sampling.length, num_beams=1).arguments(None),
            )
            for i, tokens in zip(batch, sequences[:, n_before:].tolist(), strict=True):
                answers[i] = until_end(tokens, ends)  # padding before the end was drawn, and is trained
    return answers
