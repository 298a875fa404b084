"""Texts come back in the order of their prompts, whatever the batches, with their log-probability; the model stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.generation.made import KINDS, tiny_llama, tokenizer_of
from tunesmith.errors import GenerationError
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.decode import GeneratedText, generate

TEXTS = ["the cat", "she said: where is the dog and the cat and the fox", "a", "he", "the fox ran to the", "no"]


@pytest.fixture(scope="module")
def made() -> tuple[Any, Any, list[list[int]]]:
    tokenizer = tokenizer_of("byte_level")
    return tiny_llama(len(tokenizer), 1), tokenizer, [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]


def ids_of(found: list[list[GeneratedText]]) -> list[list[tuple[int, ...]]]:
    return [[written.token_ids for written in texts] for texts in found]


@pytest.mark.parametrize("wanted", [None, Constraints(forbid=("the",)), Constraints(choices=("cat", "dog"))], ids=str)
@pytest.mark.parametrize("n_beams", [1, 3])
def test_the_batch_does_not_change_a_text(made: Any, wanted: Constraints | None, n_beams: int) -> None:
    model, tokenizer, prompts = made
    settings = Decoding(max_new_tokens=10, num_beams=n_beams)
    together = generate(model, tokenizer, prompts, settings, wanted)
    assert ids_of(together) == ids_of(generate(model, tokenizer, prompts, settings, wanted, max_rows=1))
    assert ids_of(together) == ids_of(generate(model, tokenizer, prompts, settings, wanted, max_rows=8))
    backwards = generate(model, tokenizer, prompts[::-1], settings, wanted)
    assert ids_of(together) == ids_of(backwards)[::-1]


def test_greedy_search_is_the_likeliest_token_again_and_again(made: Any) -> None:
    model, tokenizer, prompts = made
    for prompt, (found,) in zip(prompts, generate(model, tokenizer, prompts, Decoding(max_new_tokens=6)), strict=True):
        row, total = list(prompt), 0.0
        while len(row) < len(prompt) + 6 and (row == prompt or row[-1] != tokenizer.eos_token_id):
            with torch.inference_mode():
                steps = torch.log_softmax(model(input_ids=torch.tensor([row])).logits[0, -1], dim=-1)
            row.append(int(steps.argmax()))
            total += float(steps.max())
        assert found.token_ids == tuple(row[len(prompt) :])
        assert found.logprob == pytest.approx(total, abs=1e-4)
        assert found.satisfied is None


def test_several_prompts_with_constraints_of_their_own(made: Any) -> None:
    model, tokenizer, prompts = made
    sets = [
        Constraints(must_include=("fox",)), Constraints(), Constraints(choices=("cat", "dog")), Constraints(regex="[a-c]{3}"),
        Constraints(forbid=("the",)), Constraints(bias={"fox": 50.0}),
    ]  # fmt: skip
    found = generate(model, tokenizer, prompts, Decoding(max_new_tokens=12), sets)
    assert [texts[0].satisfied for texts in found] == [True, None, True, True, True, None]
    assert "fox" in found[5][0].text
    assert ids_of(found)[1] == ids_of(generate(model, tokenizer, prompts[1:2], Decoding(max_new_tokens=12)))[0]


@pytest.mark.parametrize(
    "way", [{"num_beams": 3, "num_return_sequences": 3}, {"do_sample": True, "num_return_sequences": 3}], ids=str
)
def test_several_texts_a_prompt(made: Any, way: dict[str, Any]) -> None:
    model, tokenizer, prompts = made
    found = generate(model, tokenizer, prompts, Decoding(max_new_tokens=5, **way))
    assert [len(texts) for texts in found] == [3] * len(prompts)
    assert all(len(set(ids)) > 1 for ids in ids_of(found))


def test_draws_follow_the_seed_and_leave_the_generators_alone(made: Any) -> None:
    model, tokenizer, prompts = made
    state = torch.get_rng_state()
    first, again, other = (
        ids_of(generate(model, tokenizer, prompts, Decoding(do_sample=True, max_new_tokens=8, seed=seed))) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(state, torch.get_rng_state())


def test_the_model_is_left_in_its_mode(made: Any) -> None:
    model, tokenizer, prompts = made
    model.train()
    generate(model, tokenizer, prompts[:1], Decoding(max_new_tokens=2))
    assert model.training
    model.eval()


def test_the_end_token_is_kept_apart(made: Any) -> None:
    _, tokenizer, prompts = made
    model = tiny_llama(len(tokenizer), 1)
    model.lm_head.weight.data[tokenizer.eos_token_id] *= 6
    found = [texts[0] for texts in generate(model, tokenizer, prompts, Decoding(max_new_tokens=30))]
    assert any(written.finished for written in found)
    for written in found:
        assert written.finished == (written.token_ids[-1] == tokenizer.eos_token_id)
        assert tokenizer.eos_token not in written.text
        assert written.finished or len(written.token_ids) == 30


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", [None, Constraints(forbid=("the",))], ids=str)
def test_pieces_of_a_stream_are_the_text(kind: str, wanted: Constraints | None) -> None:
    tokenizer, pieces = tokenizer_of(kind), []
    prompt = tokenizer.encode("the cat", add_special_tokens=False)
    ((found,),) = generate(
        tiny_llama(len(tokenizer), 8), tokenizer, [prompt], Decoding(max_new_tokens=12), wanted, stream=pieces.append
    )  # fmt: skip
    assert "".join(pieces) == found.text or "\N{REPLACEMENT CHARACTER}" in found.text
    assert len(pieces) > 1


def test_bf16_runs_and_is_near(made: Any) -> None:
    model, tokenizer, prompts = made
    for (found,) in generate(model, tokenizer, prompts, Decoding(max_new_tokens=3), precision="bf16"):
        assert len(found.token_ids) == 3
        assert found.logprob < 0


def test_progress_is_reported(made: Any) -> None:
    model, tokenizer, prompts = made
    counts: list[int] = []
    generate(model, tokenizer, prompts, Decoding(max_new_tokens=2), max_rows=2, progress=counts.append)
    assert counts == [2, 4, 6]


def test_what_cannot_be_decoded_is_refused(made: Any) -> None:
    model, tokenizer, prompts = made
    with pytest.raises(GenerationError, match="prompt 1: it has no tokens"):
        generate(model, tokenizer, [prompts[0], []])
    with pytest.raises(GenerationError, match="prompt 0: 120 tokens and 64 new ones are more than the model's 128 positions"):
        generate(model, tokenizer, [[5] * 120])
    with pytest.raises(GenerationError, match="only a single text can be streamed"):
        generate(model, tokenizer, prompts, stream=print)
    with pytest.raises(GenerationError, match="there are 1 for 6 prompts"):
        generate(model, tokenizer, prompts, None, [Constraints()])
