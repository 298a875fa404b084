"""``evaluate`` and ``predict``: a finished run on new rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.terminal import Outcome, Terminal, table

if TYPE_CHECKING:
    from tunesmith.recipe.sections import ColumnsSection
    from tunesmith.results import RunResult

RUN_HELP = "the folder of a finished run"
RETRIEVAL_ONLY = ("split", "against", "dimensions", "metric", "max_length")


def add_columns(parser: argparse.ArgumentParser, *, label: bool) -> None:
    """The options that say which column plays which part, where that cannot be seen."""
    parser.add_argument("--text", metavar="COLUMN", help="the column with the text")
    parser.add_argument("--pair", metavar="COLUMN", help="the column with the second text of a pair")
    if label:
        parser.add_argument(
            "--label", metavar="COLUMN", action="append", help="the column with the label; again for several 0/1 columns"
        )


def columns_of(args: argparse.Namespace) -> ColumnsSection:
    from tunesmith.recipe.sections import ColumnsSection

    given = getattr(args, "label", None)
    label = given[0] if given and len(given) == 1 else given
    return ColumnsSection(text=args.text, pair=args.pair, label=label)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=f"{RUN_HELP}; with --retrieval any embedding model")
    parser.add_argument("data", metavar="DATA", nargs="?", help="labelled rows: a file, a folder, builtin:NAME or hub:NAME")
    add_columns(parser, label=True)
    add_retrieval(parser)


def evaluate(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith import use

    if args.retrieval is not None:
        return evaluate_retrieval(args, terminal)
    require_labelled(args)
    result = use.evaluate(args.run, args.data, columns=columns_of(args), listener=terminal.listener)
    return Outcome({**result.to_json(), "run": args.run}, lines=metric_lines(result))


def metric_lines(result: RunResult) -> list[str]:
    """The metrics with their intervals, then whatever the reader should not miss."""
    from tunesmith.report.numbers import plural, with_interval
    from tunesmith.report.words import plain_name

    rows = [(plain_name(m.name), with_interval(m.value, m.low, m.high), f"on {plural(m.n, 'row')}") for m in result.metrics]
    lines = table(rows) if rows else ["Nothing could be measured."]
    lines += [f"note: {finding.summary}" for finding in result.findings if finding.flagged]
    return [*lines, *(f"alarm: {alarm.message} {alarm.remedy}" for alarm in result.alarms)]


def add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-",
        help="rows to predict; - or nothing is standard input: one text a line, csv with a header, or json lines",
    )  # fmt: skip
    parser.add_argument("--output", metavar="OUT", help="csv, tsv, json, jsonl or parquet; csv on standard output when not given")
    add_columns(parser, label=False)


def predict(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith import use
    from tunesmith.report.numbers import plural

    if args.file == "-" and sys.stdin.isatty():
        print("Type one text a line; end with Ctrl-D.", file=terminal.err)
    source: str | TextIO = sys.stdin if args.file == "-" else args.file
    output = None if args.output is None else Path(args.output)
    predicted = use.predict(args.run, source, output=output, columns=columns_of(args), listener=terminal.listener)
    json = {"rows": len(predicted.rows), "labels": list(predicted.labels), "dropped": predicted.dropped}
    notes = [f"{plural(count, 'row')} not predicted: {reason}" for reason, count in predicted.dropped.items()]
    if output is None:
        return Outcome({**json, "predictions": predicted.rows}, lines=[predicted.text(".csv").removesuffix("\n")], notes=notes)
    done = f"{plural(len(predicted.rows), 'prediction')} written to {output}"
    return Outcome({**json, "output": str(output)}, lines=[done], notes=notes)


def add_retrieval(parser: argparse.ArgumentParser) -> None:
    """The options of a retrieval evaluation."""
    found = parser.add_argument_group("retrieval")
    found.add_argument("--retrieval", metavar="FOLDER", help="in the BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv")
    found.add_argument("--split", help="which judgements: test, dev, ...")
    found.add_argument("--against", metavar="MODEL", action="append", default=[], help="another model; again for several")
    found.add_argument("--dimensions", metavar="N", type=int, nargs="*", default=[], help="also of vectors cut to so many")
    found.add_argument("--metric", action="append", help="ndcg@K, mrr@K, recall@K or map@K; the first leads the verdicts")
    found.add_argument("--max-length", metavar="TOKENS", type=int, help="tokens of a text that are read")


def require_labelled(args: argparse.Namespace) -> None:
    """Raise UsageError where there is nothing to measure on, or an option of retrieval without its folder."""
    alone = [f"--{name.replace('_', '-')}" for name in RETRIEVAL_ONLY if getattr(args, name)]
    if alone:
        raise UsageError.one("evaluate", f"{alone[0]} is of retrieval.", "Add --retrieval FOLDER.")
    if args.data is None:
        raise UsageError.one("evaluate", "there is nothing to measure on.", "Give labelled rows, or --retrieval FOLDER.")


def evaluate_retrieval(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith import retrieval
    from tunesmith.metrics.retrieval import DEFAULT

    if args.data is not None:
        raise UsageError.one(
            "evaluate", f"{args.data} and --retrieval {args.retrieval} are two things to measure on.", "Give one."
        )
    result = retrieval.evaluate_retrieval(
        args.run, args.retrieval, split=args.split, against=args.against, dimensions=args.dimensions,
        metrics=tuple(args.metric or DEFAULT), max_length=args.max_length, listener=terminal.listener,
    )  # fmt: skip
    return Outcome({**result.to_json(), "run": args.run}, lines=retrieval_lines(args.run, result, terminal))


def retrieval_lines(name: str, result: RunResult, terminal: Terminal) -> list[str]:
    """Every system's metrics side by side, then the verdicts."""
    from tunesmith.cli.compare import lines_of
    from tunesmith.report.numbers import number, with_interval

    whole = [metric for metric in result.metrics if " dim=" not in metric.name]
    rows: list[tuple[str, ...]] = [("", *(metric.name for metric in whole))]
    rows.append((name, *(with_interval(m.value, m.low, m.high) for m in whole)))
    sizes = list(dict.fromkeys(m.name.partition(" ")[2] for m in result.metrics if " dim=" in m.name))
    rows += [(f"  {size}", *(number(result.metric(f"{m.name} {size}", m.split).value) for m in whole)) for size in sizes]
    rows += [(other.name, *(number(m.value) for m in other.metrics)) for other in result.baselines]
    data = result.data
    about = f"{data['queries']:,} queries, {data['documents']:,} documents ({data['split']} of {data['source']})"
    notes = [f"note: {finding.summary}" for finding in result.findings]
    return [about, *table(rows), "", *lines_of(name, result.verdicts, terminal, "query"), *notes]


EVALUATE = Verb(
    name="evaluate",
    takes="RUN DATA",
    does="measure a run on labelled rows, or an embedding model on retrieval",
    about="Measures a finished run on a file of labelled rows, or any embedding model, tuned or not, on retrieval data\n"
    "beside BM25 and TF-IDF; every metric with its 95 % interval.",
    example="tunesmith evaluate runs/tickets new.csv --label intent\n"
    "tunesmith evaluate builtin:minilm --retrieval scifact --dimensions 64 128",
    add_arguments=add_evaluate,
    run=evaluate,
)

PREDICT = Verb(
    name="predict",
    takes="RUN [FILE]",
    does="predict for the rows of a file or of standard input",
    about="Predicts for the rows of a file, or of standard input, and writes csv or the format that OUT's ending names.",
    example="tunesmith predict runs/tickets new.csv --output predicted.parquet\n"
    'echo "where is my parcel" | tunesmith predict runs/tickets',
    add_arguments=add_predict,
    run=predict,
)
