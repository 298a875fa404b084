"""Builds HTML from nested calls. Escapes everything that is not markup already, so that data cannot become code."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable

from tunesmith.results import finite

VOID = frozenset({"br", "input", "meta"})
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """A string of HTML."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Escapes a value as HTML text or attribute value; replaces control characters and lone surrogates by U+FFFD."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(UNPRINTABLE.sub("\ufffd", str(value)), quote=True))


def join(children: Iterable[object], separator: str = "") -> Markup:
    """Joins the children, each escaped unless it is markup; skips None."""
    return Markup(separator.join(escape(child) for child in children if child is not None))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Builds one element. ``class_`` means ``class``, ``data_sort`` means ``data-sort``; skips attributes of None or False."""
    shown = "".join(attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def attribute(key: str, value: object) -> str:
    """Formats one attribute with a leading space."""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def embedded_json(value: object) -> Markup:
    """Formats JSON that cannot end its script element; numbers that are not finite become null."""
    text = json.dumps(finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
