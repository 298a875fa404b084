"""Writes the review page: one self-contained HTML file to review flagged rows by keyboard.

The page works from a file, without a server or network. It stores decisions in the browser and exports them
as ``corrections.csv``. ``review.js`` inserts row contents as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.disk import write_text
from tunesmith.report.markup import Markup, html_page, packaged, tag
from tunesmith.report.numbers import count
from tunesmith.report.review_data import Review, packed_rows
from tunesmith.report.tables import finding_line
from tunesmith.results import Finding

COMMANDS: tuple[tuple[str, str, str, str], ...] = (
    ("next", "j", "Next", "go to the next row (also ↓)"),
    ("previous", "k", "Previous", "go to the previous row (also ↑)"),
    ("accept", "a", "Accept", "use the proposed label"),
    ("reject", "r", "Reject", "keep the given label"),
    ("relabel", "l", "Relabel", "choose another label: type to filter, Enter to choose, Esc to cancel"),
    ("remove", "x", "Remove", "remove the row from the data"),
    ("undo", "u", "Undo", "undo the last decision (also Ctrl-Z)"),
    ("redo", "U", "Redo", "redo the last undone decision (Shift-U)"),
    ("search", "/", "Search", "go to the search; Esc or Enter to return"),
    ("download", "d", "Download", "save the corrections as corrections.csv"),
    ("keys", "?", "Keys", "show this list"),
)
"""Commands of the page: command, key, name of its button, explanation."""
ARROWS = {"next": "↓", "previous": "↑"}
"""Symbols on buttons; screen readers read the name instead."""


def write_review(review: Review, path: Path) -> Path:
    path = Path(path)
    write_text(path, review_html(review))
    return path


def review_html(review: Review) -> str:
    """Builds the whole page; title, source and findings are in the HTML, all else is data for the scripts."""
    rows = packed_rows(review)
    body = [
        tag("a", "Skip to the rows", href="#list", class_="skip"),
        header(review),
        tag("p", id="note", class_="warning", role="alert", hidden=True),
        tag("noscript", tag("p", "This page needs JavaScript to show rows and store decisions.", class_="warning")),
        tag("p", rows.note, class_="note") if rows.note else None,
        findings(review.findings),
        tag("div", row_list(), row_details(review), class_="columns"),
        tag("p", id="announcement", class_="unseen", role="status", aria_live="polite"),
        picker(),
        keys(),
        tag("script", rows.text, type="application/gzip", id="review-data"),
    ]
    scripts = [packaged(name) for name in ("review_kept.js", "review_picker.js", "review_map.js", "review.js")]
    return html_page(f"{review.title} · tunesmith review", ("theme.css", "review.css"), body, scripts)


def button(command: str, class_: str | None = None) -> Markup:
    """Builds the button of a command, with its key."""
    _, key, name, explanation = next(entry for entry in COMMANDS if entry[0] == command)
    return tag(
        "button",
        tag("span", ARROWS.get(command, name)),
        " ",
        tag("kbd", key, aria_hidden="true"),
        type="button",
        data_do=command,
        class_=class_,
        title=f"{name} ({key}): {explanation}",
        aria_label=name,
        aria_keyshortcuts="Shift+U" if key == "U" else key,
    )


def header(review: Review) -> Markup:
    """Builds the header: title, source, progress, and the download button."""
    digest = tag("code", review.source_sha256[:12], title=f"sha256 {review.source_sha256}") if review.source_sha256 else None
    heading = tag(
        "div",
        tag("p", "tunesmith review", class_="brand"),
        tag("h1", review.title),
        tag("p", review.source, " ", digest, " · row numbers count from 0", class_="source"),
        class_="heading",
    )
    progress = tag(
        "div",
        tag("p", id="counter", role="status", aria_live="polite"),
        tag("div", tag("div", id="progress"), class_="track", aria_hidden="true"),
        tag("p", id="corrections", class_="quiet"),
        class_="progress",
    )
    return tag("header", heading, progress, tag("div", button("keys"), button("download", "strong"), class_="tools"))


def findings(found: Sequence[Finding]) -> Markup | None:
    """Builds an expandable list of the findings with their remedies, the most rows first."""
    if not found:
        return None
    n_run = sum(not finding.skipped for finding in found)
    n_skipped = len(found) - n_run
    title = f"Findings of {count(n_run)} {'diagnosis' if n_run == 1 else 'diagnoses'}"
    items = []
    for finding in sorted(found, key=lambda finding: (bool(finding.skipped), -finding.flagged)):
        badge, name, text = finding_line(finding)
        remedy = tag("p", finding.remedy, class_="note") if finding.remedy else None
        items.append(tag("li", badge, tag("div", name, text, remedy)))
    summary = tag("summary", title, f", {n_skipped} skipped" if n_skipped else None)
    return tag("details", summary, tag("ul", *items), class_="findings")


def row_list() -> Markup:
    """Builds the search, the filters and the list of rows; the script fills in their options."""
    search = tag(
        "input", id="search", type="search", placeholder="search the texts", aria_label="Search the texts", autocomplete="off"
    )
    sorts = (("score", "worst first"), ("row", "by row number"), ("given", "by given label"))
    order = tag("select", *(tag("option", name, value=key) for key, name in sorts), id="sort", autocomplete="off")
    flagged = tag("label", tag("input", id="flagged", type="checkbox", autocomplete="off"), "flagged only", class_="check")
    names = ("split", "given", "proposed", "diagnosis", "status")
    selects = [
        tag("label", tag("span", name), tag("select", id=f"filter-{name}", autocomplete="off"), id=f"choose-{name}")
        for name in names
    ]
    filters = tag("details", tag("summary", "Filters"), tag("div", *selects, class_="selects"), id="filters", open=True)
    bar = tag("div", search, tag("label", tag("span", "sort", class_="unseen"), order), flagged, class_="bar")
    shown = tag("p", tag("span", id="shown"), tag("button", "Clear filters", type="button", id="clear", hidden=True))
    rows = tag("div", tag("div", id="runway", role="presentation"), id="list", role="listbox", tabindex="0", aria_label="Rows")
    empty = tag("p", "No row passes the filters.", id="empty", class_="quiet", hidden=True)
    return tag("section", bar, filters, shown, empty, rows, class_="choosing", role="search", aria_label="Rows to review")


def row_details(review: Review) -> Markup:
    """Builds the view of the selected row, its buttons, and the data map if there is one."""
    names = ("accept", "reject", "relabel", "remove", "previous", "next", "undo", "redo")
    actions = tag("div", *(button(name) for name in names), class_="actions", role="toolbar", aria_label="Decide on the row")
    labels = [
        tag("div", tag("dt", name), tag("dd", id=f"row-{name}"), class_=name) for name in ("given", "proposed", "chosen", "score")
    ]
    parts = [
        tag("div", tag("h2", id="row-title"), tag("span", id="row-status", class_="badge none"), class_="titles"),
        tag("dl", *labels, class_="labels"),
        tag("p", id="row-reason"),
        tag("ul", id="row-diagnoses", class_="chips", aria_label="Diagnoses that flag this row"),
        tag("div", id="row-text", class_="text", dir="auto"),
        tag("div", id="row-pair", class_="text", dir="auto") if review.rows.pairs is not None else None,
        tag("p", id="row-training", class_="quiet"),
    ]
    row = tag("article", *parts, id="row", aria_labelledby="row-title", tabindex="0")
    return tag("main", actions, row, data_map() if review.rows.confidence is not None else None, class_="deciding")


def data_map() -> Markup:
    """Builds the container of the data map (Swayamdipta et al. 2020, "Dataset Cartography")."""
    label = "Data map: each point is a row, by mean and standard deviation of the probability of its given label over the epochs."
    return tag(
        "figure",
        tag("figcaption", tag("strong", "Data map"), " click a point to see its row"),
        tag("div", role="img", aria_label=label, class_="plane"),
        tag("div", class_="legend"),
        id="map",
    )


def picker() -> Markup:
    """Builds the dialog for choosing another label."""
    field = tag(
        "input",
        id="picker-input",
        type="text",
        role="combobox",
        aria_controls="picker-list",
        aria_expanded="true",
        aria_autocomplete="list",
        aria_label="Type to filter the labels",
        placeholder="type to filter the labels",
        autocomplete="off",
    )
    cancel = tag("button", "Cancel ", tag("kbd", "Esc", aria_hidden="true"), type="button", data_close="picker")
    return tag(
        "dialog",
        tag("h2", "Relabel", id="picker-title"),
        field,
        tag("div", id="picker-list", role="listbox", aria_label="Labels"),
        tag("p", id="picker-note", class_="note", role="status"),
        cancel,
        id="picker",
        aria_labelledby="picker-title",
    )


def keys() -> Markup:
    """Builds the dialog that explains the keys."""
    lines = [
        tag("div", tag("dt", tag("kbd", key)), tag("dd", tag("strong", name), f": {explanation}"))
        for _, key, name, explanation in COMMANDS
    ]
    note = "Decisions are stored in this browser. Download corrections.csv to use them elsewhere."
    close = tag("button", "Close ", tag("kbd", "Esc", aria_hidden="true"), type="button", data_close="keys")
    title = tag("h2", "Keys", id="keys-title")
    return tag("dialog", title, tag("dl", *lines), tag("p", note, class_="note"), close, id="keys", aria_labelledby="keys-title")
