"""``train``: check, train, evaluate, baselines, verdict, report."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli import recipes
from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.terminal import Outcome, Terminal
from tunesmith.errors import Interrupted

if TYPE_CHECKING:
    from tunesmith.recipe.load import LoadedRecipe
    from tunesmith.tasks.finished import Run

# What a run folder holds for people, in the order they will want it.
FILES = (("report", "report.html"), ("model", "model"), ("predictions", "predictions.parquet"), ("numbers", "result.json"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    recipes.add_recipe(parser)
    parser.add_argument("--resume", action="store_true", help="continue the run that was interrupted")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in the output folder")
    parser.add_argument("--smoke", action="store_true", help="a quick try: at most 100 rows a split, nothing saved")
    parser.add_argument("--processes", metavar="N", type=int, help="training processes (parallel.processes)")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    if args.resume and args.overwrite:
        raise UsageError.one("train", "--resume and --overwrite exclude each other.", "Give one of the two.")
    overrides = list(args.overrides)
    if args.processes is not None:
        overrides.append(f"parallel.processes={args.processes}")
    loaded = recipes.load(args.recipe, overrides)
    processes = loaded.recipe.parallel.processes
    if processes > 1 and "TUNESMITH_CHILD" not in os.environ:
        from tunesmith.training.launch import launch

        return Outcome(None, exit_code=launch(args.words, processes))
    finished = train(loaded, args, terminal)
    # Of several processes only the first one has the run, and speaks for all.
    return Outcome(None) if finished is None else summary(finished)


def train(loaded: LoadedRecipe, args: argparse.Namespace, terminal: Terminal) -> Run | None:
    from tunesmith.workflows import train as runs

    with naming_what_is_kept(loaded.recipe.output):
        return runs.train(
            loaded, resume=args.resume, overwrite=args.overwrite, smoke=args.smoke, listener=terminal.listener
        )  # fmt: skip


@contextmanager
def naming_what_is_kept(output: str, remedy: str = "continue with --resume.") -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM outside the training loop into Interrupted with a word on what is on disk."""
    try:
        yield
    except KeyboardInterrupt:
        from tunesmith.run_folder import claim

        work = claim(output, overwrite=True).work
        kept = f"what was done is kept in {work}; {remedy}" if work.exists() else "nothing was written."
        raise Interrupted(f"interrupted: {kept}") from None


def summary(run: Run) -> Outcome:
    """The result in a few lines, and where everything is."""
    from tunesmith.report.summary import summary_lines

    json: dict[str, Any] = {**run.result.to_json(), "run": str(run.folder)}
    return Outcome(json, lines=[*summary_lines(run.result), "", *paths(run.folder)])


def paths(folder: Path) -> list[str]:
    """Where the parts of the run are, for those that exist."""
    found = [(name, folder / file) for name, file in FILES if (folder / file).exists()]
    return [f"{name:<12}{path}" for name, path in found]


VERB = Verb(
    name="train",
    takes="RECIPE [KEY=VALUE ...]",
    does="check, train, evaluate, compare with baselines, report",
    about="Checks, trains, evaluates, compares with simpler systems, and writes a run folder with a report.\n"
    "A data file instead of a recipe is trained on with every default, into runs/NAME.",
    example="tunesmith train recipe.yaml train.seed=1 --overwrite\ntunesmith train tickets.csv",
    add_arguments=add_arguments,
    run=run,
)
