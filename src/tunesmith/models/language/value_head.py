"""Adds a value head to a language model: an actor and a critic in one module, the critic on the actor's body or on its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
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
        states: (n, H) the last hidden states of the decoder that the logits are computed from, without a scale before the head.
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
class AnswerLayout:
    """Where a model reads prompts and answers: all that differs between causal models and encoder-decoders.

    Attributes:
        pad_id: padding of both.
        prefix: the tokens before an answer in a decoder, its start token first (see ``generation.encoder_decoder``); empty for
            a causal model, which continues the prompt.
    """

    pad_id: int
    prefix: tuple[int, ...] = ()

    @property
    def has_encoder(self) -> bool:
        return bool(self.prefix)

    def texts_before(self, prompts: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """Returns the tokens that stand before each answer in the sequence that it ends."""
        return [self.prefix] * len(prompts) if self.has_encoder else list(prompts)


@dataclass(frozen=True)
class AnswerBatch:
    """A batch of prompts with their answers, rows padded on the right: joined, or in encoder and decoder.

    Attributes:
        inputs: of the forward pass.
        before: (B, W) True at the positions behind which a token of the answer stands.
        mask: (B, T) see ``answer_mask``.
    """

    inputs: dict[str, torch.Tensor]
    before: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(
        cls, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], layout: AnswerLayout, device: Any
    ) -> AnswerBatch:
        """Places prompts and answers; padding is masked, except behind the answers of a decoder, which no token of them sees."""
        firsts = layout.texts_before(prompts)
        rows = [[*first, *answer] for first, answer in zip(firsts, answers, strict=True)]
        ids, starts = pad_rows(rows, layout.pad_id), row_lengths(firsts)
        if layout.has_encoder:
            inputs = {
                "input_ids": pad_rows(prompts, layout.pad_id),
                "attention_mask": row_mask(prompts),
                "decoder_input_ids": ids,
            }
        else:
            inputs = {"input_ids": ids, "attention_mask": row_mask(rows)}
        places = torch.arange(ids.shape[1])[None]
        before = (places >= starts - 1) & (places < row_lengths(rows) - 1)
        return cls(move_to(device, inputs), before.to(device), answer_mask(answers).to(device))


def row_lengths(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Returns the number of tokens of each row: (B, 1)."""
    return torch.tensor([len(row) for row in rows])[:, None]


def row_mask(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Marks the tokens of rows that are padded on the right with 1: (B, W)."""
    return pad_rows([[1] * len(row) for row in rows], 0)


@contextmanager
def last_states(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """Yields a list that collects the last hidden states of the decoder: some models scale them before the output layer (T5)."""
    states: list[torch.Tensor] = []
    handle = model.get_decoder().register_forward_hook(lambda _decoder, _inputs, outputs: states.append(outputs[0]))
    try:
        yield states
    finally:
        handle.remove()


def batch_tokens(model: PreTrainedModel, batch: AnswerBatch) -> AnswerTokens:
    """Computes the logits and hidden states of the answers' tokens by one pass; the output layer reads no other position."""
    at, width = batch.before.flatten().nonzero()[:, 0], batch.before.shape[1]

    def at_answers(states: torch.Tensor) -> torch.Tensor:
        return states[:, -width:].flatten(0, 1)[at][None]

    with edit_head_inputs(model.get_output_embeddings(), at_answers), last_states(model) as states:
        logits = model(**batch.inputs, use_cache=False).logits[0]
    return AnswerTokens(logits.float(), at_answers(states[0])[0], batch.mask, logits.new_empty(0))


def answer_tokens(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], layout: AnswerLayout
) -> AnswerTokens:
    """Computes the logits and hidden states of the answers' tokens, given their prompts.

    With ``generation.sampling.sample_answers`` and the critic of ``ActorCritic`` it is all that the training knows of the model.
    """
    return batch_tokens(model, AnswerBatch.of(prompts, answers, layout, next(model.parameters()).device))


class ActorCritic(nn.Module):
    """A language model with a value head; ``critic`` is the head's own copy of the body, None on the actor's.

    The head reads the last hidden states of the decoder, before each token of an answer.

    The head starts at 0: the values of a random one would be noise in the first advantages. ``HEAD_SCALE`` multiplies its output,
    so that it learns as many times as fast as the body, at whose learning rate it would take hundreds of steps to leave 0.
    """

    def __init__(self, policy: PreTrainedModel, layout: AnswerLayout, critic: nn.Module | None = None) -> None:
        super().__init__()
        self.policy, self.critic, self.layout = policy, critic, layout
        self.value_head = nn.Linear(policy.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    @property
    def device(self) -> torch.device:
        return self.value_head.weight.device

    def forward(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> AnswerTokens:
        """Computes the logits of the answers' tokens, and the values of the texts before them."""
        batch = AnswerBatch.of(prompts, answers, self.layout, self.device)
        tokens = batch_tokens(self.policy, batch)
        states = tokens.states
        if self.critic is not None:
            states = self.critic(**batch.inputs, use_cache=False).last_hidden_state[batch.before]
        values = HEAD_SCALE * self.value_head(states.to(self.value_head.weight.dtype))[:, 0].float()
        return AnswerTokens(tokens.logits, tokens.states, tokens.mask, values)


def own_body(model: PreTrainedModel) -> nn.Module:
    """Copies the body of a language model, all of it trainable, for a critic of its own."""
    body: nn.Module = model.base_model
    if body is model:  # T5 is not made of a body and a head
        from transformers import AutoModel

        with torch.random.fork_rng():
            body = AutoModel.from_config(model.config)
        weights = model.state_dict()
        body.load_state_dict({name: weights[name] for name in body.state_dict()})
    return copy.deepcopy(body).requires_grad_(True)
