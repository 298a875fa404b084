"""The review page: rows with what is doubtful about them, decided on by keyboard, as one self-contained HTML file.

The page works from a file, without a server and without a network. It keeps the decisions in the browser and writes them
out as ``corrections.csv``. What is shown of a row is put there by ``review.js`` as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tunesmith.report.markup import Markup, embedded_json, tag
from tunesmith.report.numbers import ABSENT, count, plural
from tunesmith.report.shell import html_page, packaged
from tunesmith.results import Finding

COMMANDS: tuple[tuple[str, str, str, str], ...] = (
    ("next", "j", "Next", "the next row (also ↓)"),
    ("previous", "k", "Previous", "the row before (also ↑)"),
    ("accept", "a", "Accept", "the proposed label is right"),
    ("reject", "r", "Reject", "the given label stands"),
    ("relabel", "l", "Relabel", "another label: type to filter, Enter chooses, Esc cancels"),
    ("remove", "x", "Remove", "take the row out of the data"),
    ("undo", "u", "Undo", "take back the last decision (also Ctrl-Z)"),
    ("redo", "U", "Redo", "decide it again after all (Shift-U)"),
    ("search", "/", "Search", "go to the search; Esc or Enter comes back"),
    ("download", "d", "Download", "write the corrections to corrections.csv"),
    ("keys", "?", "Keys", "this list"),
)
"""What can be done on the page: command, key, name of its button, explanation."""
ARROWS = {"next": "↓", "previous": "↑"}
"""What stands on buttons instead of their name, which those who cannot see them still hear."""


@dataclass(frozen=True)
class ReviewRows:
    """The rows to review as columns: plain lists, all of length N.

    Attributes:
        row_ids: positions in the source file; unique together with the split.
        pairs: second texts, or None where rows have one text.
        given: the label in the data as an index into the labels; -1 where there is none.
        proposed: the label to put there instead, as an index into the labels; -1 where none is proposed.
        scores: how sound the row is, in [0, 1] with 0 = worst; None where it was not judged.
        diagnoses: for each row the diagnoses that flag it, as indices into the diagnosis names.
        reasons: why the row is shown, in words; may be empty.
        confidence: mean probability of the given label over the epochs, in [0, 1]; NaN where the row is not on the data map.
        variability: standard deviation of that probability; NaN likewise.
        correctness: epochs in which the given label was predicted.

    Raises:
        ValueError: columns differ in length, a score is outside [0, 1], or the data map is there in part.
    """

    row_ids: list[int]
    splits: list[str]
    texts: list[str]
    pairs: list[str] | None
    given: list[int]
    proposed: list[int]
    scores: list[float | None]
    flagged: list[bool]
    diagnoses: list[list[int]]
    reasons: list[str]
    confidence: list[float] | None = None
    variability: list[float] | None = None
    correctness: list[int] | None = None

    def __post_init__(self) -> None:
        for name, column in self.columns().items():
            if column is not None and len(column) != len(self.row_ids):
                raise ValueError(f"rows.{name} has {len(column):,} values for {plural(len(self.row_ids), 'row')}")
        for i, score in enumerate(self.scores):
            if score is not None and not 0 <= score <= 1:
                raise ValueError(f"rows.scores[{i}] is {score}, not in [0, 1]")
        there = [column is not None for column in (self.confidence, self.variability, self.correctness)]
        if any(there) and not all(there):
            raise ValueError("rows.confidence, rows.variability and rows.correctness make the data map: give all three or none")

    def columns(self) -> dict[str, list[Any] | None]:
        """Column name -> values, in the order of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Review:
    """What the page shows.

    Attributes:
        source: the file that is reviewed, as the reader knows it.
        source_sha256: of that file. Decisions are kept under it, so that they come back with the same data and no other.
        labels: every label a row may be given.
        findings: what each diagnosis found, and which did not run.

    Raises:
        ValueError: an index points behind the labels or the diagnosis names.
    """

    title: str
    source: str
    source_sha256: str
    labels: tuple[str, ...]
    diagnosis_names: tuple[str, ...]
    findings: tuple[Finding, ...]
    rows: ReviewRows

    def __post_init__(self) -> None:
        check_indices("rows.given", self.rows.given, -1, len(self.labels), "labels")
        check_indices("rows.proposed", self.rows.proposed, -1, len(self.labels), "labels")
        for i, flags in enumerate(self.rows.diagnoses):
            check_indices(f"rows.diagnoses[{i}]", flags, 0, len(self.diagnosis_names), "diagnosis_names")


def check_indices(name: str, indices: Sequence[int], least: int, end: int, into: str) -> None:
    """Raise ValueError where an index is not in [``least``, ``end``)."""
    for i, index in enumerate(indices):
        if not least <= index < end:
            raise ValueError(f"{name}[{i}] is {index}, but {into} has {end:,} entries")


def write_review(review: Review, path: Path) -> Path:
    """Write the page and return its path."""
    path = Path(path)
    path.write_text(review_html(review), encoding="utf-8", newline="\n")
    return path


def review_html(review: Review) -> str:
    """The whole page."""
    body = [
        tag("a", "Skip to the rows", href="#list", class_="skip"),
        header(review),
        tag("p", id="note", class_="warning", role="alert", hidden=True),
        tag("noscript", tag("p", "This page needs JavaScript: it shows and keeps everything by itself.", class_="warning")),
        findings(review.findings),
        tag("div", choosing(), deciding(review), class_="columns"),
        tag("p", id="said", class_="unseen", role="status", aria_live="polite"),
        picker(),
        keys(),
        tag("script", embedded_json(embedded(review)), type="application/json", id="review-data"),
    ]
    scripts = [packaged(name) for name in ("review_kept.js", "review_picker.js", "review_map.js", "review.js")]
    return html_page(f"{review.title} · tunesmith review", ("theme.css", "review.css"), body, scripts)


