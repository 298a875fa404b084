from __future__ import annotations

import pytest

from tunesmith.recipe.template import parse_template


@pytest.mark.parametrize(
    ("text", "names", "separators"),
    [
        ("{title}. {body}", ("title", "body"), ("", ". ", "")),
        ("<{ Review Text }>", ("Review Text",), ("<", ">")),
        ("{{{a}}} {b}", ("a", "b"), ("{", "} ", "")),
        ("{1}{a.b[0]:x}", ("1", "a.b[0]:x"), ("", "", "")),
    ],
)
def test_names_and_separators(text: str, names: tuple[str, ...], separators: tuple[str, ...]) -> None:
    assert parse_template(text) == (names, separators)


@pytest.mark.parametrize(
    ("text", "message"), [("{a", "no partner"), ("a}", "no partner"), ("{}", "no column"), ("a {{b}}", "names no")]
)
def test_templates_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_template(text)
