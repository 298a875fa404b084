"""HTML built from nested calls: whatever is not already markup is escaped, so text from data cannot become code."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

from tunesmith.results import finite

VOID = frozenset({"br", "input", "meta"})
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """``value`` as HTML text, also safe inside a quoted attribute; control characters and lone surrogates become U+FFFD."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(UNPRINTABLE.sub("\ufffd", str(value)), quote=True))


def join(children: Iterable[object], separator: str = "") -> Markup:
    """The children one after the other, each escaped unless it is markup; None is left out."""
    return Markup(separator.join(escape(child) for child in children if child is not None))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """One element. ``class_`` stands for ``class`` and ``data_sort`` for ``data-sort``; None and False leave an attribute out."""
    shown = "".join(attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def attribute(key: str, value: object) -> str:
    """One attribute with its leading space."""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def embedded_json(value: Any) -> Markup:
    """``value`` as JSON that cannot end the script element it stands in; numbers that are not finite become null."""
    text = json.dumps(finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
