"""Samples follow the model's distribution at the temperature, and do not depend on the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.language_models import write_model
from tunesmith.generation import sampling as module
from tunesmith.generation.sampling import PickByNumber, Sampling, sample_answers


@pytest.fixture(scope="module", params=["llama", "t5", "bart"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    family = str(request.param)
    folder: Path = write_model(tmp_path_factory.mktemp("sampling") / family, family)
    kind = AutoModelForCausalLM if family == "llama" else AutoModelForSeq2SeqLM
    return kind.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_tokens_are_drawn_by_their_probabilities(temperature: float) -> None:
    torch.manual_seed(0)
    scores, numbers = torch.randn(1, 6), torch.rand(20_000, 1, dtype=torch.float64)
    picked = PickByNumber(numbers, temperature)(None, scores.expand(len(numbers), -1)).argmax(dim=-1)
    shares = np.bincount(picked.numpy(), minlength=6) / len(numbers)
    assert shares == pytest.approx(torch.softmax(scores[0] / temperature, dim=-1).numpy(), abs=0.015)


def test_a_token_without_probability_is_never_drawn() -> None:
    scores = torch.tensor([[-torch.inf, 1.0, -torch.inf, 1.0, -torch.inf]]).expand(4, -1)
    numbers = torch.tensor([[0.0], [0.4], [0.6], [1.0 - 1e-16]], dtype=torch.float64)
    assert PickByNumber(numbers, 1.0)(None, scores).argmax(dim=-1).tolist() == [1, 1, 3, 3]


def test_an_answer_does_not_depend_on_the_other_rows(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = tiny
    prompts = [
        tokenizer(text)["input_ids"] for text in ("who has the lamp ?", "Ann", "the red boat is in the garden .", "it was")
    ]
    together = sample_answers(model, tokenizer, prompts, Sampling(6))
    assert [sample_answers(model, tokenizer, [prompt], Sampling(6), rows=[i])[0] for i, prompt in enumerate(prompts)] == together
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    assert sample_answers(model, tokenizer, prompts, Sampling(6)) == together
    assert sample_answers(model, tokenizer, prompts, Sampling(6, seed=(1,))) != together


def test_an_answer_ends_with_its_end_token(tiny) -> None:
    model, tokenizer = tiny
    prompts = [tokenizer("Ann")["input_ids"]] * 64
    answers = sample_answers(model, tokenizer, prompts, Sampling(30))
    end = tokenizer.eos_token_id
    assert any(answer[-1] == end for answer in answers)
    assert all(end not in answer[:-1] and (answer[-1] == end or len(answer) == 30) for answer in answers)


def test_the_tokens_before_an_answer_are_none_of_it(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start token of a decoder, which is T5's padding token, and the one that begins texts (BART)."""
    model, tokenizer = tiny
    numbers = np.array([0.5, 0.25, 0.75])
    monkeypatch.setattr(Sampling, "numbers", lambda _sampling, _row: numbers)
    ids = torch.tensor([tokenizer("Ann has the lamp")["input_ids"]])
    text, encoder = ids, {}
    if model.config.is_encoder_decoder:
        begins = [model.config.decoder_start_token_id, *([2] if model.config.model_type == "bart" else [])]
        text, encoder = torch.tensor([begins]), {"input_ids": ids}
    answer: list[int] = []
    for number in numbers:
        read = {**encoder, "decoder_input_ids": text} if encoder else {"input_ids": text}
        with torch.no_grad():
            shares = torch.softmax(model.eval()(**read).logits[0, -1].double(), dim=-1).cumsum(0)
        answer.append(int(torch.searchsorted(shares, number)))
        text = torch.cat([text, torch.tensor([[answer[-1]]])], dim=1)
    assert sample_answers(model, tokenizer, ids.tolist(), Sampling(3)) == [answer]


def test_a_padding_token_that_was_drawn_belongs_to_the_answer(tiny) -> None:
    """Its probability is part of the policy's, and an answer of nothing else is not empty."""
    model, tokenizer = tiny
    head = model.get_output_embeddings()
    always = torch.full((len(tokenizer),), -1e4)
    always[tokenizer.pad_token_id] = 0.0
    hook = head.register_forward_hook(lambda _head, _states, logits: torch.zeros_like(logits) + always)
    try:
        assert sample_answers(model, tokenizer, [[5, 6]], Sampling(3)) == [[tokenizer.pad_token_id] * 3]
    finally:
        hook.remove()
