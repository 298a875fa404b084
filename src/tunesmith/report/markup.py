"""Builds HTML from nested calls, and the frame of every page: head, content security policy, inline styles and scripts.

Escapes everything that is not markup already, so that data cannot become code.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from importlib import resources

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


def isolated(text: str) -> str:
    """Encloses a name from data in Unicode isolates, so that a right-to-left name leaves the text beside it in its order."""
    return f"\u2068{text}\u2069"


def join(children: Iterable[object]) -> Markup:
    """Joins the children, each escaped unless it is markup; skips None."""
    return Markup("".join(escape(child) for child in children if child is not None))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Builds one element. ``class_`` means ``class``, ``data_sort`` means ``data-sort``; skips attributes of None or False."""
    shown = ""
    for key, value in attributes.items():
        if value is not None and value is not False:
            attribute = key.rstrip("_").replace("_", "-")
            shown += f" {attribute}" if value is True else f' {attribute}="{escape(value)}"'
    return Markup(f"<{name}{shown}>" if name in VOID else f"<{name}{shown}>{join(children)}</{name}>")


def html_page(title: str, styles: Sequence[str], body: Sequence[object], scripts: Sequence[str]) -> str:
    """Builds one self-contained HTML file.

    Args:
        styles: names of the installed style sheets, in the order of the cascade.
        body: content; anything that is not markup is escaped.
        scripts: the text of each script. They are at the end, so that the page is shown before they run.
    """
    metas = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(scripts)),
        tag("meta", name="referrer", content="no-referrer"),
    ]
    style = tag("style", Markup("".join(packaged(name) for name in styles)))
    head = tag("head", *metas, tag("title", title), style)
    body_scripts = [tag("script", Markup(script)) for script in scripts]
    return "<!doctype html>\n" + tag("html", head, tag("body", *body, *body_scripts), lang="en") + "\n"


def policy(scripts: Sequence[str]) -> str:
    """Returns a content security policy that allows only these scripts and no network requests."""
    digests = [base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii") for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {rest}"


def packaged(name: str) -> str:
    """Reads a text file of this package."""
    return resources.files("tunesmith.report").joinpath(name).read_text(encoding="utf-8")
