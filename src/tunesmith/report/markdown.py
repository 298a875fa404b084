"""Formats a saved run as a short Markdown text: headline, alarms, metrics, verdicts, findings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tunesmith import saved_run as saved
from tunesmith.report.markup import UNPRINTABLE
from tunesmith.report.numbers import count, with_interval
from tunesmith.report.tables import find, metric_names
from tunesmith.report.words import display_name, headline, main_split, metric_interval, worst_first
from tunesmith.results import RunResult

SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown_report(run: Path) -> str:
    """Formats the report of a run folder as Markdown. Raises InputError if the folder is not a finished run."""
    loaded = saved.load(run)
    result, split = loaded.result, main_split(loaded.result)
    splits = list(dict.fromkeys([split, *(metric.split for metric in result.metrics)]))
    tables = [f"## Metrics on {name}\n\n{text}" for name in splits if (text := metrics_markdown(result, name))]
    verdicts = verdicts_markdown(result)
    findings = [f"- {count(f.flagged)} rows: {plain(f.summary or f.name)}" for f in worst_first(result.findings)]
    parts = [
        f"# {plain(loaded.name)}",
        f"**{plain(headline(result).sentence)}**",
        "\n".join(f"- ⚠ **{plain(alarm.message)}** {plain(alarm.remedy)}".rstrip() for alarm in result.alarms),
        *tables,
        f"## Verdict\n\n{verdicts}" if verdicts else "",
        "## Findings in the data\n\n" + "\n".join(findings) if findings else "",
    ]
    return "\n\n".join(text for text in parts if text) + "\n"


def plain(text: str) -> str:
    """Escapes text for Markdown and HTML, on one line."""
    return SPECIAL.sub(r"\\\1", UNPRINTABLE.sub("\ufffd", " ".join(text.split())))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Formats a table; escapes the cells."""
    lines = [heads, ["---"] * len(heads), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def metrics_markdown(result: RunResult, split: str) -> str:
    """Formats the metrics of the run and its baselines on one split; empty without metrics."""
    baselines = [baseline for baseline in result.baselines if any(metric.split == split for metric in baseline.metrics)]
    rows = [
        [
            display_name(name),
            metric_interval(find(result.metrics, name, split)),
            *(metric_interval(find(baseline.metrics, name, split)) for baseline in baselines),
        ]
        for name in metric_names(result, split)
    ]
    return markdown_table(["metric", "this run", *(display_name(b.name) for b in baselines)], rows) if rows else ""


def verdicts_markdown(result: RunResult) -> str:
    """Formats the verdicts; empty if there are none."""
    rows = [
        [
            display_name(v.metric),
            v.split,
            display_name(v.against),
            with_interval(v.difference, v.low, v.high, signed=True),
            v.word,
        ]
        for v in result.verdicts
    ]
    return markdown_table(["metric", "split", "against", "difference", "this run is"], rows) if rows else ""
