"""``init``: detects the format of the data and writes a commented recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal
from tunesmith.disk import require_file_place, write_text
from tunesmith.errors import OutputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help="csv, tsv, json, jsonl or parquet (also .gz), a folder, builtin:NAME or hub:NAME"
    )
    parser.add_argument("--test", metavar="FILE", help="the test rows, for the final evaluation")
    parser.add_argument("--validation", metavar="FILE", help="the validation rows, which select the best checkpoint")
    parser.add_argument(
        "--output", metavar="FILE", default="recipe.yaml", help="the recipe file (default: %(default)s); - is standard output"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing recipe")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.data.cells import plural
    from tunesmith.machine import stay_offline
    from tunesmith.workflows.init import DECIDE, draft_recipe

    path = None if args.output == "-" else Path(args.output)
    if path is not None:  # refused before the data are read
        require_file_place(path, args.data, args.test, args.validation)
        if path.exists() and not args.force:
            require_sources(args)
            raise OutputError.one(str(path), "this file exists already.", "Choose another --output, or replace it with --force.")
    if not any(str(source).startswith("hub:") for source in (args.data, args.test, args.validation)):
        stay_offline()
    text, recognised = draft_recipe(args.data, test=args.test, validation=args.validation)
    json = {"recipe": None if path is None else str(path), "recognised": recognised, "yaml": text}
    if path is None:
        return Outcome(json, lines=text.rstrip("\n").split("\n"), notes=recognised, is_data=True)
    write_text(path, text)
    undecided = sum(line.startswith(DECIDE) for line in recognised)
    todo = f"decide on {plural(undecided, 'column')} in {path} (the lines after Decide), then " if undecided else ""
    then = "" if undecided else f", then tunesmith train {path}"
    next_steps = [f"Recipe written to {path}.", f"Next: {todo}tunesmith check {path}{then}"]
    return Outcome(json, lines=[*recognised, "", *next_steps])


def require_sources(args: argparse.Namespace) -> None:
    """Raises DataError for the first data file that does not exist, or cannot be opened."""
    from tunesmith.data.readers.payload import read_bytes
    from tunesmith.recipe.files import is_file_name

    for source in filter(None, (args.data, args.test, args.validation)):
        if is_file_name(source) and not Path(source).is_dir():
            read_bytes(Path(source), source)


VERB = Verb(
    name="init",
    takes="DATA",
    does="inspect data and write a commented recipe for it",
    about="Detects the format, columns and task of the data, explains its choices, and writes a commented recipe.",
    example="tunesmith init tickets.csv --test test.csv",
    add_arguments=add_arguments,
    run=run,
)
