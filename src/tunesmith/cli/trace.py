"""``trace``: shows one row at every processing stage."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from tunesmith.cli import recipes
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    recipes.add_recipe(parser)
    parser.add_argument("--row", metavar="N", type=int, required=True, help="position in the source file, starting at 0")
    parser.add_argument("--split", metavar="S", default="train", help="train, validation or test (default: %(default)s)")
    parser.add_argument(
        "--run", metavar="RUN", help="a finished run: also shows its prediction and the row's contribution to each metric"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.results import finite

    loaded = recipes.load(args.recipe, args.overrides)
    from tunesmith.workflows.trace import trace

    stages = trace(loaded, args.row, split=args.split, run=None if args.run is None else Path(args.run))
    lines = [line for name, stage in stages.items() if stage is not None for line in format_stage(name, stage)]
    return Outcome(finite(stages), lines=lines)


def format_stage(name: str, stage: object) -> list[str]:
    if isinstance(stage, Mapping):
        return [name, *table([(f"{key}:", plain(value)) for key, value in stage.items()])] if stage else [f"{name}: nothing"]
    if isinstance(stage, list | tuple) and stage and isinstance(stage[0], Mapping):
        head = list(stage[0])
        return [f"{name} ({len(stage)})", *table([head, *([plain(item.get(key)) for key in head] for item in stage)])]
    return [f"{name}: {plain(stage)}"]


def plain(value: object) -> str:
    """Formats a value on one line: short numbers, and text in quotes so that spaces at its ends are visible."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return repr(value) if isinstance(value, str) else str(value)


VERB = Verb(
    name="trace",
    takes="RECIPE --row N",
    does="show one row at every stage",
    about="Shows one row as read from the file, after column mapping, its label, its tokens with the inputs of the model\n"
    "(input ids, attention mask, segments of a pair), and,\n"
    "with a finished run, its prediction and its contribution to each metric.",
    example="tunesmith trace recipe.yaml --row 17\ntunesmith trace recipe.yaml --row 3 --split test --run runs/tickets",
    add_arguments=add_arguments,
    run=run,
)
