"""Generation with encoder-decoders: every way of decoding and every constraint, against plain forward passes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tests.generation.made import CORPUS, tokenizer_of
from tunesmith.errors import GenerationError
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.decode import generate
from tunesmith.generation.encoder_decoder import decoder_prefix, encoder_inputs
from tunesmith.generation.labels import label_probabilities, label_tokens

FAMILIES = ("t5", "bart")
POSITIONS = 40
WAYS: tuple[dict[str, Any], ...] = ({}, {"num_beams": 3}, {"do_sample": True, "temperature": 1.5})
CONSTRAINTS = (
    Constraints(must_include=("fox", "dog")),
    Constraints(any_of=(("cat", "fox"),), forbid=("the",)),
    Constraints(forbid=("the", "fox")),
    Constraints(choices=("yes", "no", "not sure")),
    Constraints(bias={"fox": 5.0}),
)


@cache
def unigram() -> Any:
    """A tokenizer as T5's: unigrams, blanks before words, ``</s>`` after a text, and the end of the corpus' characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import T5Tokenizer

    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
    raw.train_from_iterator([text for text in CORPUS if text.isascii()], trainer)
    pieces = [(piece, score) for piece, score in json.loads(raw.to_str())["model"]["vocab"]]
    return T5Tokenizer(vocab=[*pieces, *((f"<extra_id_{i}>", 0.0) for i in (1, 0))], extra_ids=2)


@cache
def framed() -> Any:
    """A byte-level tokenizer as BART's: ``<s>`` before a text and ``</s>`` after it."""
    from copy import deepcopy

    from tokenizers import processors

    words = deepcopy(tokenizer_of("byte_level"))
    words.add_special_tokens({"bos_token": "<s>"})
    ends = [("<s>", words.bos_token_id), ("</s>", words.eos_token_id)]
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return words


@cache
def made(family: str) -> tuple[Any, Any]:
    from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

    words = unigram() if family == "t5" else framed()
    torch.manual_seed(1)
    tokens = {"pad_token_id": words.pad_token_id, "eos_token_id": words.eos_token_id, "vocab_size": len(words)}
    if family == "t5":
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
        config = T5Config(**tokens, **sizes, decoder_start_token_id=words.pad_token_id, initializer_factor=2.0)
        return T5ForConditionalGeneration(config).eval(), words
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 2), ("attention_heads", 4))}
    forced = {"forced_bos_token_id": words.bos_token_id, "forced_eos_token_id": words.eos_token_id, "init_std": 0.3}
    start = {"decoder_start_token_id": words.eos_token_id, "bos_token_id": words.bos_token_id}
    bart = BartForConditionalGeneration(
        BartConfig(**tokens, **sides, **forced, **start, d_model=32, max_position_embeddings=POSITIONS)
    )
    bart.generation_config.min_length = 7  # published ones have such settings of their own task
    return bart.eval(), words


def prompts(words: Any) -> list[list[int]]:
    return [words(text)["input_ids"] for text in ("the fox ran to the cat", "a dog", "where is the red fox and the dog?")]


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_search_is_the_likeliest_token_again_and_again(family: str) -> None:
    model, words = made(family)
    texts = generate(model, words, prompts(words), Decoding(max_new_tokens=6))
    for ids, (text,) in zip(prompts(words), texts, strict=True):
        decoder, logprob = decoder_prefix(model, words), 0.0
        for token in text.token_ids:
            with torch.inference_mode():
                logits = model(**encoder_inputs(model, [ids]), decoder_input_ids=torch.tensor([decoder])).logits[0, -1]
            assert int(logits.argmax()) == token
            logprob += float(torch.log_softmax(logits, -1)[token])
            decoder = [*decoder, token]
        assert text.logprob == pytest.approx(logprob, abs=1e-3)
        assert text.text == words.decode(text.token_ids, skip_special_tokens=True).lstrip(" ") or family == "bart"
        assert not text.continues


