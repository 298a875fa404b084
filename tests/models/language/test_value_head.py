"""The logits and values of answers equal those of a plain forward pass, whatever the batch, behind prompts and in decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tests.models.tiny_language_models import made
from tunesmith.models.language.value_head import (
    HEAD_SCALE,
    ActorCritic,
    AnswerBatch,
    AnswerLayout,
    answer_mask,
    answer_tokens,
    batch_tokens,
    own_body,
)

PROMPTS = [[2, 10, 11, 12], [2, 13], [2, 14, 15, 16, 17, 18]]
ANSWERS = [[20, 21, 22], [23, 24, 25, 26, 3], [27]]
LAYOUTS = {"llama": AnswerLayout(0), "t5": AnswerLayout(0, (0,)), "mt5": AnswerLayout(0, (0,)), "bart": AnswerLayout(0, (2, 1))}


@dataclass(frozen=True)
class Policy:
    model: Any
    layout: AnswerLayout

    def outputs(self, prompt: list[int], answer: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits and the decoder's states before each token of one answer, by a plain pass without padding."""
        before = list(self.layout.prefix) or prompt
        ids = torch.tensor([[*before, *answer]])
        inputs = {"input_ids": ids} if not self.layout.prefix else {"input_ids": torch.tensor([prompt]), "decoder_input_ids": ids}
        outputs = self.model(**inputs, output_hidden_states=True)
        states = outputs.decoder_hidden_states if self.layout.prefix else outputs.hidden_states
        at = slice(len(before) - 1, len(before) + len(answer) - 1)
        return outputs.logits[0, at], states[-1][0, at]


@pytest.fixture(scope="module", params=LAYOUTS)
def policy(request: pytest.FixtureRequest) -> Policy:
    return Policy(made(request.param).eval(), LAYOUTS[request.param])


def test_the_logits_are_those_behind_which_each_token_stands(policy: Policy) -> None:
    """Also the first token's: behind the prompt, or behind what the decoder begins with, which has no logits of its own."""
    tokens = answer_tokens(policy.model, PROMPTS, ANSWERS, policy.layout)
    rows = zip(PROMPTS, ANSWERS, strict=True)
    expected = torch.cat([policy.outputs(prompt, answer)[0] for prompt, answer in rows])
    torch.testing.assert_close(tokens.logits, expected, rtol=1e-5, atol=5e-5)
    assert len(tokens.logits) == sum(map(len, ANSWERS))


def test_the_tokens_before_an_answer_are_those_of_generation() -> None:
    for family, layout in LAYOUTS.items():
        batch = AnswerBatch.of(PROMPTS, ANSWERS, layout, "cpu")
        if layout.has_encoder:
            assert layout.prefix[0] == made(family).config.decoder_start_token_id
            assert batch.inputs["decoder_input_ids"][2].tolist() == [*layout.prefix, 27, 0, 0, 0, 0]
            assert batch.inputs["attention_mask"].sum(dim=1).tolist() == [4, 2, 6]
        else:
            assert batch.inputs["input_ids"][2].tolist() == [*PROMPTS[2], 27]


def test_numbers_of_tokens_go_into_the_table_of_the_answers(policy: Policy) -> None:
    tokens = batch_tokens(policy.model, AnswerBatch.of(PROMPTS, ANSWERS, policy.layout, "cpu"))
    table = tokens.grid(torch.arange(9.0))
    assert table.tolist() == [[0, 1, 2, 0, 0], [3, 4, 5, 6, 7], [8, 0, 0, 0, 0]]
    assert torch.equal(tokens.mask, answer_mask(ANSWERS))


def test_a_row_does_not_depend_on_the_others_and_their_padding(policy: Policy) -> None:
    together = answer_tokens(policy.model, PROMPTS, ANSWERS, policy.layout)
    alone = [answer_tokens(policy.model, [p], [a], policy.layout) for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    torch.testing.assert_close(together.logits, torch.cat([tokens.logits for tokens in alone]), rtol=1e-5, atol=5e-5)
    torch.testing.assert_close(together.states, torch.cat([tokens.states for tokens in alone]), rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("kind", ["shared", "separate"])
def test_values_are_those_of_the_text_before_the_token(policy: Policy, kind: str) -> None:
    """Of the same states in both kinds: T5 scales them before its output layer, and the head reads them as they are."""
    actor = ActorCritic(policy.model, policy.layout, own_body(policy.model) if kind == "separate" else None)
    with torch.no_grad():
        actor.value_head.weight.normal_()
        together = actor(PROMPTS, ANSWERS)
        expected = HEAD_SCALE * actor.value_head(policy.outputs(PROMPTS[1], ANSWERS[1])[1])[:, 0]
    torch.testing.assert_close(together.grid(together.values)[1], expected, rtol=1e-4, atol=1e-5)
    changed = [ANSWERS[0], [*ANSWERS[1][:4], 7], ANSWERS[2]]  # the last token does not change the values before it
    torch.testing.assert_close(actor(PROMPTS, changed).values, actor(PROMPTS, ANSWERS).values, rtol=1e-5, atol=1e-5)


def test_values_start_at_zero_and_a_separate_body_leaves_the_policy_alone(policy: Policy) -> None:
    actor = ActorCritic(policy.model, policy.layout, own_body(policy.model))
    assert not actor(PROMPTS, ANSWERS).values.any()
    with torch.no_grad():
        actor.value_head.weight.normal_()
    policy.model.zero_grad()
    actor(PROMPTS, ANSWERS).values.sum().backward()
    assert all(parameter.grad is None for parameter in policy.model.parameters())
    assert all(parameter.grad is not None for parameter in actor.critic.parameters())


def test_an_own_body_draws_no_random_numbers(policy: Policy) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    own_body(policy.model)
    assert torch.equal(torch.rand(1), expected)
