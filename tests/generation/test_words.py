"""A word's automaton agrees with reading the text, whatever the word, the text and the prompt."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tunesmith.generation.words import automaton, has_word, joins

ALPHABET = "ab .é狐_"
WORDS = st.text("ab é狐.", min_size=1, max_size=4).map(str.strip).filter(bool)
TEXTS = st.text(ALPHABET, max_size=12)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text("abc_ .,'\n1", max_size=20), st.text("abc1", min_size=1, max_size=3))
def test_a_whole_word_is_what_a_regular_expression_finds(text: str, word: str) -> None:
    assert has_word(text, word) == (re.search(rf"(?<!\w){word}(?!\w)", text) is not None)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(WORDS, TEXTS, TEXTS, st.booleans())
@example("..", "..", ".", False)
@example("a a", "a a", " a", False)
def test_the_automaton_finds_what_is_in_the_text(word: str, prompt: str, text: str, within: bool) -> None:
    found = automaton(word)
    state, alphabet = found.after(prompt, within), list(found.alphabet)
    for character in text:
        plain = len(alphabet) + joins(character)
        state = int(found.steps[state, alphabet.index(ord(character)) if ord(character) in alphabet else plain])
    is_found = bool(found.at_end[state]) and (bool(text) or state == found.found)
    assert is_found == has_word(text, word, prompt, within)


@pytest.mark.parametrize(
    ("text", "word", "is_in"),
    [
        ("the fox.", "fox", True),
        ("foxes", "fox", False),
        ("a Fox", "fox", False),
        ("fox-trot", "fox", True),
        ("x_fox", "fox", False),
        ("un café noir", "café", True),
        ("cafés", "café", False),
        ("一只狐狸跑", "狐狸", True),
        ("C++ is", "C++", True),
        ("a red fox", "red fox", True),
        ("a red  fox", "red fox", False),
        ("हिन्दी", "ह", False),
    ],
)
def test_what_a_whole_word_is(text: str, word: str, is_in: bool) -> None:
    assert has_word(text, word) is is_in


def test_the_prompt_is_the_neighbour_of_the_text() -> None:
    assert not has_word("y dog", "y", before="happ")
    assert has_word("y dog", "y", before="happ ")
    assert has_word("x ran", "fox", before="the fo", within=False)
    assert not has_word("x ran", "fox", before="the fo")
    assert not has_word(" ran", "fox", before="the fox", within=False)
