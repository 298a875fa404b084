"""A saved run as a short Markdown text: headline, alarms, metrics, verdicts, findings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tunesmith import saved_run as saved
from tunesmith.report.markup import UNPRINTABLE
from tunesmith.report.numbers import ABSENT, count, with_interval
from tunesmith.report.tables import find, metric_names
from tunesmith.report.words import headline, main_split, plain_name, worst_first
from tunesmith.results import Metric, RunResult

SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown_report(run: Path) -> str:
    """The report of a run folder as Markdown.

    Raises:
        InputError: the folder holds no finished run.
    """
    found = saved.load(run)
    result, split = found.result, main_split(found.result)
    splits = list(dict.fromkeys([split, *(metric.split for metric in result.metrics)]))
    tables = [f"## Metrics on {name}\n\n{text}" for name in splits if (text := metrics_markdown(result, name))]
    verdicts = verdicts_markdown(result)
    parts = [
        f"# {plain(found.name)}",
        f"**{plain(headline(result).sentence)}**",
        "\n".join(f"- ⚠ **{plain(alarm.message)}** {plain(alarm.remedy)}".rstrip() for alarm in result.alarms),
        *tables,
        f"## Verdict\n\n{verdicts}" if verdicts else "",
        findings_markdown(result),
    ]
    return "\n\n".join(text for text in parts if text) + "\n"


def plain(text: str) -> str:
    """Text in one line in which Markdown and HTML see nothing of theirs."""
    return SPECIAL.sub(r"\\\1", UNPRINTABLE.sub("\ufffd", " ".join(text.split())))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the cells are made harmless."""
    lines = [heads, ["---"] * len(heads), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(metric: Metric | None) -> str:
    return ABSENT if metric is None else with_interval(metric.value, metric.low, metric.high)


def metrics_markdown(result: RunResult, split: str) -> str:
    """The run and its baselines on one split; empty where nothing was measured there."""
    rivals = [baseline for baseline in result.baselines if any(metric.split == split for metric in baseline.metrics)]
    rows = [
        [plain_name(name), interval(find(result.metrics, name, split)), *(interval(find(b.metrics, name, split)) for b in rivals)]
        for name in metric_names(result, split)
    ]
    return markdown_table(["metric", "this run", *(plain_name(b.name) for b in rivals)], rows) if rows else ""


def verdicts_markdown(result: RunResult) -> str:
    """What the run was compared with; empty where it was compared with nothing."""
    rows = [
        [plain_name(v.metric), v.split, plain_name(v.against), with_interval(v.difference, v.low, v.high, signed=True), v.word]
        for v in result.verdicts
    ]
    return markdown_table(["metric", "split", "against", "difference", "this run is"], rows) if rows else ""


def findings_markdown(result: RunResult) -> str:
    """One line a finding that points at rows, the worst first."""
    lines = [f"- {count(f.flagged)} rows: {plain(f.summary or f.name)}" for f in worst_first(result.findings)]
    return "## Findings in the data\n\n" + "\n".join(lines) if lines else ""
