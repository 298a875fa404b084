"""Several runs as one LaTeX table in the style of booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith import saved_run as saved
from tunesmith.report.numbers import ABSENT, is_number, number
from tunesmith.report.tables import find, metric_names
from tunesmith.report.words import main_split, plain_name
from tunesmith.results import Metric, RunResult

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "²": r"\textsuperscript{2}", "–": "--",
}  # fmt: skip


def latex_table(runs: Sequence[Path]) -> str:
    """A table with one line per run and per baseline of the first run, one column per metric, intervals in small print.

    It needs ``\\usepackage{booktabs}``.

    Raises:
        InputError: a folder holds no finished run.
    """
    loaded = [saved.load(run) for run in runs]
    if not loaded:
        return ""
    split = main_split(loaded[0].result)
    names = list(dict.fromkeys(name for run in loaded for name in metric_names(run.result, split)))
    heads = " & ".join(["system", *(latex(plain_name(name)) for name in names)])
    lines = [row(run.name, run.result.metrics, names, split) for run in loaded]
    rivals = baseline_rows(loaded[0].result, names, split)
    middle = ["\\midrule", *rivals] if rivals else []
    body = "\n".join([f"\\begin{{tabular}}{{l{'r' * len(names)}}}", "\\toprule", f"{heads} \\\\", "\\midrule", *lines, *middle])
    return f"% 95 % intervals in brackets; split: {latex(split)}\n{body}\n\\bottomrule\n\\end{{tabular}}\n"


def baseline_rows(result: RunResult, names: Sequence[str], split: str) -> list[str]:
    """One line per baseline that was measured on the split."""
    return [
        row(plain_name(baseline.name), baseline.metrics, names, split)
        for baseline in result.baselines
        if any(metric.split == split and is_number(metric.value) for metric in baseline.metrics)
    ]


def row(name: str, metrics: Sequence[Metric], names: Sequence[str], split: str) -> str:
    """One line of the table."""
    return " & ".join([latex(name), *(cell(find(metrics, metric, split)) for metric in names)]) + " \\\\"


def cell(metric: Metric | None) -> str:
    """``$0.913$ {\\scriptsize $[0.882, 0.942]$}``."""
    if metric is None or not is_number(metric.value):
        return latex(ABSENT)
    value = f"${number(metric.value)}$"
    if not (is_number(metric.low) and is_number(metric.high)):
        return value
    return f"{value} {{\\scriptsize $[{number(metric.low)}, {number(metric.high)}]$}}"


def latex(text: str) -> str:
    """Text in which LaTeX sees no command."""
    return "".join(SPECIAL.get(character, character) for character in " ".join(text.split()))
