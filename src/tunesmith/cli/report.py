"""``report``: writes the results of finished runs as an HTML page, Markdown or a LaTeX table."""

from __future__ import annotations

import argparse
from pathlib import Path

from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.terminal import Outcome, Terminal, written
from tunesmith.disk import require_file_place, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="finished runs; several are compared on one page. With --sentences: embedding models",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="the file (default: report.html in the run folder; md and latex: standard output)"
    )
    parser.add_argument(
        "--sentences",
        metavar="FILE",
        help="instead: cosine similarities of these sentences (one a line, or rows with a text column) by each embedding model: "
        "a run, a folder, a hub id or builtin:NAME",
    )
    parser.add_argument("--text", metavar="COLUMN", action="append", default=[], help="the text column of the sentences")
    parser.add_argument("--format", choices=("html", "md", "latex"), help="default: that of the file's suffix, else html")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.workflows.report import choose_format, report_text, write_page

    if args.sentences is not None:
        return show_sentences(args, terminal)
    if args.text:
        raise UsageError.one("report", "--text works only with --sentences.", "Remove it.")
    runs = [Path(name) for name in args.runs]
    output = None if args.output in (None, "-") else Path(args.output)
    chosen = choose_format(output, args.format)
    was_there = output is not None and output.exists()
    if output is not None:
        require_file_place(output)
    if chosen == "html":
        path, notes = write_page(runs, output)
        return Outcome({"report": str(path), "notes": notes}, lines=[written("Report", path, was_there)], notes=notes)
    text = report_text(runs, chosen)
    if output is None:
        return Outcome({"report": None, "text": text}, lines=text.rstrip("\n").split("\n"))
    write_text(output, text)
    return Outcome({"report": str(output)}, lines=[written("Report", output, was_there)])


def show_sentences(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Writes the page of the similarities of sentences."""
    from tunesmith.workflows.sentence_similarity import write_similarity_page

    if args.format not in (None, "html"):
        raise UsageError.one("report", f"--sentences makes an HTML page, and the format is {args.format}.", "Remove --format.")
    output = None if args.output in (None, "-") else Path(args.output)
    was_there = output is not None and output.exists()
    path, notes = write_similarity_page(args.runs, Path(args.sentences), output, args.text, terminal.listener)
    return Outcome({"report": str(path), "notes": notes}, lines=[written("Report", path, was_there)], notes=notes)


VERB = Verb(
    name="report",
    takes="RUN ...",
    does="write a report: one self-contained HTML page, Markdown or a LaTeX table",
    about="Writes the results of finished runs as one self-contained HTML page, Markdown, or a LaTeX table. With\n"
    "--sentences: the similarities of your own sentences by embedding models side by side.",
    example="tunesmith report runs/tickets\ntunesmith report runs/a runs/b --output table.tex\n"
    "tunesmith report --sentences sentences.txt runs/search builtin:minilm --output sentences.html",
    add_arguments=add_arguments,
    run=run,
)
