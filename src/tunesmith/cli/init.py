"""``init``: detects the format of the data and writes a commented recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal
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
    from tunesmith.machine import stay_offline
    from tunesmith.workflows.init import draft_recipe

    path = None if args.output == "-" else Path(args.output)
    if path is not None:  # refused before the data are read
        if path.is_dir():
            raise OutputError.one(str(path), "this is a folder; the recipe is a file.", "Give the file's name: --output FILE.")
        if path.exists() and not args.force:
            raise OutputError.one(str(path), "this file exists already.", "Choose another --output, or replace it with --force.")
        if not path.absolute().parent.is_dir():
            message = f"there is no folder {path.parent}."
            raise OutputError.one(str(path), message, "Create it first, or choose another --output.")
    if not any(str(source).startswith("hub:") for source in (args.data, args.test, args.validation)):
        stay_offline()
    text, recognised = draft_recipe(args.data, test=args.test, validation=args.validation)
    json = {"recipe": None if path is None else str(path), "recognised": recognised, "yaml": text}
    if path is None:
        return Outcome(json, lines=text.rstrip("\n").split("\n"), notes=recognised)
    write(path, text)
    next_steps = [f"Recipe written to {path}.", f"Next: tunesmith check {path}, then tunesmith train {path}"]
    return Outcome(json, lines=[*recognised, "", *next_steps])


def write(path: Path, text: str) -> None:
    """Writes the file atomically."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except PermissionError:
        raise OutputError.one(str(path), "this place cannot be written to.", "Choose another --output.") from None


VERB = Verb(
    name="init",
    takes="DATA",
    does="inspect data and write a commented recipe for it",
    about="Detects the format, columns and task of the data, explains its choices, and writes a commented recipe.",
    example="tunesmith init tickets.csv --test test.csv",
    add_arguments=add_arguments,
    run=run,
)
