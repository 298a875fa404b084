"""Formats the result of a run as a few lines of plain text, printed at the end of a command."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tunesmith.report.numbers import is_number, plural, with_interval
from tunesmith.report.recommendation import recommendation
from tunesmith.report.words import (
    display_name,
    find,
    headline,
    left_out,
    main_metric,
    main_split,
    metric_interval,
    range_notes,
    sample_size,
    threshold_notes,
    unmeasured_notes,
    verdict_notes,
    verdicts_on,
    worst_first,
)
from tunesmith.results import RunResult

WIDTH = 100
MOST_FINDINGS = 5


def summary_lines(result: RunResult, width: int | None = WIDTH) -> list[str]:
    """Formats recommendation, headline, metrics, baselines, alarms and findings.

    Args:
        width: columns at which a line goes on in the next one; None for whole lines, as a file or a pipe gets them.
    """
    alarms = [line for alarm in result.alarms for line in (one_line(f"! {alarm.message}"), one_line(alarm.remedy, "  ")) if line]
    head = [one_line(recommendation(result).sentence), "", one_line(headline(result).sentence)]
    unmeasured = unmeasured_notes(metric for metric in result.metrics if metric.split == main_split(result))
    notes = [one_line(note) for note in (*unmeasured, *range_notes(result), *threshold_notes(result), *verdict_notes(result))]
    blocks = [head, baseline_lines(result), notes, other_metrics(result), alarms, finding_lines(result)]
    lines: list[str] = []
    for block in blocks:
        lines += ["", *block] if block and lines else block
    return lines if width is None else [part for line in lines for part in wrapped(line, width)]


def one_line(text: str, indent: str = "") -> str:
    """Joins the lines of a text; empty for an empty one."""
    clean = " ".join(text.split())
    return f"{indent}{clean}" if clean else ""


def wrapped(line: str, width: int) -> list[str]:
    """Divides a line of more columns; what follows is indented by two more than the line."""
    if len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(line, width, subsequent_indent=f"{indent}  ")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Formats rows as columns of equal width, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def baseline_lines(result: RunResult) -> list[str]:
    """Formats the primary metric of this run and of the baselines, with the verdicts."""
    metric = main_metric(result)
    if metric is None:
        return []
    verdicts = {verdict.against: verdict for verdict in verdicts_on(result, metric)}
    measured = {b.name: find(b.metrics, metric.name, metric.split) for b in result.baselines}
    if not measured and not verdicts:
        return []
    rows = [["this run", metric_interval(metric), "", ""]]
    for name in dict.fromkeys([*verdicts, *measured]):
        verdict = verdicts.get(name)
        difference = "" if verdict is None else with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
        word = "" if verdict is None else verdict.word
        rows.append([display_name(name), metric_interval(measured.get(name)), difference, word])
    name = display_name(metric.name)
    rows = [["", name, "difference", "this run is"], *rows] if verdicts else [row[:2] for row in rows]
    return [f"{name} on {metric.split}, {sample_size(metric)}{left_out(result, metric.split)}", *aligned(rows)]


def other_metrics(result: RunResult) -> list[str]:
    """Formats the other metrics with the best baseline of each."""
    main, split = main_metric(result), main_split(result)
    others = [metric for metric in result.metrics if metric.split == split and metric != main]
    if not others:
        return []
    rows = []
    for metric in others:
        sign = 1 if metric.higher_is_better else -1
        theirs = [(baseline.name, find(baseline.metrics, metric.name, split)) for baseline in result.baselines]
        candidates = [(sign * own.value, name, own) for name, own in theirs if own is not None and is_number(own.value)]
        _, name, best = max(candidates, key=lambda candidate: candidate[0], default=(0, "", None))
        rows.append([display_name(metric.name), metric_interval(metric), metric_interval(best), display_name(name)])
    heads = ["", "this run", "best baseline", ""]
    return [f"other metrics on {split}", *aligned([heads, *rows] if result.baselines else [row[:2] for row in rows])]


def finding_lines(result: RunResult) -> list[str]:
    """Formats the five worst findings, one line each, with the numbers of their first rows."""
    findings = worst_first(result.findings)
    if not findings:
        return []
    summaries = [f.text or f"{display_name(f.name)}: {plural(f.flagged, 'row')}" for f in findings[:MOST_FINDINGS]]
    n_hidden = len(findings) - len(summaries)
    hidden = [f"  and {plural(n_hidden, 'more finding')} in the report"] if n_hidden > 0 else []
    return ["rows to check", *(one_line(summary, "  ") for summary in summaries), *hidden]
