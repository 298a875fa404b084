"""Forbidden words stay out of texts in every way of decoding, whatever tokens spell them; looking ahead weighs what follows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.generation.made import KINDS, letters, tiny_llama, tokenizer_of
from tunesmith.data.arrays import Array
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import Constraints, unfulfilled
from tunesmith.generation.decode import generate
from tunesmith.generation.keyword_tracker import make_tracker
from tunesmith.generation.processors import ForbiddenWords, Lookahead, RuleProcessor
from tunesmith.generation.token_text import continuation

WAYS = [{}, {"do_sample": True, "num_return_sequences": 3}, {"num_beams": 3}, {"do_sample": True, "num_beams": 3}]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_forbidden_words_stay_out(kind: str, way: dict[str, int]) -> None:
    tokenizer = tokenizer_of(kind)
    prompts = [tokenizer.encode(text, add_special_tokens=False) for text in ("the cat", "she", "a red fox and the")]
    model = tiny_llama(len(tokenizer), 1)
    free = generate(model, tokenizer, prompts, Decoding(max_new_tokens=12, **way))
    words = {word for texts in free for written in texts for word in written.text.split() if word.isalpha()}
    wanted = Constraints(forbid=(*sorted(words)[:4], "the", "a"))
    assert any(unfulfilled(wanted, written.text) for texts in free for written in texts) or not words
    for texts in generate(model, tokenizer, prompts, Decoding(max_new_tokens=12, **way), wanted):
        assert [(written.satisfied, written.note) for written in texts] == [(True, "")] * len(texts)


@pytest.mark.parametrize("seed", range(6))
def test_a_word_is_not_left_at_the_end_nor_spelled_otherwise(seed: int) -> None:
    """A vocabulary of two letters, in which a forbidden word has many spellings and is always near."""
    wanted = Constraints(forbid=("a", "ab", "b a"))
    for way in WAYS:
        settings = Decoding(max_new_tokens=7, seed=seed, **way)
        for written in generate(tiny_llama(6, seed), letters(), [[1, 4]], settings, wanted)[0]:
            assert written.satisfied, written


def test_a_longer_word_may_be_written() -> None:
    """Only the word "a" itself is barred: beams find the best of all texts with "ab"."""
    model, wanted = tiny_llama(6, 3), Constraints(forbid=("a",), must_include=("ab",))
    ((found,),) = generate(model, letters(), [[1, 4]], Decoding(max_new_tokens=4, num_beams=4), wanted)
    assert found.satisfied


def test_a_word_that_nothing_makes_longer_is_not_begun() -> None:
    for kind, is_begun in (("whole_words", False), ("byte_level", True)):
        tokenizer = tokenizer_of(kind)
        tracker = make_tracker(tokenizer, Constraints(forbid=("cat",)), len(tokenizer))
        word = tokenizer.encode(" cat", add_special_tokens=False)
        assert tracker.barred(*tracker.begin("the"))[word].tolist() == [not is_begun]


def test_looking_ahead_weighs_a_beginning_by_what_follows() -> None:
    """log p("▁a") becomes log p("▁a") + log p(a letter after it)."""
    model, prompt = tiny_llama(6, 1), [1, 4]
    rule = ForbiddenWords(make_tracker(letters(), Constraints(forbid=("a",)), 6), letters().decode(prompt), np.array([0]))
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        now = torch.log_softmax(model(input_ids=ids).logits[0, -1], dim=-1)
        after = torch.softmax(model(input_ids=torch.tensor([[*prompt, 1]])).logits[0, -1], dim=-1)
        scores = now[None].clone()
        Lookahead(model, [rule], {})(ids, scores, {0: rule.start()})
    letters_after = letters().convert_tokens_to_ids(["a", "b"])
    assert scores[0, 1] == pytest.approx(float(now[1] + torch.log(after[letters_after].sum())), abs=1e-5)
    assert torch.equal(scores[0, [0, 2, 3, 4, 5]], now[[0, 2, 3, 4, 5]])


def test_looking_ahead_sees_no_padding() -> None:
    model, rule = tiny_llama(6, 1), ForbiddenWords(make_tracker(letters(), Constraints(forbid=("a",)), 6), "ab", np.array([0]))
    plain, padded = torch.zeros(1, 6), torch.zeros(1, 6)
    with torch.inference_mode():
        Lookahead(model, [rule], {})(torch.tensor([[1, 4]]), plain, {0: rule.start()})
        mask = torch.tensor([[0, 0, 1, 1]])
        Lookahead(model, [rule], {"attention_mask": mask})(torch.tensor([[5, 5, 1, 4]]), padded, {0: rule.start()})
    assert plain[0, 1] < -0.01
    assert torch.allclose(plain, padded, atol=1e-5)


class Counted:
    """A rule whose state is what was written; it bars whatever was written before."""

    def start(self) -> tuple[int, ...]:
        return ()

    def step(self, state: tuple[int, ...], token: int) -> tuple[int, ...]:
        return (*state, token)

    def barred(self, state: tuple[int, ...], left: int, scores: torch.Tensor) -> Array:
        bad = np.zeros(5, dtype=bool)
        bad[list(state)] = True
        return bad


def test_rows_are_replayed_whatever_their_order() -> None:
    ours = RuleProcessor([Counted(), Counted()], 1, 9, frozenset({0}))
    for rows in ([[9, 1], [9, 2]], [[9, 2, 1], [9, 1, 1]], [[9, 3, 3, 4], [9, 2, 1, 0]], [[9, 1], [9, 4]]):
        scores = ours(torch.tensor(rows), torch.zeros(2, 5))
        for row, found in zip(rows, scores, strict=True):
            ended = 0 in row[1:]
            assert {i for i in range(5) if found[i] < 0} == (set() if ended else set(row[1:]))


def test_where_nothing_may_follow_the_text_ends() -> None:
    ours = RuleProcessor([Counted()], 0, 9, frozenset({0}))
    scores = ours(torch.tensor([[1, 2, 3, 4]]), torch.zeros(1, 5))
    assert torch.isfinite(scores[0]).tolist() == [True, False, False, False, False]

    class Nothing(Counted):
        def barred(self, state: tuple[int, ...], left: int, scores: torch.Tensor) -> Array:
            return np.ones(5, dtype=bool)

    scores = RuleProcessor([Nothing()], 0, 9, frozenset({0}))(torch.tensor([[1, 2]]), torch.zeros(1, 5))
    assert torch.isfinite(scores[0]).tolist() == [True, False, False, False, False]


def test_a_text_without_whole_characters_is_not_written() -> None:
    tokenizer = tokenizer_of("sentencepiece")
    model = tiny_llama(len(tokenizer), 7)
    model.lm_head.weight.data[tokenizer.convert_tokens_to_ids("<0xE7>")] *= 3
    prompt = tokenizer.encode("the", add_special_tokens=False)
    for seed in range(3):
        settings = Decoding(max_new_tokens=20, do_sample=True, temperature=2.0, seed=seed)
        ((found,),) = generate(model, tokenizer, [prompt], settings, Constraints(forbid=("fox",)))
        assert "\N{REPLACEMENT CHARACTER}" not in continuation(tokenizer, prompt, list(found.token_ids))
