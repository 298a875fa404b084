"""Expressions followed character by character agree with Python's own on every short text, and know how to end."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.generation.expressions import follow, is_match, parsed, shortest

ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", r"\d", r"\W", "(?:ab)", "é", r"[^\d]", "[0-9b]"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?"])).map(lambda two: f"({two[0]}){two[1]}"),
    ),
    max_leaves=6,
)
TEXTS = ["".join(letters) for length in range(5) for letters in product("ab1\n", repeat=length)]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS, st.text("abé1\n٣", max_size=6))
def test_a_text_matches_where_pythons_re_matches(regex: str, text: str) -> None:
    assert is_match(regex, text) == (re.fullmatch(regex, text) is not None)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS, st.sampled_from(TEXTS))
def test_the_shortest_end_is_an_end_and_none_is_shorter(regex: str, begun: str) -> None:
    nodes = parsed(regex)
    assert nodes is not None
    end = shortest(follow(nodes, begun))
    ends = [text for text in TEXTS if re.fullmatch(regex, begun + text)]
    if end is None:
        assert ends == []
    else:
        assert re.fullmatch(regex, begun + end)
        assert all(len(end.encode()) <= len(text.encode()) for text in ends)


def test_a_text_that_python_takes_for_ever_over_is_read_at_once() -> None:
    assert not is_match(r"(.{2,4}v*)+(a?(?:q*[0-9]+)+\d(?:park))", "x" * 200)
    assert is_match(r"(a|a|aa)+b", "a" * 200 + "b")


@pytest.mark.parametrize("regex", ["^a$", r"(a)\1", "(?=a)a", "(?i)a", r"\ba"])
def test_what_is_not_followed_is_left_to_python(regex: str) -> None:
    assert parsed(regex) is None
    assert is_match(regex, "a") == (re.fullmatch(regex, "a") is not None)
