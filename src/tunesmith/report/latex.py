"""Formats several runs as one LaTeX table in the style of booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith import saved_run as saved
from tunesmith.report.numbers import ABSENT, is_number, number
from tunesmith.report.tables import find, metric_names
from tunesmith.report.words import display_name, main_split
from tunesmith.results import Metric

SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "²": r"\textsuperscript{2}",
    "–": "--",
}


def latex_table(runs: Sequence[Path]) -> str:
    """Formats one line per run and per baseline of the first run, one column per metric, intervals in small print.

    The table needs ``\\usepackage{booktabs}``.

    Raises:
        InputError: a folder is not a finished run.
    """
    loaded = [saved.load(run) for run in runs]
    if not loaded:
        return ""
    split = main_split(loaded[0].result)
    names = list(dict.fromkeys(name for run in loaded for name in metric_names(run.result, split)))
    heads = " & ".join(["system", *(latex(display_name(name)) for name in names)])
    lines = [row(run.name, run.result.metrics, names, split) for run in loaded]
    baselines = [
        row(display_name(baseline.name), baseline.metrics, names, split)
        for baseline in loaded[0].result.baselines
        if any(metric.split == split and is_number(metric.value) for metric in baseline.metrics)
    ]
    middle = ["\\midrule", *baselines] if baselines else []
    body = "\n".join([f"\\begin{{tabular}}{{l{'r' * len(names)}}}", "\\toprule", f"{heads} \\\\", "\\midrule", *lines, *middle])
    return f"% 95 % intervals in brackets; split: {latex(split)}\n{body}\n\\bottomrule\n\\end{{tabular}}\n"


def row(name: str, metrics: Sequence[Metric], names: Sequence[str], split: str) -> str:
    return " & ".join([latex(name), *(cell(find(metrics, metric, split)) for metric in names)]) + " \\\\"


def cell(metric: Metric | None) -> str:
    """Formats ``$0.913$ {\\scriptsize $[0.882, 0.942]$}``."""
    if metric is None or not is_number(metric.value):
        return latex(ABSENT)
    value = f"${number(metric.value)}$"
    if not (is_number(metric.low) and is_number(metric.high)):
        return value
    return f"{value} {{\\scriptsize $[{number(metric.low)}, {number(metric.high)}]$}}"


def latex(text: str) -> str:
    """Escapes text for LaTeX, on one line."""
    return "".join(SPECIAL.get(character, character) for character in " ".join(text.split()))
