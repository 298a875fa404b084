"""Texts of expressions and schemas are valid and end in time under greedy search, sampling and beams."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from tests.generation.made import letters, tiny_llama, tokenizer_of
from tunesmith.errors import GenerationError, MissingExtra
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.decode import generate

WAYS = [{}, {"do_sample": True, "num_return_sequences": 2}, {"num_beams": 3, "num_return_sequences": 2}]
REGEXES = [r"[a-z]+!", r"(cat|dog)s? and (cat|dog)s?\.", r"\d{3}-[A-Z]{2,4}", r"a*b+c", r"[^x]*x", r"(ab)+(é|狐)?z"]
SCHEMAS = [
    {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"]},
    {"type": "array", "items": {"enum": ["cat", "dog", 3]}, "minItems": 2, "maxItems": 4},
    {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}, "b": {"type": "boolean"}},
     "required": ["a", "b"], "additionalProperties": False},
    {"type": ["string", "null"], "maxLength": 5},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_text_matches_its_expression(kind: str, way: dict[str, int]) -> None:
    tokenizer = tokenizer_of(kind)
    model, prompts = tiny_llama(len(tokenizer), 1), [tokenizer.encode("the cat", add_special_tokens=False)] * len(REGEXES)
    sets = [Constraints(regex=regex) for regex in REGEXES]
    for texts, regex in zip(generate(model, tokenizer, prompts, Decoding(max_new_tokens=40, **way), sets), REGEXES, strict=True):
        for written in texts:
            assert re.fullmatch(regex, written.text), (regex, written)
            assert written.satisfied


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_text_fulfils_its_schema(kind: str, way: dict[str, int]) -> None:
    tokenizer = tokenizer_of(kind)
    model, prompts = tiny_llama(len(tokenizer), 2), [tokenizer.encode("the cat", add_special_tokens=False)] * len(SCHEMAS)
    sets = [Constraints(json_schema=schema) for schema in SCHEMAS]
    for texts, schema in zip(generate(model, tokenizer, prompts, Decoding(max_new_tokens=60, **way), sets), SCHEMAS, strict=True):
        for written in texts:
            jsonschema.validate(json.loads(written.text), schema)
            assert written.satisfied


@pytest.mark.parametrize("regex", [r"\d\D\w\W\s\S", r"[\d\s]{3}", r"[^\d]{2}[^\w\s]", r"\\d\.\[x\]"])
def test_classes_mean_what_they_mean_in_python(regex: str) -> None:
    tokenizer = tokenizer_of("byte_level")
    for seed in range(6):
        settings = Decoding(max_new_tokens=30, do_sample=True, top_k=0, temperature=3.0, seed=seed)
        ((found,),) = generate(tiny_llama(len(tokenizer)), tokenizer, [[5, 6]], settings, Constraints(regex=regex))
        assert re.fullmatch(regex, found.text)


def test_too_few_tokens_are_reported() -> None:
    tokenizer = tokenizer_of("byte_level")
    ((found,),) = generate(
        tiny_llama(len(tokenizer)), tokenizer, [[5, 6]], Decoding(max_new_tokens=5), Constraints(regex="[a-z]{30}")
    )  # fmt: skip
    assert found.satisfied is False
    assert found.note == "not satisfied within 5 tokens: it does not match the regular expression"


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ({"regex": r"(?=a)b"}, "regex: this expression cannot be generated: .*look-around"),
        ({"regex": r"(a)\1"}, "regex: this expression cannot be generated: .*backreferences"),
        ({"json_schema": {"type": "objekt"}}, "json_schema: this schema cannot be generated: Invalid type: objekt"),
    ],
)
def test_what_cannot_be_generated_is_refused(requested: dict[str, str], message: str) -> None:
    tokenizer = tokenizer_of("byte_level")
    with pytest.raises(GenerationError, match=message):
        generate(tiny_llama(len(tokenizer)), tokenizer, [[5]], Decoding(max_new_tokens=5), Constraints(**requested))


def test_without_the_library_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tunesmith\[constraints\]'"):
        generate(tiny_llama(6), letters(), [[1]], Decoding(max_new_tokens=3), Constraints(regex="a"))
