"""Builds the HTML around every page: head, content security policy, inline styles and scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from tunesmith.report.markup import Markup, tag


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
