from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.report.markup import UNPRINTABLE, Markup, escape, join, tag


class Reader(HTMLParser):
    """What a browser would see: the elements with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


@given(st.text())
def test_any_text_is_read_back_as_text_and_never_as_an_element(text: str) -> None:
    seen = read(tag("p", text, title=text))
    kept = UNPRINTABLE.sub("\ufffd", text)
    assert [name for name, _ in seen.elements] == ["p"]
    assert seen.text == kept
    assert seen.elements[0][1] == [("title", kept)]


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"
    assert join(["<", None, Markup("<br>")]) == "&lt;<br>"


def test_attributes_none_and_false_are_left_out_and_true_is_bare() -> None:
    assert tag("input", class_="a", data_sort=3, hidden=True, id=None, checked=False) == '<input class="a" data-sort="3" hidden>'


def test_lone_surrogates_and_control_characters_can_be_written_as_utf_8() -> None:
    assert escape("a\ud800b\x00c").encode("utf-8") == "a\ufffdb\ufffdc".encode()
