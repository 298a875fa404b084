from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.normalise import normalise, text_keys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", " hello   world"),
        ("don't", "don t"),
        ("ﬁne", "FINE"),
        ("Straße", "STRASSE"),
        ("a\u00a0b—c", "a b c"),
        ("２０２６", "2026"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"), [("good", "goods"), (":)", ":("), ("nice 🙂", "nice 😡"), ("कि", "का"), ("1.5", "15"), ("über", "uber")]
)
def test_not_the_same(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text(max_size=60))
def test_applied_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert " ".join(once.split()) == once
    assert bool(once) == bool(text.strip() and text.split())


def test_pairs_keep_their_order() -> None:
    assert text_keys(["a", "b"], ["b", "a"]) == ["a\nb", "b\na"]
