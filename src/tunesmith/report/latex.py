"""Formats saved runs and their baselines as a LaTeX table: a line per system, and columns of a metric, aligned at the point."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tunesmith.data.cells import listed
from tunesmith.errors import InputError
from tunesmith.report import saved_run as saved
from tunesmith.report.markup import UNPRINTABLE
from tunesmith.report.numbers import ABSENT, is_number, number, places
from tunesmith.report.tables import metric_names
from tunesmith.report.words import display_name, find, main_split, sample_size
from tunesmith.results import Metric, RunResult

Intervals = Literal["cell", "column", "none"]
PLACES: Mapping[str, str] = {"cell": "in brackets", "column": "in columns of their own", "none": "left out"}
"""Place of the intervals -> how a comment says it."""
TEXT_WIDTH_PT, LETTER_PT, DIGIT_PT, SMALL_DIGIT_PT, GAP_PT = 345, 4.9, 4.8, 3.6, 12
"""Width of the text in the class article at 10 pt, and mean widths in Computer Modern, by which a wide table is divided."""
LABEL = re.compile(r"[A-Za-z0-9:._+/-]+")
SMALLEST = 0.0005
"""Columns of smaller numbers are written with exponents, each as it is."""
BEYOND_LATIN = re.compile("[^\x20-\x7e\xa0-\u017f\u2013\u2014\u2018-\u201d\u2026]")
"""Characters that pdfLaTeX does not know by itself."""
SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "²": r"\textsuperscript{2}",
    "–": "--",
}
"""Characters with a meaning in LaTeX; a bracket or a star after the end of a line would be an option of it."""


@dataclass(frozen=True)
class LatexOptions:
    """The form of a LaTeX table.

    Attributes:
        metrics: its columns, in this order; empty for all.
        caption, label: with either, the table is a float; a label is referred to by ``\\ref``.
        max_columns: metrics beside each other; more are continued below. None: as many as fit the text of an article.
        intervals: beside the value in small print, in a column of their own, or left out.
    """

    metrics: tuple[str, ...] = ()
    caption: str | None = None
    label: str | None = None
    max_columns: int | None = None
    intervals: Intervals = "cell"

    def __post_init__(self) -> None:
        if self.label is not None and not LABEL.fullmatch(self.label):
            message = f"{self.label!r} is no label of LaTeX."
            raise InputError.one("label", message, "Use letters, digits and : . _ + / - only, such as tab:results.")
        if self.max_columns is not None and self.max_columns < 1:
            raise InputError.one("max_columns", f"a table has at least one metric, not {self.max_columns}.", "Give 1 or more.")
        if self.intervals not in PLACES:
            raise InputError.one("intervals", f"there is no {self.intervals!r}.", f"There are: {', '.join(PLACES)}.")
        if self.caption is not None and not self.caption.strip():
            raise InputError.one("caption", "the caption is empty.", "Write a text, or leave the caption out.")


@dataclass(frozen=True)
class System:
    """A line of the table: a run, or a baseline of the first run.

    Attributes:
        folder: of a run; None for a baseline.
        key: the name of a baseline in verdicts.
    """

    name: str
    metrics: tuple[Metric, ...]
    folder: Path | None = None
    key: str = ""
    result: RunResult | None = field(default=None, repr=False)


@dataclass(frozen=True)
class LatexTable:
    """The content of a table, before it is formatted.

    Attributes:
        metrics: name of each column.
    """

    systems: tuple[System, ...]
    metrics: tuple[str, ...]
    split: str

    def values(self, metric: str) -> list[tuple[float, System]]:
        """Lists the finite values of a metric with their systems, in the order of the lines."""
        found = ((find(system.metrics, metric, self.split), system) for system in self.systems)
        return [(m.value, system) for m, system in found if m is not None and is_number(m.value)]


@dataclass(frozen=True)
class Emphasis:
    """The values that are set in bold.

    Attributes:
        best: metric -> the system whose value is better than the next one by verdict.
        notes: why other columns have no bold value.
    """

    best: Mapping[str, System] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_latex_table(runs: Sequence[Path], metrics: Sequence[str] = ()) -> LatexTable:
    """Reads the lines and columns of a table: the runs, then the baselines of the first one, on its primary split.

    Raises InputError if a folder is no finished run, or a metric is one that no line has.
    """
    loaded = [saved.load(run) for run in runs]
    if not loaded:
        return LatexTable((), (), "test")
    first = loaded[0].result
    split = main_split(first)
    known = tuple(dict.fromkeys(name for run in loaded for name in metric_names(run.result, split)))
    if unknown := [name for name in metrics if name not in known]:
        message = f"no run has {listed(unknown)} on {split}."
        raise InputError.one("metrics", message, f"There are: {', '.join(known) or 'none'}.")
    of_runs = [System(run.name, run.result.metrics, Path(path), "", run.result) for run, path in zip(loaded, runs, strict=True)]
    of_baselines = [
        System(display_name(baseline.name), baseline.metrics, None, baseline.name)
        for baseline in first.baselines
        if any(metric.split == split and is_number(metric.value) for metric in baseline.metrics)
    ]
    return LatexTable((*of_runs, *of_baselines), tuple(dict.fromkeys(metrics)) or known, split)


def latex_table(table: LatexTable, options: LatexOptions, emphasis: Emphasis) -> str:
    """Formats the table with what it needs in comments before it; empty without runs. Only ``booktabs`` is needed."""
    if not table.systems:
        return ""
    parts = [tabular(table, group, options.intervals, emphasis) for group in divided(table, options)]
    body = "\n\n\\medskip\n\n".join(parts)
    if options.caption is not None or options.label is not None:
        caption = [] if options.caption is None else [f"\\caption{{{latex(options.caption)}}}"]
        label = [] if options.label is None else [f"\\label{{{options.label}}}"]
        body = "\n".join(["\\begin{table}[tbp]", "\\centering", *caption, *label, body, "\\end{table}"])
    return "\n".join([*comments(table, options, emphasis, body), body]) + "\n"


def comments(table: LatexTable, options: LatexOptions, emphasis: Emphasis, body: str) -> list[str]:
    """Lists what the table needs and what its figures are, as comments of LaTeX."""
    foreign = sorted(set(BEYOND_LATIN.findall(body)) - {"\n"})
    lines = [
        r"Preamble: \usepackage{booktabs} (rules of two weights, none of them vertical); nothing else is needed.",
        r"Fonts: decimals are aligned at the point, which needs digits of equal width. Computer Modern has them; for Times use",
        r"\usepackage{newtxtext,newtxmath}. Of a font with old-style digits choose lining and tabular ones.",
        f"95 % intervals {PLACES[options.intervals]}; split: {table.split}{rows_of(table)}.",
        "Bold: the best value of a column, only where its verdict against the next one is better (Holm's correction).",
        *emphasis.notes,
        *([f"Compile by lualatex or xelatex with a font that has {' '.join(foreign)}"] if foreign else []),
    ]
    return [f"% {UNPRINTABLE.sub('', ' '.join(line.split()))}" for line in lines]


def divided(table: LatexTable, options: LatexOptions) -> list[tuple[str, ...]]:
    """Divides the metrics into those beside each other: so many, or as many as fit the width of the text, and at least one."""
    groups: list[tuple[str, ...]] = [()]
    names = max(len(system.name) for system in table.systems) * LETTER_PT
    width = names
    for metric in table.metrics:
        own = width_of(table, metric, options.intervals)
        is_full = width + own > TEXT_WIDTH_PT if options.max_columns is None else len(groups[-1]) == options.max_columns
        if is_full and groups[-1]:
            groups.append(())
            width = names
        groups[-1] += (metric,)
        width += own
    return groups


def width_of(table: LatexTable, metric: str, intervals: Intervals) -> float:
    """Estimates the width of a metric's columns in points, with the gaps around them."""
    values = [number(value) for value, _ in table.values(metric)]
    digits = max(map(len, values), default=1)
    interval = 0.0 if intervals == "none" else (2 * digits + 4) * SMALL_DIGIT_PT
    gaps = 2 * GAP_PT if intervals == "column" else GAP_PT
    return gaps + max(len(display_name(metric)) * LETTER_PT, digits * DIGIT_PT + interval)


