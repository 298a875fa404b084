"""``train``: checks, trains, evaluates, compares with baselines and writes the report."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith.cli import recipes
from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.terminal import Outcome, Terminal, is_terminal
from tunesmith.errors import Interrupted

CONTINUE = "continue with --resume."
# Files of a run folder to list after training.
FILES = (("report", "report.html"), ("model", "model"), ("predictions", "predictions.parquet"), ("numbers", "result.json"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    recipes.add_recipe(parser)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in the output folder")
    parser.add_argument("--smoke", action="store_true", help="quick test: at most 100 rows per split, nothing is saved")
    parser.add_argument("--processes", metavar="N", type=int, help="number of training processes (parallel.processes)")


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
    from tunesmith.run_folder import SMOKE
    from tunesmith.workflows.train import train

    interrupted = (f"{loaded.recipe.output}{SMOKE}", "start it again.") if args.smoke else (loaded.recipe.output,)
    with explain_interruption(*interrupted):
        finished = train(loaded, resume=args.resume, overwrite=args.overwrite, smoke=args.smoke, listener=terminal.listener)
    # With several processes, only rank 0 returns the run and prints.
    if finished is None:
        return Outcome(None)
    from tunesmith.report.summary import WIDTH, summary_lines

    json: dict[str, Any] = {**finished.result.to_json(), "run": str(finished.folder)}
    width = WIDTH if is_terminal(terminal.out) else None
    return Outcome(json, lines=[*summary_lines(finished.result, width), "", *paths(finished.folder)])


@contextmanager
def explain_interruption(output: str, remedy: str = CONTINUE) -> Iterator[None]:
    """Adds to the message of a run that was interrupted, by Ctrl-C or SIGTERM, where its files are and how it goes on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as error:
        from tunesmith.run_folder import locate_output

        work, text = locate_output(output).work, str(error) or "interrupted"
        if work.exists():
            text = f"{text}: partial results are in {work}; {remedy}"
        raise Interrupted(text if work.exists() or str(error) else f"{text}: nothing was written.") from None


@contextmanager
def explain_kept(folder: str, kept: str, command: str = "the same command") -> Iterator[None]:
    """Says of a command that makes a folder of several runs, and was interrupted, how it goes on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as error:
        from tunesmith.run_folder import locate_output

        text, place = str(error) or "interrupted", locate_output(folder).final
        remedy = f". To go on, run {command} again: {kept} in {place}." if place.exists() else ": nothing was written."
        raise Interrupted(f"{text}{remedy}") from None


def paths(folder: Path) -> list[str]:
    """Lists the files of the run that exist."""
    kept = sorted(folder.glob("checkpoints/**/step-*"), key=lambda path: int(path.name.removeprefix("step-")))
    evaluations = [("evaluations", f"{kept[0]}{f' ... {kept[-1].name}' if len(kept) > 1 else ''}")] if kept else []
    existing = [(name, str(folder / file)) for name, file in FILES if (folder / file).exists()]
    return [f"{name:<12}{path}" for name, path in (*existing, *evaluations)]


VERB = Verb(
    name="train",
    takes="RECIPE [KEY=VALUE ...]",
    does="check, train, evaluate, compare with baselines, report",
    about="Checks, trains, evaluates, compares with baselines, and writes a run folder with a report.\n"
    "With a data file instead of a recipe, all keys have their defaults and the run folder is runs/NAME.",
    example="tunesmith train recipe.yaml train.seed=1 --overwrite\ntunesmith train tickets.csv",
    add_arguments=add_arguments,
    run=run,
)
