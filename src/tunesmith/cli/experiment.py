"""``experiment``: trains a recipe several times with something changed on purpose, and shows what it does."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tunesmith.cli import recipes
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, table
from tunesmith.cli.train import explain_kept


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", choices=["flip"], help="flip: shares of the preference pairs are reversed")
    recipes.add_recipe(parser)
    parser.add_argument(
        "--shares", metavar="SHARE", type=float, nargs="+", help="shares of reversed pairs (default: 0 to 0.5 by 0.1)"
    )
    parser.add_argument(
        "--order",
        choices=["random", "smallest", "largest"],
        default="random",
        help="which pairs are reversed first, by their gap",
    )
    parser.add_argument("--gap", metavar="RUN", help="a reward run whose rewards give the gaps (default: the scores of the rows)")
    parser.add_argument(
        "--candidates", metavar="FILE", help="prompts with responses and scores: the score of the selected answers"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="start over: remove the runs of the experiment in the output folder"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.report.numbers import percent, with_interval
    from tunesmith.results import finite
    from tunesmith.workflows.flip import PAGE, SHARES, FlipOptions, flip, flip_words

    loaded = recipes.load(args.recipe, list(args.overrides))
    options = FlipOptions(tuple(args.shares or SHARES), args.order, args.gap, args.candidates)
    command = "the same command without --overwrite" if args.overwrite else "the same command"
    with explain_kept(loaded.recipe.output, "finished runs are kept", command):
        found = flip(loaded, options, overwrite=args.overwrite, listener=terminal.listener)
    heads = ("reversed", "training pairs", f"accuracy on {found.split}", "agreement (cap)", "selected score")
    rows = [
        (
            percent(point.share),
            f"{point.n_reversed:,}",
            with_interval(point.accuracy, point.low, point.high),
            f"{with_interval(point.agreement, point.agreement_low, point.agreement_high)} ({point.agreement_cap:.3f})",
            with_interval(point.downstream, point.downstream_low, point.downstream_high),
        )
        for point in found.points
    ]
    json = {"order": found.order, "split": found.split, "points": [finite(asdict(point)) for point in found.points]}
    lines = [flip_words(found), "", *table([heads, *rows]), "", f"report      {found.folder / PAGE}"]
    return Outcome({**json, "folder": str(found.folder)}, lines=lines)


VERB = Verb(
    name="experiment",
    takes="flip RECIPE [KEY=VALUE ...]",
    does="train with growing shares of reversed pairs, and show what that costs",
    about="Trains a recipe of task: reward or preference once for each share of reversed pairs in train and\n"
    "validation, and measures every run on pairs that are not reversed. Runs, flip.csv, flip.json and report.html\n"
    "are in the recipe's output folder. Finished runs are kept: the same command goes on, also with further shares.",
    example="tunesmith experiment flip reward.yaml --shares 0 0.2 0.4\n"
    "tunesmith experiment flip reward.yaml --order smallest --candidates lists.jsonl",
    add_arguments=add_arguments,
    run=run,
)