@pytest.mark.parametrize("way", WAYS[:2], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_batch_does_not_change_a_text(family: str, way: dict[str, Any]) -> None:
    model, words = made(family)
    settings = Decoding(max_new_tokens=6, **way)
    for wanted in (None, *CONSTRAINTS):
        together = generate(model, words, prompts(words), settings, wanted)
        alone = [generate(model, words, [ids], settings, wanted)[0] for ids in prompts(words)]
        assert [[text.token_ids for text in row] for row in together] == [[text.token_ids for text in row] for row in alone]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("wanted", CONSTRAINTS[:4], ids=lambda constraints: str(constraints.form or constraints.groups))
@pytest.mark.parametrize("family", FAMILIES)
def test_constraints_hold(family: str, wanted: Constraints, way: dict[str, Any]) -> None:
    model, words = made(family)
    if wanted.groups and "do_sample" in way:
        with pytest.raises(GenerationError, match="cannot be sampled"):
            generate(model, words, prompts(words), Decoding(**way), wanted)
        return
    for (text,) in generate(model, words, prompts(words), Decoding(max_new_tokens=16, **way), wanted):
        assert text.satisfied, text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bias_raises_a_word(family: str) -> None:
    model, words = made(family)
    plain, biased = (
        generate(model, words, prompts(words), Decoding(max_new_tokens=8), wanted)
        for wanted in (None, Constraints(bias={"fox": 50.0}))
    )
    assert sum("fox" in row[0].text for row in biased) > sum("fox" in row[0].text for row in plain)


def test_a_regular_expression_holds() -> None:
    pytest.importorskip("llguidance")
    model, words = made("bart")
    for (text,) in generate(model, words, prompts(words), Decoding(max_new_tokens=12), Constraints(regex="(fox|dog)+")):
        assert text.satisfied, text


def test_a_tokenizer_that_llguidance_cannot_read_is_refused() -> None:
    """It knows no decoder like T5's, which takes the blank from the first word."""
    pytest.importorskip("llguidance")
    model, words = made("t5")
    with pytest.raises(GenerationError, match="llguidance cannot read this tokenizer"):
        generate(model, words, prompts(words), Decoding(), Constraints(regex="(fox|dog)+"))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_setting_of_the_models_own_applies(family: str) -> None:
    """BART's config forces an end at the last place, and this one a least length: a text that was cut off is not finished."""
    model, words = made(family)
    for (text,) in generate(model, words, prompts(words), Decoding(max_new_tokens=2)):
        assert text.finished == (text.token_ids[-1] == words.eos_token_id)
        assert not text.finished
    short = generate(model, words, prompts(words), Decoding(max_new_tokens=9), Constraints(choices=("no", "yes")))
    assert all(text.finished for (text,) in short)


@pytest.mark.parametrize("family", FAMILIES)
def test_label_probabilities_are_those_of_the_sequences(family: str) -> None:
    model, words = made(family)
    labels = ("yes", "not sure", "no")
    shares = label_probabilities(model, words, prompts(words), labels)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    expected = np.zeros_like(shares)
    for i, ids in enumerate(prompts(words)):
        for k, label in enumerate(labels):
            tokens = [*label_tokens(words, [label])[0], words.eos_token_id]
            decoder = torch.tensor([[*decoder_prefix(model, words), *tokens]])
            with torch.inference_mode():
                logits = model(**encoder_inputs(model, [ids]), decoder_input_ids=decoder).logits[0].double()
            n = len(tokens)
            expected[i, k] = float(torch.log_softmax(logits[-n - 1 : -1], -1)[torch.arange(n), torch.tensor(tokens)].sum())
    weights = np.exp(expected - expected.max(axis=1, keepdims=True))
    np.testing.assert_allclose(shares, weights / weights.sum(axis=1, keepdims=True), atol=1e-5)


def test_a_stream_is_the_text_alone() -> None:
    model, words = made("t5")
    pieces: list[str] = []
    ((text,),) = generate(model, words, prompts(words)[:1], Decoding(max_new_tokens=6), stream=pieces.append)
    assert "".join(pieces) == text.text


def test_prompts_and_texts_beyond_the_positions_are_refused() -> None:
    model, words = made("bart")
    with pytest.raises(GenerationError, match="more than the encoder's 40 positions"):
        generate(model, words, [[5] * 41], Decoding(max_new_tokens=4))
    with pytest.raises(GenerationError, match="Give at most 38"):
        generate(model, words, [[5] * 4], Decoding(max_new_tokens=39))
    assert generate(model, words, [[5] * 40], Decoding(max_new_tokens=38))
