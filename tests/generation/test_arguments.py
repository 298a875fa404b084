"""The same constraints through ``model.generate`` and a pipeline, and settings that do not go together."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import pipeline

from tests.generation.made import tiny_llama, tokenizer_of
from tunesmith.errors import GenerationError
from tunesmith.generation.arguments import BEAMS_FOR_WORDS, Decoding, generation_arguments
from tunesmith.generation.constraints import Constraints, unfulfilled
from tunesmith.generation.decode import generate

WANTED = [
    Constraints(must_include=("fox",), forbid=("the",)),
    Constraints(forbid=("the", "a")),
    Constraints(choices=("cat", "dog")),
    Constraints(regex=r"[a-c]{2} \d"),
    Constraints(json_schema={"type": "array", "items": {"type": "integer"}, "maxItems": 2}),
]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.form or "words")
def test_a_pipeline_writes_what_generate_writes(wanted: Constraints) -> None:
    tokenizer = tokenizer_of("byte_level")
    model, decoding = tiny_llama(len(tokenizer), 1), Decoding(max_new_tokens=14)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    write = pipeline("text-generation", model=model, tokenizer=tokenizer)
    prompts = ["the cat", "she said:", "he"]
    found = write(prompts, return_full_text=False, **generation_arguments(tokenizer, wanted, decoding))
    texts = [texts[0]["generated_text"] for texts in found]
    assert [unfulfilled(wanted, text, prompt) for text, prompt in zip(texts, prompts, strict=True)] == [[]] * 3
    ids = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    assert [text.strip() for text in texts] == [
        each[0].text.strip() for each in generate(model, tokenizer, ids, decoding, wanted)
    ]


def test_a_tokenizer_can_be_copied_and_grow_afterwards() -> None:
    import copy
    import pickle

    tokenizer = copy.deepcopy(tokenizer_of("byte_level"))
    model, prompt = tiny_llama(len(tokenizer), 1), tokenizer.encode("the cat", add_special_tokens=False)
    for wanted in WANTED:
        generate(model, tokenizer, [prompt], Decoding(max_new_tokens=14), wanted)
    tokenizer = pickle.loads(pickle.dumps(copy.deepcopy(tokenizer)))
    tokenizer.add_tokens(["foxtrot"])
    grown = tiny_llama(len(tokenizer), 1)
    ((found,),) = generate(grown, tokenizer, [prompt], Decoding(max_new_tokens=14), Constraints(must_include=("foxtrot",)))
    assert found.satisfied


def test_a_bias_makes_a_word_likelier() -> None:
    tokenizer = tokenizer_of("word_pieces")
    model, prompt = tiny_llama(len(tokenizer), 1), tokenizer.encode("the cat", add_special_tokens=False)
    counts = []
    for bias in (-100.0, 0.0, 100.0):
        ((found,),) = generate(model, tokenizer, [prompt], Decoding(max_new_tokens=8), Constraints(bias={"dog": bias}))
        counts.append(found.text.split().count("dog"))
    assert counts[0] == 0
    assert counts[2] > counts[1]
    with pytest.raises(GenerationError, match="bias 'qqq': no tokens of this tokenizer spell it"):
        generation_arguments(tokenizer_of("whole_words"), Constraints(bias={"qqq": 1.0}))


def test_arguments_without_constraints_are_upstreams() -> None:
    arguments = generation_arguments(tokenizer_of("byte_level"), None, Decoding(num_beams=2, max_new_tokens=5))
    assert "custom_generate" not in arguments
    assert (arguments["num_beams"], arguments["max_new_tokens"], arguments["do_sample"]) == (2, 5, False)


def test_words_get_beams_where_none_were_requested() -> None:
    words = Constraints(must_include=("fox",))
    assert Decoding().beams(words) == BEAMS_FOR_WORDS
    assert Decoding(num_return_sequences=7).beams(words) == 7
    assert Decoding(num_beams=2).beams(words) == 2
    assert Decoding().beams(Constraints(forbid=("fox",))) == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_new_tokens": 0}, "max_new_tokens: 0 is out of its range."),
    ({"temperature": 0.0}, "temperature: 0.0 is out of its range."),
    ({"top_p": 1.5}, "top_p: 1.5 is out of its range."),
    ({"num_beams": 0}, "num_beams: 0 is out of its range."),
    ({"min_new_tokens": 99}, "min_new_tokens: 99 is out of its range."),
    ({"num_return_sequences": 3}, "num_return_sequences: 3 texts are requested, and without sampling 1 beam gives 1."),
    ({"num_return_sequences": 3, "num_beams": 2, "do_sample": True}, "3 texts are requested, and there are 2 beams."),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(GenerationError) as refused:
        generation_arguments(tokenizer_of("byte_level"), None, Decoding(**given))
    assert message in str(refused.value)


def test_words_cannot_be_drawn() -> None:
    with pytest.raises(GenerationError, match="do_sample: required words need beam search"):
        generation_arguments(tokenizer_of("byte_level"), Constraints(must_include=("fox",)), Decoding(do_sample=True))
