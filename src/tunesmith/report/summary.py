"""The result of a run in a few lines of plain text, for the end of a command."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tunesmith.report.numbers import ABSENT, is_number, plural, with_interval
from tunesmith.report.words import counted, headline, main_metric, main_split, plain_name, verdicts_on, worst_first
from tunesmith.results import Metric, RunResult, Verdict

WIDTH = 100
MOST_FINDINGS = 5


def summary_lines(result: RunResult) -> list[str]:
    """The headline, the metrics against the baselines, the alarms and the findings, at most 100 columns wide.

    The paths of what was written are left to the caller.
    """
    parts = [
        wrapped(headline(result).sentence),
        systems_lines(result),
        other_metrics(result),
        alarm_lines(result),
        finding_lines(result),
    ]
    lines: list[str] = []
    for block in parts:
        lines += ["", *block] if block and lines else block
    return lines


def wrapped(text: str, indent: str = "", hanging: str = "") -> list[str]:
    """One paragraph broken at 100 columns."""
    clean = " ".join(text.split())
    return textwrap.wrap(clean, WIDTH, initial_indent=indent, subsequent_indent=indent + hanging)


def aligned(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Rows as columns of equal width, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [shorten(indent + line) for line in lines]


def shorten(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def short(text: str, longest: int) -> str:
    """The text in one line, cut with a mark where it is longer."""
    clean = " ".join(text.split())
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def interval(metric: Metric | None) -> str:
    return ABSENT if metric is None else with_interval(metric.value, metric.low, metric.high)


def systems_lines(result: RunResult) -> list[str]:
    """The main metric of this run and of everything it was compared with, and the verdicts."""
    metric = main_metric(result)
    if metric is None:
        return []
    judged = {verdict.against: verdict for verdict in verdicts_on(result, metric)}
    measured = {
        b.name: next((m for m in b.metrics if (m.name, m.split) == (metric.name, metric.split)), None) for b in result.baselines
    }
    if not measured and not judged:
        return []
    names = [*judged, *(name for name in measured if name not in judged)]
    rows = [["this run", interval(metric), "", ""]]
    rows += [[short(plain_name(name), 30), interval(measured.get(name)), *verdict_cells(judged.get(name))] for name in names]
    rows = [["", plain_name(metric.name), "difference", "this run is"], *rows] if judged else [row[:2] for row in rows]
    return [f"{plain_name(metric.name)} on {metric.split}, {plural(metric.n, counted(metric))}", *aligned(rows)]


def verdict_cells(verdict: Verdict | None) -> list[str]:
    """The difference and the word."""
    if verdict is None:
        return ["", ""]
    return [with_interval(verdict.difference, verdict.low, verdict.high, signed=True), verdict.word]


def other_metrics(result: RunResult) -> list[str]:
    """Every other metric beside the best baseline's."""
    main, split = main_metric(result), main_split(result)
    others = [metric for metric in result.metrics if metric.split == split and metric != main]
    if not others:
        return []
    rows = [[plain_name(metric.name), interval(metric), *best_rival(result, metric)] for metric in others]
    heads = ["", "this run", "best baseline", ""]
    return [f"other metrics on {split}", *aligned([heads, *rows] if result.baselines else [row[:2] for row in rows])]


def best_rival(result: RunResult, metric: Metric) -> list[str]:
    """The best baseline's value in that metric and its name."""
    found = [
        (rival.value if metric.higher_is_better else -rival.value, baseline.name, rival)
        for baseline in result.baselines
        for rival in baseline.metrics
        if (rival.name, rival.split) == (metric.name, metric.split) and rival.value is not None and is_number(rival.value)
    ]
    if not found:
        return [ABSENT, ""]
    _, name, rival = max(found, key=lambda entry: entry[0])
    return [interval(rival), short(plain_name(name), 30)]


def alarm_lines(result: RunResult) -> list[str]:
    """Every alarm and its remedy, marked so that it is not overlooked."""
    lines: list[str] = []
    for alarm in result.alarms:
        lines += wrapped(f"! {alarm.message}", hanging="  ")
        lines += wrapped(alarm.remedy, indent="  ") if alarm.remedy else []
    return lines


def finding_lines(result: RunResult) -> list[str]:
    """The five worst findings, one line each."""
    found = worst_first(result.findings)
    if not found:
        return []
    said = [
        finding.summary or f"{plain_name(finding.name)}: {plural(finding.flagged, 'row')}" for finding in found[:MOST_FINDINGS]
    ]
    shown = [f"  {short(text, WIDTH - 2)}" for text in said]
    more = len(found) - len(shown)
    return ["rows worth a look", *shown, *([f"  and {plural(more, 'more finding')} in the report"] if more > 0 else [])]
