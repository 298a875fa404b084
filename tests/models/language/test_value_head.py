"""The logits and values of answers equal those of a plain forward pass, whatever the batch."""

from __future__ import annotations

import pytest
import torch

from tests.language_models import write_model
from tunesmith.models.language.value_head import HEAD_SCALE, ActorCritic, AnswerBatch, answer_mask, causal_tokens, own_body

PROMPTS = [[2, 10, 11, 12], [2, 13], [2, 14, 15, 16, 17, 18]]
ANSWERS = [[20, 21, 22], [23, 24, 25, 26, 3], [27]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(write_model(tmp_path_factory.mktemp("value") / "llama")).eval()


def test_the_logits_are_those_behind_which_each_token_stands(policy) -> None:
    tokens = causal_tokens(policy, AnswerBatch.of(PROMPTS, ANSWERS, 0, "cpu"))
    start = 0
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        logits = policy(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        expected = logits[len(prompt) - 1 : len(prompt) + len(answer) - 1]
        torch.testing.assert_close(tokens.logits[start : start + len(answer)], expected, rtol=0, atol=1e-5)
        start += len(answer)
    assert start == len(tokens.logits)


def test_numbers_of_tokens_go_into_the_table_of_the_answers(policy) -> None:
    tokens = causal_tokens(policy, AnswerBatch.of(PROMPTS, ANSWERS, 0, "cpu"))
    table = tokens.grid(torch.arange(9.0))
    assert table.tolist() == [[0, 1, 2, 0, 0], [3, 4, 5, 6, 7], [8, 0, 0, 0, 0]]
    assert torch.equal(tokens.mask, answer_mask(ANSWERS))


@pytest.mark.parametrize("kind", ["shared", "separate"])
def test_values_are_those_of_the_text_before_the_token(policy, kind: str) -> None:
    actor = ActorCritic(policy, 0, own_body(policy) if kind == "separate" else None)
    with torch.no_grad():
        actor.value_head.weight.normal_()
        together = actor(PROMPTS, ANSWERS)
        states = policy.model(input_ids=torch.tensor([[*PROMPTS[1], *ANSWERS[1]]])).last_hidden_state[0]
        expected = HEAD_SCALE * actor.value_head(states[1:6])[:, 0]
    torch.testing.assert_close(together.grid(together.values)[1], expected, rtol=1e-5, atol=1e-5)
    changed = [ANSWERS[0], [*ANSWERS[1][:4], 7], ANSWERS[2]]  # the last token does not change the values before it
    torch.testing.assert_close(actor(PROMPTS, changed).values, actor(PROMPTS, ANSWERS).values, rtol=1e-5, atol=1e-5)


def test_values_start_at_zero_and_a_separate_body_leaves_the_policy_alone(policy) -> None:
    actor = ActorCritic(policy, 0, own_body(policy))
    assert not actor(PROMPTS, ANSWERS).values.any()
    with torch.no_grad():
        actor.value_head.weight.normal_()
    policy.zero_grad()
    actor(PROMPTS, ANSWERS).values.sum().backward()
    assert all(parameter.grad is None for parameter in policy.parameters())
    assert any(parameter.grad is not None for parameter in actor.critic.parameters())
