"""The search over banks finds the best text that fulfils the words: proven against all texts that there are."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from tests.generation.made import KINDS, all_texts, letters, tiny_llama, tokenizer_of
from tunesmith.errors import GenerationError
from tunesmith.generation.arguments import Decoding, generation_arguments
from tunesmith.generation.constrained_beam_search import Finished, allocate_beams, constrained_beam_search
from tunesmith.generation.constraints import Constraints, unfulfilled
from tunesmith.generation.decode import generate
from tunesmith.generation.keyword_tracker import make_tracker
from tunesmith.generation.token_text import continuation, decoded

END, MOST = 0, 4
PROMPT = [1, 4]
SETS: list[dict[str, Any]] = [
    {"must_include": ["a"]},
    {"must_include": ["ab"]},
    {"must_include": ["a", "b"]},
    {"must_include": ["a b"]},
    {"must_include": ["ab", "ba"]},
    {"must_include": ["ab", "a"]},
    {"any_of": [["ab", "ba"]]},
    {"any_of": [["aab", "b"]], "must_include": ["a"]},
    {"must_include": ["b"], "forbid": ["a"]},
    {"must_include": ["ab"], "forbid": ["b"]},
    {"must_include": ["a b"], "forbid": ["b a"]},
    {"forbid": ["a", "b"]},
    {"forbid": ["ab"], "any_of": [["a", "abb"]]},
]


def best_by_reading(model: Any, wanted: Constraints, length_penalty: float) -> tuple[tuple[int, ...], float] | None:
    """The best of all texts, by checking each."""
    prompt = decoded(letters(), [PROMPT])[0]
    good = [
        (tokens, logprob / len(tokens) ** length_penalty)
        for tokens, logprob in all_texts(model, PROMPT, MOST, END)
        if not unfulfilled(wanted, continuation(letters(), PROMPT, list(tokens)), prompt)
    ]
    return max(good, key=lambda found: found[1], default=None)


@pytest.mark.parametrize(("seed", "length_penalty"), [(0, 0.0), (1, 1.0)])
@pytest.mark.parametrize("options", SETS, ids=str)
def test_with_enough_beams_the_best_text_is_found(options: dict[str, Any], seed: int, length_penalty: float) -> None:
    model, wanted = tiny_llama(6, seed), Constraints(**options)
    settings = Decoding(max_new_tokens=MOST, num_beams=1300, length_penalty=length_penalty, early_stopping="never")
    ((found,),) = generate(model, letters(), [PROMPT], settings, wanted, max_rows=1300)
    best = best_by_reading(model, wanted, length_penalty)
    if best is None:
        assert found.satisfied is False
        return
    assert found.satisfied
    assert found.logprob / len(found.token_ids) ** length_penalty == pytest.approx(best[1], abs=1e-4)


@pytest.mark.parametrize("n_beams", [1, 2, 4, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_few_beams_fulfil_words_too(kind: str, n_beams: int) -> None:
    tokenizer, draw = tokenizer_of(kind), random.Random(n_beams)
    model = tiny_llama(len(tokenizer), seed=5)
    words = ["fox", "cat", "dog", "the", "happy", "red", "she", "he", "no"]
    sets = []
    for _ in range(8):
        chosen = draw.sample(words, 6)
        sets.append(Constraints(must_include=chosen[:2], any_of=(chosen[2:4],), forbid=chosen[4:]))
    prompts = [tokenizer.encode("the cat and"[: draw.randint(3, 11)].strip(), add_special_tokens=False) for _ in sets]
    settings = Decoding(max_new_tokens=24, num_beams=n_beams)
    for (found,), wanted in zip(generate(model, tokenizer, prompts, settings, sets), sets, strict=True):
        assert found.satisfied, (found.text, found.note, wanted)


def test_words_that_tokens_cannot_reach_in_time_are_reported() -> None:
    model = tiny_llama(6)
    settings = Decoding(max_new_tokens=2, num_beams=4)
    ((found,),) = generate(model, letters(), [PROMPT], settings, Constraints(must_include=("ab", "ba")))
    assert found.satisfied is False
    assert found.note.startswith("not satisfied within 2 tokens: ")
    ((found,),) = generate(
        model, letters(), [PROMPT], Decoding(max_new_tokens=4, num_beams=4), Constraints(must_include=("ab", "ba"))
    )
    assert found.satisfied


def test_a_word_is_spelled_by_any_tokens_in_time() -> None:
    """With two tokens left "▁a" "b" is possible, and "▁" "a" "b", which is as good a spelling, is not."""
    for seed in range(5):
        ((found,),) = generate(
            tiny_llama(6, seed), letters(), [PROMPT], Decoding(max_new_tokens=2, num_beams=2), Constraints(must_include=("ab",))
        )  # fmt: skip
        assert found.text == " ab"


def test_no_tokens_for_a_word_is_an_error() -> None:
    with pytest.raises(GenerationError, match=r"must_include 'xyz': no tokens of this tokenizer spell it\."):
        generate(tiny_llama(6), letters(), [PROMPT], Decoding(), Constraints(must_include=("xyz",)))


def test_without_words_it_is_upstreams_beam_search() -> None:
    """Without an end token, since upstream's rule for ended beams is another; and no token is part of a character."""
    tokenizer = tokenizer_of("word_pieces")
    model = tiny_llama(len(tokenizer), seed=1)
    ids = torch.tensor([tokenizer.encode("the cat", add_special_tokens=False)])
    tracker = make_tracker(tokenizer, Constraints(), len(tokenizer))
    options = {"num_beams": 5, "num_return_sequences": 5, "max_new_tokens": 8, "do_sample": False, "pad_token_id": 1}
    plain = model.generate(input_ids=ids, **options)
    ours = model.generate(
        input_ids=ids, custom_generate=constrained_beam_search, trackers=[tracker], prompts=["the cat"], **options
    )
    assert torch.equal(plain, ours)


