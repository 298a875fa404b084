"""Writes the results of finished runs as an HTML page, Markdown or a LaTeX table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from tunesmith.data.cells import listed
from tunesmith.disk import require_file_place, write_text
from tunesmith.errors import InputError, OutputError
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.recipe.metric_names import DIRECTIONS, is_search_metric
from tunesmith.report.comparison import write_comparison
from tunesmith.report.latex import Emphasis, LatexOptions, LatexTable, System, latex_table, read_latex_table
from tunesmith.report.page import write_report
from tunesmith.report.texts import markdown_report
from tunesmith.report.words import display_name
from tunesmith.results import Verdict
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.workflows.compare import compare

FORMATS = ("html", "md", "latex")
FORMATS_OF_SUFFIX = {
    ".html": ("html",), ".htm": ("html",), ".md": ("md",), ".markdown": ("md",), ".tex": ("latex",), ".txt": ("md", "latex"),
}  # fmt: skip
"""Suffix -> the formats that a file with it may hold, the default first."""


def report(
    runs: str | Path | Run | Sequence[str | Path | Run],
    output: str | Path | None = None,
    *,
    format: Literal["html", "md", "latex"] | None = None,
    table: Mapping[str, Any] | None = None,
    sentences: object = None,
) -> Path | str:
    """Writes the report of a run, or the comparison of several; returns the path of the page, or the text of the others.

    Args:
        runs: a run or its folder, or several.
        output: the file; default for the page of one run: ``report.html`` in its folder. Markdown and LaTeX need none.
        format: default: that of the output's suffix, else the page.
        table: the form of a LaTeX table (``LatexOptions``): ``metrics``, ``caption``, ``label``, ``max_columns``, ``intervals``.
        sentences: texts, a table or a file; the page then has their cosine similarities by each of ``runs``, which are embedding
            models: runs, folders, hub ids or ``builtin:NAME``.

    Raises InputError if a run is not finished, the format is unknown or not that of the suffix, or several runs have no output.

    Example::

        print(tunesmith.report("runs/tickets", format="md"))
    """
    if sentences is not None:
        from tunesmith.workflows.sentence_similarity import write_similarity_page

        models = [str(folder_of(run)) if isinstance(run, Run) else str(run) for run in as_list(runs)]
        return write_similarity_page(models, sentences, None if output is None else Path(output))[0]
    folders = [folder_of(run) for run in as_list(runs)]
    path = None if output is None else Path(output)
    chosen = choose_format(path, format)
    options = latex_options(table or {}, chosen)
    if path is not None:
        require_file_place(path)
    if chosen == "html":
        return write_page(folders, path)[0]
    text = report_text(folders, chosen, options)
    if path is not None:
        write_text(path, text)
    return text


def as_list(runs: str | Path | Run | Sequence[str | Path | Run]) -> list[str | Path | Run]:
    """Returns the runs as a list; one run is a list of one."""
    return [runs] if isinstance(runs, str | Path | Run) else list(runs)


def choose_format(output: Path | None, format: str | None) -> str:
    """Returns the given format, else that of the output's suffix, else html.

    Raises InputError for an unknown format, and OutputError for a file whose suffix is of no format or of another one.
    """
    if format is not None and format not in FORMATS:
        raise InputError.one("format", f"there is no format {format!r}.", f"There are: {', '.join(FORMATS)}.")
    suffix = "" if output is None else output.suffix.lower()
    usual = FORMATS_OF_SUFFIX.get(suffix, () if suffix else FORMATS)
    if format is None and not usual:
        message = f"no report is written as {suffix}."
        raise OutputError.one(
            str(output), message, f"End the name with one of {', '.join(FORMATS_OF_SUFFIX)}, or name the format."
        )
    if format is not None and usual and format not in usual:
        message = f"the name ends in {suffix}, and the format {format} was requested."
        raise OutputError.one(str(output), message, "Change the name or the format.")
    return usual[0] if format is None else format


def report_text(runs: Sequence[Path], format: str, options: LatexOptions) -> str:
    """Formats finished runs as Markdown (``md``), or as one LaTeX table (``latex``)."""
    return latex_report(runs, options) if format == "latex" else "\n\n".join(map(markdown_report, runs))


def latex_report(runs: Sequence[Path], options: LatexOptions) -> str:
    """Formats finished runs as one LaTeX table, in which a value is bold where it is better than the next one by verdict."""
    table = read_latex_table(runs, options.metrics)
    return latex_table(table, options, emphasis_of(table))


def latex_options(given: Mapping[str, Any], format: str) -> LatexOptions:
    """Checks the form of a LaTeX table. Raises InputError for unknown or wrong options, and for options of another format."""
    names = [field.name for field in fields(LatexOptions)]
    for name in given:
        if name not in names:
            raise InputError.one("table", f"a LaTeX table has no option {name!r}.", f"There are: {', '.join(names)}.")
        if format != "latex":
            message = f"it is an option of LaTeX tables, and the format is {format}."
            raise InputError.one(name, message, "Name an output in .tex, or the format latex.")
    metrics = given.get("metrics", ())
    return LatexOptions(**{**given, "metrics": (metrics,) if isinstance(metrics, str) else tuple(metrics)})


def emphasis_of(table: LatexTable) -> Emphasis:
    """Finds the best value of each column that is better than the next one by verdict.

    Verdicts between two runs are corrected for the number of columns that have one (Holm); verdicts against a baseline are those
    of the run itself.
    """
    between: dict[str, tuple[System, Verdict]] = {}
    best: dict[str, System] = {}
    unknown: dict[str, list[str]] = {}
    for metric in table.metrics:
        ranked = ranked_systems(table, metric)
        if len(ranked) < 2 or ranked[0][0] == ranked[1][0]:
            continue
        (_, first), (_, second) = ranked[:2]
        if first.folder is not None and second.folder is not None:
            try:
                between[metric] = first, compare(first.folder, second.folder, metric=metric, split=table.split)[0]
            except InputError as error:
                unknown.setdefault(f"{first.name} and {second.name} have no verdict: {error}", []).append(metric)
        elif (word := word_against_baseline(first, second, metric, table.split)) is None:
            unknown.setdefault(f"{first.name} and {second.name} have no verdict.", []).append(metric)
        elif word == "better":
            best[metric] = first
    corrected = holm([verdict for _, verdict in between.values()])
    best |= {metric: between[metric][0] for metric, verdict in zip(between, corrected, strict=True) if verdict.word == "better"}
    notes = (f"No bold in {listed(map(display_name, metrics))}: {reason}" for reason, metrics in unknown.items())
    return Emphasis(best, tuple(notes))


def ranked_systems(table: LatexTable, metric: str) -> list[tuple[float, System]]:
    """Lists the systems with a value of a metric, the best first; empty for a metric whose direction is not known."""
    name = metric.partition(" ")[0]
    if name not in DIRECTIONS and not is_search_metric(name):
        return []
    return sorted(table.values(metric), key=lambda item: item[0], reverse=DIRECTIONS.get(name, True))


def word_against_baseline(first: System, second: System, metric: str, split: str) -> str | None:
    """Returns the word of the first system against the second, one of which is a baseline; None without a verdict on both."""
    run, baseline = (first, second) if first.result is not None else (second, first)
    verdicts = () if run.result is None else run.result.verdicts
    words = [v.word for v in verdicts if (v.metric, v.split, v.against) == (metric, split, baseline.key)]
    if not words:
        return None
    return words[0] if run is first else {"better": "worse", "worse": "better"}.get(words[0], words[0])


def write_page(runs: Sequence[Path], output: Path | None) -> tuple[Path, list[str]]:
    """Writes the HTML page of one run, or a comparison of several; returns its path and notes on missing parts."""
    if len(runs) == 1:
        return write_report(runs[0], output), []
    if output is None:
        raise OutputError.one("report", "the page of several runs has no default path.", "Name the file: --output FILE.")
    try:
        verdicts, notes = compare(runs), []
    except InputError as error:  # their rows do not match
        verdicts, notes = [], [f"The page has no verdicts between the runs: {error}"]
    return write_comparison(runs, output, verdicts), notes