def embedded(review: Review) -> dict[str, Any]:
    """What the scripts read: everything but the title, the source and the findings, which are in the page already."""
    return {
        "source_sha256": review.source_sha256, "labels": review.labels, "diagnosis_names": review.diagnosis_names,
        "rows": review.rows.columns(),
    }  # fmt: skip


def button(command: str, class_: str | None = None) -> Markup:
    """The button of a command, with its key."""
    _, key, name, explanation = next(entry for entry in COMMANDS if entry[0] == command)
    return tag(
        "button", tag("span", ARROWS.get(command, name)), " ", tag("kbd", key, aria_hidden="true"), type="button",
        data_do=command, class_=class_, title=f"{name} ({key}): {explanation}", aria_label=name,
        aria_keyshortcuts="Shift+U" if key == "U" else key,
    )  # fmt: skip


def header(review: Review) -> Markup:
    """The title, where the rows are from, how far the work is, and the file it ends in."""
    digest = tag("code", review.source_sha256[:12], title=f"sha256 {review.source_sha256}") if review.source_sha256 else None
    heading = tag(
        "div",
        tag("p", "tunesmith review", class_="brand"),
        tag("h1", review.title),
        tag("p", review.source, " ", digest, class_="source"),
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
    """What each diagnosis found and what to do about it, the most rows first, behind one line."""
    if not found:
        return None
    ran = sum(not finding.skipped for finding in found)
    line = f"What was found: {count(ran)} {'diagnosis' if ran == 1 else 'diagnoses'} ran"
    skipped = len(found) - ran
    summary = tag("summary", line, f", {skipped} did not" if skipped else None)
    ordered = sorted(found, key=lambda finding: (bool(finding.skipped), -finding.flagged))
    return tag("details", summary, tag("ul", *(finding_item(finding) for finding in ordered)), class_="findings")


def finding_item(finding: Finding) -> Markup:
    """One diagnosis: rows flagged, what it found, what to do about it."""
    is_quiet = bool(finding.skipped) or not finding.flagged
    badge = tag("span", ABSENT if finding.skipped else count(finding.flagged), class_="badge none" if is_quiet else "badge")
    said = f": did not run: {finding.skipped}" if finding.skipped else f": {finding.summary}"
    remedy = tag("p", finding.remedy, class_="note") if finding.remedy else None
    return tag("li", badge, tag("div", tag("strong", finding.name.replace("_", " ")), said, remedy))


def choosing() -> Markup:
    """The search, the filters and the list; the script fills in what there is to choose from."""
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


def deciding(review: Review) -> Markup:
    """The selected row, the buttons that decide on it, and the data map where there is one."""
    names = ("accept", "reject", "relabel", "remove", "previous", "next", "undo", "redo")
    actions = tag("div", *(button(name) for name in names), class_="actions", role="toolbar", aria_label="Decide on the row")
    labels = [
        tag("div", tag("dt", name), tag("dd", id=f"row-{name}"), class_=name) for name in ("given", "proposed", "chosen", "score")
    ]
    row = tag(
        "article",
        tag("div", tag("h2", id="row-title"), tag("span", id="row-status", class_="badge none"), class_="titles"),
        tag("dl", *labels, class_="labels"),
        tag("p", id="row-reason"),
        tag("ul", id="row-diagnoses", class_="chips", aria_label="Diagnoses that flag this row"),
        tag("div", id="row-text", class_="text", dir="auto"),
        tag("div", id="row-pair", class_="text", dir="auto") if review.rows.pairs is not None else None,
        tag("p", id="row-training", class_="quiet"),
        id="row", aria_labelledby="row-title", tabindex="0",
    )  # fmt: skip
    return tag("main", actions, row, data_map() if review.rows.confidence is not None else None, class_="deciding")


def data_map() -> Markup:
    """The place for the data map (Swayamdipta et al. 2020, "Dataset Cartography")."""
    words = "Data map: each point is a row, by the mean and the spread of the probability that its given label had in training."
    return tag(
        "figure",
        tag("figcaption", tag("strong", "Data map"), " click a point to see its row"),
        tag("div", role="img", aria_label=words, class_="plane"),
        tag("div", class_="legend"),
        id="map",
    )


def picker() -> Markup:
    """The dialog that chooses another label."""
    typed = tag(
        "input", id="picker-input", type="text", role="combobox", aria_controls="picker-list", aria_expanded="true",
        aria_autocomplete="list", aria_label="Type to filter the labels", placeholder="type to filter the labels",
        autocomplete="off",
    )  # fmt: skip
    cancel = tag("button", "Cancel ", tag("kbd", "Esc", aria_hidden="true"), type="button", data_close="picker")
    return tag(
        "dialog",
        tag("h2", "Relabel", id="picker-title"),
        typed,
        tag("div", id="picker-list", role="listbox", aria_label="Labels"),
        tag("p", id="picker-note", class_="note", role="status"),
        cancel,
        id="picker", aria_labelledby="picker-title",
    )  # fmt: skip


def keys() -> Markup:
    """The dialog that explains the keys."""
    lines = [
        tag("div", tag("dt", tag("kbd", key)), tag("dd", tag("strong", name), f": {explanation}"))
        for _, key, name, explanation in COMMANDS
    ]
    kept = "Decisions are kept in this browser. Only corrections.csv takes them out of it."
    close = tag("button", "Close ", tag("kbd", "Esc", aria_hidden="true"), type="button", data_close="keys")
    title = tag("h2", "Keys", id="keys-title")
    return tag("dialog", title, tag("dl", *lines), tag("p", kept, class_="note"), close, id="keys", aria_labelledby="keys-title")
