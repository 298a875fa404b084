"""``check``: runs the pre-flight checks."""

from __future__ import annotations

import argparse
from typing import Any

from tunesmith.cli import recipes
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, error_lines, is_terminal
from tunesmith.errors import InputError
from tunesmith.progress import silent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    recipes.add_recipe(parser)
    parser.add_argument("--static", action="store_true", help="check only the recipe and the data; loads no model")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    try:
        loaded = recipes.load(args.recipe, args.overrides)
        from tunesmith.workflows.check import check

        listener = terminal.listener if is_terminal(terminal.err) else silent
        report = check(loaded, static=args.static, listener=listener)
    except InputError as error:
        # A problem that prevents the checks is listed like the problems that they find.
        problems = [problem.to_json() for problem in error.problems]
        lines = error_lines(str(error), error.problems, terminal.err)
        return Outcome({"problems": problems, "notes": []}, notes=lines, exit_code=InputError.exit_code)
    json: dict[str, Any] = {
        "problems": [problem.to_json() for problem in report.problems],
        "notes": list(report.notes),
        "checks": list(report.lines),
        "estimate_seconds": report.estimate_seconds,
    }
    if report.problems:
        errors = error_lines("", report.problems, terminal.err)
        return Outcome(json, lines=report.lines, notes=errors, exit_code=InputError.exit_code)
    from tunesmith.report.numbers import duration, plural

    seconds = report.estimate_seconds
    estimate = "" if seconds is None else f" Training will take about {duration(round(seconds))}."
    notes = f" See {plural(len(report.notes), 'note')} above." if report.notes else ""
    return Outcome(json, lines=[*report.lines, terminal.paint("All checks passed.", "green") + notes + estimate])


VERB = Verb(
    name="check",
    takes="RECIPE [KEY=VALUE ...]",
    does="check recipe, data and model before training",
    about="Checks the recipe, the data and the loaded model, cheapest checks first, and estimates the training time.\n"
    "Writes nothing.",
    example="tunesmith check recipe.yaml --static\ntunesmith check recipe.yaml train.seed=1",
    add_arguments=add_arguments,
    run=run,
)
