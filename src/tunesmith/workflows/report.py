"""Writes the results of finished runs as an HTML page, Markdown or a LaTeX table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tunesmith.disk import require_file_place, write_text
from tunesmith.errors import InputError, OutputError
from tunesmith.report.comparison import write_comparison
from tunesmith.report.page import write_report
from tunesmith.report.texts import latex_table, markdown_report
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
    sentences: object = None,
) -> Path | str:
    """Writes the report of a run, or the comparison of several; returns the path of the page, or the text of the others.

    Args:
        runs: a run or its folder, or several.
        output: the file; default for the page of one run: ``report.html`` in its folder. Markdown and LaTeX need none.
        format: default: that of the output's suffix, else the page.
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
    if path is not None:
        require_file_place(path)
    if chosen == "html":
        return write_page(folders, path)[0]
    text = report_text(folders, chosen)
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


def report_text(runs: Sequence[Path], format: str) -> str:
    """Formats finished runs as Markdown (``md``), or as one LaTeX table (``latex``)."""
    return latex_table(runs) if format == "latex" else "\n\n".join(map(markdown_report, runs))


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
