"""Builds the page of a run that a notebook shows: advice, headline, metrics, verdicts with their limits, and alarms."""

from __future__ import annotations

from pathlib import Path

from tunesmith.report import tables
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.recommendation import recommendation
from tunesmith.report.words import display_name, headline, looks_notes, main_split, verdict_notes
from tunesmith.results import Finding, RunResult

STYLE = Markup(
    ".tunesmith table{border-collapse:collapse;margin:.6em 0}.tunesmith caption{text-align:left;font-weight:600}"
    ".tunesmith th,.tunesmith td{padding:.2em .6em;text-align:left;border-bottom:1px solid #8884}"
    ".tunesmith thead th{vertical-align:bottom}.tunesmith td{white-space:nowrap}"
    ".tunesmith .num{text-align:right;font-variant-numeric:tabular-nums}.tunesmith .scroll{overflow-x:auto}"
    ".tunesmith .better{color:#1a7f37}.tunesmith .worse{color:#c62828}"
)
MOST_FINDINGS = 8


def run_page(name: str, result: RunResult, folder: Path | None = None) -> str:
    """Builds the page of a run or of an evaluation.

    Args:
        folder: of the run, to name its report; None for an evaluation, which has none.
    """
    alarms = [tag("li", tag("strong", "⚠ ", alarm.message), " ", alarm.remedy) for alarm in result.alarms]
    notes = verdict_notes(result) or looks_notes(result)
    file = None if folder is None else folder / "report.html"
    content = (
        tag("p", tag("strong", name, ": "), recommendation(result).sentence),
        tag("p", headline(result).sentence),
        tables.metrics_table(result, main_split(result)),
        tables.verdict_table(result.verdicts) if result.verdicts else None,
        tag("ul", *(tag("li", note) for note in notes)) if notes else None,
        tag("ul", *alarms) if alarms else None,
        tag("p", "The whole report: ", tag("code", file)) if file is not None and file.exists() else None,
    )
    return framed(*content)


def findings_page(title: str, findings: tuple[Finding, ...]) -> str:
    """Builds the page of a diagnosis: what it found, one line per diagnosis that flags rows."""
    flagged = [finding for finding in findings if finding.flagged]
    lines = [tag("li", tag("strong", display_name(finding.name), ": "), finding.text) for finding in flagged[:MOST_FINDINGS]]
    n_more = len(flagged) - len(lines)
    return framed(tag("p", tag("strong", title)), tag("ul", *lines, tag("li", f"and {n_more} more") if n_more > 0 else None))


def framed(*content: Markup | None) -> str:
    """Puts the style beside the content, which it does not reach beyond."""
    return str(tag("div", tag("style", STYLE), join(content), class_="tunesmith"))
