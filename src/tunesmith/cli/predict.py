"""``predict``: applies a finished run to new rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tunesmith.cli.parsing import Verb, add_processes
from tunesmith.cli.terminal import Outcome, Terminal, written

if TYPE_CHECKING:
    from tunesmith.recipe.sections import ColumnsSection

RUN_HELP = "the folder of a finished run"
ANY_MODEL = "a folder of transformers or peft, hub:NAME"


def add_columns(parser: argparse.ArgumentParser, *, label: bool) -> None:
    """Adds the options that name the columns, for data whose columns cannot be detected."""
    parser.add_argument("--text", metavar="COLUMN", help="the text column")
    parser.add_argument("--pair", metavar="COLUMN", help="the column of the second text of a pair")
    if label:
        parser.add_argument("--label", metavar="COLUMN", action="append", help="the label column; repeat for several 0/1 columns")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for a model that another program trained, whose files may lack them."""
    group = parser.add_argument_group("models that tunesmith did not train")
    group.add_argument(
        "--labels", metavar="MAP", help="names of its classes, such as '{LABEL_0: negative, LABEL_1: positive}' (YAML)"
    )
    add_tokenizer(group)


def add_tokenizer(parser: argparse._ActionsContainer) -> None:
    """Adds the option that names the tokenizer of a model that another program trained."""
    parser.add_argument(
        "--tokenizer", metavar="NAME", help="tokenizer of a model whose folder has none: a folder, hub:NAME, builtin:NAME"
    )


def model_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the options for a model that another program trained, as the arguments of the Python functions."""
    from tunesmith.recipe.given_labels import read_label_map

    return {"labels": None if args.labels is None else read_label_map(args.labels), "tokenizer": args.tokenizer}


def columns_from_args(args: argparse.Namespace) -> ColumnsSection:
    from tunesmith.recipe.sections import ColumnsSection

    labels = getattr(args, "label", None)
    label = labels[0] if labels and len(labels) == 1 else labels
    return ColumnsSection(text=args.text, pair=args.pair, label=label)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=f"{RUN_HELP}, or any classifier: {ANY_MODEL}")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default="-",
        help="rows to predict; default: standard input (one text per line, csv with a header, or json lines)",
    )
    parser.add_argument("--output", metavar="OUT", help="csv, tsv, json, jsonl or parquet file (default: csv on standard output)")
    add_columns(parser, label=False)
    add_processes(parser)
    add_model_options(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.data.cells import row_numbers
    from tunesmith.report.numbers import plural
    from tunesmith.workflows import predict as use

    if args.file == "-" and sys.stdin.isatty():
        print("Type one text per line; end with Ctrl-D.", file=terminal.err)
    source: Path | TextIO = sys.stdin if args.file == "-" else Path(args.file)
    output = None if args.output is None else Path(args.output)
    was_there = output is not None and output.exists()
    options = {"output": output, "columns": columns_from_args(args), **model_settings(args), "processes": args.processes or 1}
    predicted = use.predict(args.run, source, **options, listener=terminal.listener)
    json = {"rows": len(predicted.rows), "labels": list(predicted.labels), "dropped": predicted.dropped}
    dropped = predicted.dropped_rows.items()
    notes = [f"{plural(len(rows), 'row')} not predicted: {reason} ({row_numbers(rows)})" for reason, rows in dropped]
    if output is None:
        return Outcome(
            {**json, "predictions": list(predicted.whole_rows)},
            lines=[predicted.text(".csv").removesuffix("\n")],
            notes=notes,
            is_data=True,
        )
    done = written(plural(len(predicted.rows), "prediction"), output, was_there)
    return Outcome({**json, "output": str(output)}, lines=[done], notes=notes)


VERB = Verb(
    name="predict",
    takes="RUN [FILE]",
    does="predict labels for the rows of a file or of standard input",
    about="Predicts labels for the rows of a file or of standard input. Writes csv, or the format given by the suffix of OUT.",
    example="tunesmith predict runs/tickets new.csv --output predicted.parquet\n"
    'echo "where is my parcel" | tunesmith predict runs/tickets\n'
    "tunesmith predict downloaded/sentiment new.csv --labels '{LABEL_0: negative, LABEL_1: positive}'",
    add_arguments=add_arguments,
    run=run,
)
