"""``check``: the pre-flight."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tunesmith.cli import recipes
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, error_lines
from tunesmith.errors import InputError

if TYPE_CHECKING:
    from tunesmith.preflight.report import CheckReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    recipes.add_recipe(parser)
    parser.add_argument("--static", action="store_true", help="stop after the recipe and the data; loads no model")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    try:
        found = check(args, terminal)
    except InputError as error:
        # What keeps the checks from starting is a problem like those they find, and stands in the same list.
        problems = [problem.to_json() for problem in error.problems]
        lines = error_lines(str(error), error.problems, terminal.err)
        return Outcome({"problems": problems, "notes": []}, notes=lines, exit_code=InputError.exit_code)
    return outcome(found, terminal)


def check(args: argparse.Namespace, terminal: Terminal) -> CheckReport:
    loaded = recipes.load(args.recipe, args.overrides)
    from tunesmith.workflows import check as workflow

    return workflow.check(loaded, static=args.static, listener=terminal.listener)


def outcome(found: CheckReport, terminal: Terminal) -> Outcome:
    json: dict[str, Any] = {
        "problems": [problem.to_json() for problem in found.problems], "notes": list(found.notes), "checks": list(found.lines),
        "estimate_seconds": found.estimate_seconds,
    }  # fmt: skip
    if found.problems:
        wrong = error_lines("", found.problems, terminal.err)
        return Outcome(json, lines=found.lines, notes=wrong, exit_code=InputError.exit_code)
    return Outcome(json, lines=[*found.lines, *closing(found, terminal)])


def closing(found: CheckReport, terminal: Terminal) -> list[str]:
    from tunesmith.report.numbers import duration, plural

    seconds = found.estimate_seconds
    took = "" if seconds is None else f" Training will take about {duration(round(seconds))}."
    seen = f" {plural(len(found.notes), 'note')} above should be looked at." if found.notes else ""
    return [terminal.paint("Nothing stands in the way.", "green") + seen + took]


VERB = Verb(
    name="check",
    takes="RECIPE [KEY=VALUE ...]",
    does="prove that the run will work before it is paid for",
    about="Checks the recipe, the data and the loaded model, cheapest first, and estimates the time. Writes nothing.",
    example="tunesmith check recipe.yaml --static\ntunesmith check recipe.yaml train.seed=1",
    add_arguments=add_arguments,
    run=run,
)
