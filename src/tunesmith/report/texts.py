"""Formats a saved run as Markdown, from recommendation to findings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tunesmith.data.cells import plural
from tunesmith.report import saved_run as saved
from tunesmith.report.markup import UNPRINTABLE
from tunesmith.report.numbers import with_interval
from tunesmith.report.recommendation import recommendation
from tunesmith.report.tables import metric_names
from tunesmith.report.words import display_name, find, headline, main_split, metric_interval, worst_first
from tunesmith.results import RunResult

MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown_report(run: Path) -> str:
    """Formats the report of a run folder as Markdown. Raises InputError if the folder is not a finished run."""
    loaded = saved.load(run)
    result, split = loaded.result, main_split(loaded.result)
    splits = list(dict.fromkeys([split, *(metric.split for metric in result.metrics)]))
    tables = [f"## Metrics on {name}\n\n{text}" for name in splits if (text := metrics_markdown(result, name))]
    verdicts = verdicts_markdown(result)
    findings = [f"- {plural(f.flagged, 'row')}: {plain(f.text or f.name)}" for f in worst_first(result.findings)]
    parts = [
        f"# {plain(loaded.name)}",
        f"**{plain(recommendation(result).sentence)}**",
        plain(headline(result).sentence),
        "\n".join(f"- ⚠ **{plain(alarm.message)}** {plain(alarm.remedy)}".rstrip() for alarm in result.alarms),
        *tables,
        f"## Verdict\n\n{verdicts}" if verdicts else "",
        "## Findings in the data\n\n" + "\n".join(findings) if findings else "",
    ]
    return "\n\n".join(text for text in parts if text) + "\n"


def plain(text: str) -> str:
    """Escapes text for Markdown and HTML, on one line."""
    return MARKDOWN_SPECIAL.sub(r"\\\1", UNPRINTABLE.sub("\ufffd", " ".join(text.split())))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Formats a table; escapes the cells."""
    lines = [heads, ["---"] * len(heads), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def metrics_markdown(result: RunResult, split: str) -> str:
    """Formats the metrics of the run and its baselines on one split; empty without metrics."""
    baselines = [baseline for baseline in result.baselines if any(metric.split == split for metric in baseline.metrics)]
    systems = [result.metrics, *(baseline.metrics for baseline in baselines)]
    names = metric_names(result, split)
    rows = [[display_name(name), *(metric_interval(find(metrics, name, split)) for metrics in systems)] for name in names]
    return markdown_table(["metric", "this run", *(display_name(b.name) for b in baselines)], rows) if rows else ""


def verdicts_markdown(result: RunResult) -> str:
    """Formats the verdicts; empty if there are none."""
    rows = []
    for v in result.verdicts:
        difference = with_interval(v.difference, v.low, v.high, signed=True)
        rows.append([display_name(v.metric), v.split, display_name(v.against), difference, v.word])
    return markdown_table(["metric", "split", "against", "difference", "this run is"], rows) if rows else ""
