"""Samples follow the model's distribution at the temperature, and do not depend on the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.language_models import write_model
from tunesmith.generation import sampling as module
from tunesmith.generation.sampling import PickByNumber, Sampling, sample_answers


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder: Path = write_model(tmp_path_factory.mktemp("sampling") / "llama")
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


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
