"""The recorded text of tokens is the text that decoding them adds, for every kind of tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generation.made import KINDS, tokenizer_of
from tunesmith.generation.keyword_tracker import usual_sequences
from tunesmith.generation.token_text import INNER, START, complete_characters, continuation, decoded, vocabulary_text


def walked(kind: str, choices: list[int], place: int) -> tuple[list[int], str, int]:
    """Tokens that may follow each other, chosen by the numbers, what the vocabulary say they write, and the last place."""
    found = vocabulary_text(tokenizer_of(kind), len(tokenizer_of(kind)))
    tokens, text = [], ""
    for choice in choices:
        here = found.at(place)
        possible = (here.following >= 0).nonzero()[0]
        token = int(possible[choice % len(possible)])
        at = {int(other): n for n, other in enumerate(here.order)}.get(token)
        text += "" if at is None else "".join(chr(column[at]) for column in here.columns if at < len(column))
        tokens.append(token)
        place = int(here.following[token])
    return tokens, text, place


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choices=st.lists(st.integers(0, 10_000), max_size=12))
def test_the_text_of_tokens_is_the_sum_of_their_surfaces(kind: str, choices: list[int]) -> None:
    prompt = tokenizer_of(kind).encode("the cat", add_special_tokens=False)
    tokens, text, place = walked(kind, choices, INNER)
    written = continuation(tokenizer_of(kind), prompt, tokens)
    assert place > START or written == text


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choices=st.lists(st.integers(0, 10_000), max_size=8))
def test_a_text_without_a_prompt_begins_as_decoding_begins_it(kind: str, choices: list[int]) -> None:
    tokens, text, place = walked(kind, choices, START)
    written = decoded(tokenizer_of(kind), [tokens])[0]
    assert place > START or written == text


def test_bytes_of_one_character_stay_together() -> None:
    found = vocabulary_text(tokenizer_of("sentencepiece"), len(tokenizer_of("sentencepiece")))
    first, second, third = (tokenizer_of("sentencepiece").convert_tokens_to_ids(f"<0x{b:02X}>") for b in "狐".encode())
    inside = int(found.at(INNER).following[first])
    assert inside > START
    letter = tokenizer_of("sentencepiece").convert_tokens_to_ids("a")
    assert found.at(inside).following[letter] == -1
    further = int(found.at(inside).following[second])
    assert found.at(further).following[third] == INNER
    assert found.at(INNER).following[second] == -1


def test_bytes_that_lead_to_no_character_are_refused_at_once() -> None:
    assert complete_characters(b"\xed", b"\xa0") is None  # a surrogate, which no third byte makes a character
    assert complete_characters(b"\xed", b"\x9f") == ("", b"\xed\x9f")
    assert complete_characters(b"", b"\xa0") is None
    assert complete_characters(b"\xc3", b"\xa9!") == ("é!", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_the_usual_spellings_of_a_word_decode_to_it(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    prompt = tokenizer.encode("a", add_special_tokens=False)
    found = usual_sequences(tokenizer, "fox")
    assert found
    assert {continuation(tokenizer, prompt, list(tokens)).strip() for tokens in found} == {"fox"}