def test_the_batch_a_prompt_comes_in_does_not_matter() -> None:
    tokenizer = tokenizer_of("byte_level")
    model = tiny_llama(len(tokenizer), seed=2)
    prompts = [tokenizer.encode(text, add_special_tokens=False) for text in ("the cat", "she said: where is the cat and", "a")]
    wanted = Constraints(must_include=("fox",), forbid=("dog",))
    together = generate(model, tokenizer, prompts, Decoding(max_new_tokens=12), wanted)
    alone = [generate(model, tokenizer, [prompt], Decoding(max_new_tokens=12), wanted)[0] for prompt in prompts]
    assert [[w.token_ids for w in texts] for texts in together] == [[w.token_ids for w in texts] for texts in alone]


def test_what_upstream_bars_stays_barred() -> None:
    tokenizer = tokenizer_of("sentencepiece")
    model, wanted = tiny_llama(len(tokenizer), seed=3), Constraints(must_include=("fox",))
    ids = torch.tensor([tokenizer.encode("the cat", add_special_tokens=False)])
    arguments = generation_arguments(tokenizer, wanted, Decoding(max_new_tokens=10))
    free = model.generate(input_ids=ids, pad_token_id=1, **arguments)[0, ids.shape[1] :].tolist()
    barred = [[token] for token in set(free)]
    other = model.generate(input_ids=ids, pad_token_id=1, bad_words_ids=barred, **arguments)[0, ids.shape[1] :].tolist()
    assert not set(other) & set(free)
    assert not unfulfilled(wanted, continuation(tokenizer, ids[0].tolist(), other), "the cat")


def test_the_end_waits_for_the_words() -> None:
    """A model that would end at once writes the word first, and ends then."""
    model = tiny_llama(6)
    model.lm_head.weight.data[END] += 40 * model.lm_head.weight.data[END].sign()
    wanted = Constraints(must_include=("ab",))
    for found in generate(model, letters(), [PROMPT], Decoding(max_new_tokens=8, num_beams=4, num_return_sequences=3), wanted)[0]:
        assert found.satisfied
        assert END not in found.token_ids[:-1]


def test_scores_come_with_the_dictionary() -> None:
    model, wanted, decoding = tiny_llama(6), Constraints(must_include=("ab",)), Decoding(max_new_tokens=5, num_return_sequences=4)
    arguments = generation_arguments(letters(), wanted, decoding)
    found = model.generate(
        input_ids=torch.tensor([PROMPT]), pad_token_id=0, eos_token_id=0, return_dict_in_generate=True, **arguments
    )
    plain = model.generate(input_ids=torch.tensor([PROMPT]), pad_token_id=0, eos_token_id=0, **arguments)
    assert torch.equal(found.sequences, plain)
    texts = generate(model, letters(), [PROMPT], decoding, wanted)[0]
    means = [text.logprob / len(text.token_ids) for text in texts]
    assert found.sequences_scores.tolist() == pytest.approx(means, abs=1e-4)
    assert means == sorted(means, reverse=True)


def test_the_beams_are_shared_among_the_banks() -> None:
    import numpy as np

    ranks, needs = np.array([-1.0, -2.0, -3.0, -9.0, -10.0]), np.array([2, 2, 2, 1, 0])
    in_time, late = np.zeros(5, dtype=bool), np.array([True, True, False, False, False])
    assert sorted(allocate_beams(ranks, needs, in_time, 3).tolist()) == [0, 3, 4]
    assert sorted(allocate_beams(ranks, needs, in_time, 4).tolist()) == [0, 1, 3, 4]
    assert allocate_beams(ranks, needs, in_time, 1).tolist() == [0]
    assert sorted(allocate_beams(ranks, needs, late, 3).tolist()) == [2, 3, 4]
    assert len(allocate_beams(ranks[:0], needs[:0], late[:0], 3)) == 0


def test_finished_texts_are_kept_best_first() -> None:
    kept = Finished(2)
    for score in (-3.0, -1.0, -2.0, -4.0):
        kept.add(score, [int(-score)])
    assert (kept.scores, kept.tokens, kept.most) == ([-1.0, -2.0], [[1], [2]], 2)


def test_another_stop_is_refused() -> None:
    tokenizer = tokenizer_of("byte_level")
    model, ids = tiny_llama(len(tokenizer)), torch.tensor([[5, 6]])
    arguments = generation_arguments(tokenizer, Constraints(must_include=("fox",)), Decoding(max_new_tokens=5))
    with pytest.raises(GenerationError, match="MaxTimeCriteria cannot stop a search for words"):
        model.generate(input_ids=ids, pad_token_id=1, max_time=1.0, **arguments)
