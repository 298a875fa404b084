"""What every page of a report has around it: the head, a policy that lets nothing else run, styles and scripts inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from tunesmith.report.markup import Markup, tag


def html_page(title: str, styles: Sequence[str], body: Sequence[object], scripts: Sequence[str]) -> str:
    """One self-contained HTML file.

    Args:
        styles: names of the installed style sheets, in the order of the cascade.
        body: what the page shows; anything that is not markup is escaped.
        scripts: the text of each script. They stand last, so that the page shows before they are read.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(scripts)),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup("".join(packaged(name) for name in styles))),
    )
    ends = [tag("script", Markup(script)) for script in scripts]
    return "<!doctype html>\n" + tag("html", head, tag("body", *body, *ends), lang="en") + "\n"


def policy(scripts: Sequence[str]) -> str:
    """A content security policy that lets exactly these scripts run and nothing be fetched, whatever the data holds."""
    digests = [base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii") for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {rest}"


def packaged(name: str) -> str:
    """A text file that is installed beside this module."""
    return resources.files("tunesmith.report").joinpath(name).read_text(encoding="utf-8")
