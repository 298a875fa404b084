"""``report``: writes the results of finished runs as an HTML page, Markdown or a LaTeX table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tunesmith.cli.parsing import UsageError, Verb, split_list
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
    table = parser.add_argument_group("LaTeX tables")
    table.add_argument("--metrics", metavar="A,B", help="the columns, in this order (default: every metric of the runs)")
    table.add_argument("--caption", metavar="TEXT", help="caption; the table becomes a float")
    table.add_argument("--label", metavar="LABEL", help="label for \\ref, such as tab:results; the table becomes a float")
    table.add_argument("--max-columns", metavar="N", type=int, help="metrics beside each other; more are continued below")
    table.add_argument(
        "--intervals",
        choices=("cell", "column", "none"),
        help="beside the value (default), in a column of their own, or left out",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.workflows.report import choose_format, latex_options, report_text, write_page

    if args.sentences is not None:
        return show_sentences(args, terminal)
    if args.text:
        raise UsageError.one("report", "--text works only with --sentences.", "Remove it.")
    runs = [Path(name) for name in args.runs]
    output = None if args.output in (None, "-") else Path(args.output)
    chosen = choose_format(output, args.format)
    options = latex_options(table_options(args), chosen)
    was_there = output is not None and output.exists()
    if output is not None:
        require_file_place(output)
    if chosen == "html":
        path, notes = write_page(runs, output)
        return Outcome({"report": str(path), "notes": notes}, lines=[written("Report", path, was_there)], notes=notes)
    text = report_text(runs, chosen, options)
    if output is None:
        return Outcome({"report": None, "text": text}, lines=text.rstrip("\n").split("\n"))
    write_text(output, text)
    return Outcome({"report": str(output)}, lines=[written("Report", output, was_there)])


def table_options(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the given options of a LaTeX table by their names in ``LatexOptions``."""
    names = ("metrics", "caption", "label", "max_columns", "intervals")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if "metrics" in given:
        given["metrics"] = tuple(split_list("--metrics", given["metrics"]))
    return given


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
    "tunesmith report runs/a runs/b --output table.tex --metrics accuracy,macro_f1 --caption 'Results' --label tab:results\n"
    "tunesmith report --sentences sentences.txt runs/search builtin:minilm --output sentences.html",
    add_arguments=add_arguments,
    run=run,
)
