"""Adds a value head to a language model: an actor and a critic in one module, the critic on the actor's body or on its own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tunesmith.models.language.token_losses import edit_head_inputs, move_to, pad_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

HEAD_SCALE = 10.0


@dataclass(frozen=True)
class AnswerTokens:
    """The tokens of a batch of answers, all rows after each other: n of them.

    Attributes:
        logits: (n, V) that each token was drawn from, in fp32, without temperature.
        states: (n, H) the last hidden states that the logits are computed from.
        mask: (B, T) True at the tokens of the answers, for ``grid``.
        values: (n) the values of the texts before the tokens; empty without a value head.
    """

    logits: torch.Tensor
    states: torch.Tensor
    mask: torch.Tensor
    values: torch.Tensor

    def grid(self, of_tokens: torch.Tensor) -> torch.Tensor:
        """Places a number of each token (n) in the table of the answers (B, T), 0 elsewhere."""
        table = torch.zeros(self.mask.shape, dtype=of_tokens.dtype, device=of_tokens.device)
        table[self.mask] = of_tokens
        return table


def answer_mask(answers: Sequence[Sequence[int]]) -> torch.Tensor:
    """Marks the tokens of answers in a table (B, T) of the longest one's width."""
    lengths = torch.tensor([len(answer) for answer in answers])
    return torch.arange(int(lengths.max()))[None] < lengths[:, None]


@dataclass(frozen=True)
class AnswerBatch:
    """A batch of prompts with their answers, as a causal model reads it: rows padded on the right.

    Attributes:
        inputs: of the forward pass.
        before: (B, W) True at the positions behind which a token of the answer stands.
        mask: (B, T) see ``answer_mask``.
    """

    inputs: dict[str, torch.Tensor]
    before: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad_id: int, device: Any) -> AnswerBatch:
        """Joins prompts and answers."""
        rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
        starts, lengths = (torch.tensor([len(row) for row in part])[:, None] for part in (prompts, rows))
        ids = pad_rows(rows, pad_id)
        places = torch.arange(ids.shape[1])[None]
        inputs = {"input_ids": ids, "attention_mask": (places < lengths).long()}
        before = (places >= starts - 1) & (places < lengths - 1)
        return cls(move_to(device, inputs), before.to(device), answer_mask(answers).to(device))


def causal_tokens(model: PreTrainedModel, batch: AnswerBatch) -> AnswerTokens:
    """Computes the logits and hidden states of the answers' tokens by one pass; the output layer reads no other position."""
    at, width = batch.before.flatten().nonzero()[:, 0], batch.before.shape[1]
    head = model.get_output_embeddings()
    with edit_head_inputs(head, lambda states: states[:, -width:].flatten(0, 1)[at][None]) as original:
        logits = model(**batch.inputs, use_cache=False).logits[0]
    states = original[0][:, -width:].flatten(0, 1)[at]
    return AnswerTokens(logits.float(), states, batch.mask, logits.new_empty(0))


def answer_tokens(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad_id: int
) -> AnswerTokens:
    """Computes the logits and hidden states of the answers' tokens, given their prompts.

    With ``generation.sampling.sample_answers`` and the critic of ``ActorCritic`` it is all that the training knows of the model.
    """
    return causal_tokens(model, AnswerBatch.of(prompts, answers, pad_id, next(model.parameters()).device))


class ActorCritic(nn.Module):
    """A causal language model with a value head; ``critic`` is the head's own copy of the body, None on the actor's.

    The head starts at 0: the values of a random one would be noise in the first advantages. ``HEAD_SCALE`` multiplies its output,
    so that it learns as many times as fast as the body, at whose learning rate it would take hundreds of steps to leave 0.
    """

    def __init__(self, policy: PreTrainedModel, pad_id: int, critic: nn.Module | None = None) -> None:
        super().__init__()
        self.policy, self.critic, self.pad_id = policy, critic, pad_id
        self.value_head = nn.Linear(policy.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    @property
    def device(self) -> torch.device:
        return self.value_head.weight.device

    def forward(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> AnswerTokens:
        """Computes the logits of the answers' tokens, and the values of the texts before them."""
        batch = AnswerBatch.of(prompts, answers, self.pad_id, self.device)
        tokens = causal_tokens(self.policy, batch)
        states = tokens.states
        if self.critic is not None:
            states = self.critic(**batch.inputs, use_cache=False).last_hidden_state[batch.before]
        values = HEAD_SCALE * self.value_head(states.to(self.value_head.weight.dtype))[:, 0].float()
        return AnswerTokens(tokens.logits, tokens.states, tokens.mask, values)


def own_body(model: PreTrainedModel) -> nn.Module:
    """Copies the body of a language model, all of it trainable, for a critic of its own."""
    body: nn.Module = copy.deepcopy(model.base_model)
    return body.requires_grad_(True)