def rows_of(table: LatexTable) -> str:
    """Describes the number of rows or queries of the first metric of the first run; empty without one."""
    first = find(table.systems[0].metrics, table.metrics[0], table.split) if table.metrics else None
    return "" if first is None else f", {sample_size(first)}"


def tabular(table: LatexTable, metrics: Sequence[str], intervals: Intervals, emphasis: Emphasis) -> str:
    """Formats one ``tabular`` with some of the metrics; a line separates the runs from the baselines."""
    n_runs = sum(system.folder is not None for system in table.systems)
    lines = []
    for system in table.systems:
        cells = [cell for metric in metrics for cell in metric_cells(table, metric, system, intervals, emphasis)]
        lines.append(" & ".join([latex(system.name), *cells]) + r" \\")
    of_metric, n_columns = ("r@{}ll", 3) if intervals == "column" else ("r@{}l", 2)
    baselines = ["\\midrule", *lines[n_runs:]] if lines[n_runs:] else []
    heads = [rf"\multicolumn{{{n_columns}}}{{c}}{{{latex(display_name(metric))}}}" for metric in metrics]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{@{{}}l{of_metric * len(metrics)}@{{}}}}",
            "\\toprule",
            " & ".join(["system", *heads]) + r" \\",
            "\\midrule",
            *lines[:n_runs],
            *baselines,
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


def metric_cells(table: LatexTable, metric: str, system: System, intervals: Intervals, emphasis: Emphasis) -> list[str]:
    """Formats a value as its part before and after the point, ``0 & .913``, with its interval; a dash where there is none.

    All values of a column and their intervals have the same number of decimals.
    """
    found, values = find(system.metrics, metric, table.split), [value for value, _ in table.values(metric)]
    if found is None or not is_number(found.value):
        return [rf"\multicolumn{{2}}{{c}}{{{latex(ABSENT)}}}", *([""] if intervals == "column" else [])]
    largest = max(map(abs, values))
    decimals = None if 0 < largest < SMALLEST else places(largest)
    before, after = parts_of(found.value, decimals)
    if emphasis.best.get(metric) is system:
        before, after = rf"\textbf{{{before}}}", rf"\textbf{{{after}}}" if after else ""
    if intervals == "none" or not (is_number(found.low) and is_number(found.high)):
        return [before, after, *([""] if intervals == "column" else [])]
    low, high = ("".join(parts_of(end, decimals)) for end in (found.low, found.high))
    interval = rf"{{\scriptsize [{low}, {high}]}}"
    return [before, after, interval] if intervals == "column" else [before, f"{after} {interval}".strip()]


def parts_of(value: float, decimals: int | None) -> tuple[str, str]:
    """Formats a number as its part before the point and the rest, which begins with the point or is empty."""
    before, point, after = number(value, decimals).partition(".")
    return before.replace("-", "$-$"), f"{point}{after}".replace("-", "$-$")


def latex(text: str) -> str:
    """Escapes text for LaTeX, on one line; two hyphens stay two."""
    plain = UNPRINTABLE.sub("\ufffd", " ".join(text.split()))
    apart = re.sub("-(?=-)", "-\u2060", plain)
    return "".join(SPECIAL.get(character, character) for character in apart).replace("\u2060", "{}")
