"""``adapt``: trains a task with and without continued pretraining, and compares."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tunesmith.cli import compare, recipes
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal
from tunesmith.cli.train import explain_interruption


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", metavar="TEXTS_RECIPE", help="a recipe with task: pretraining")
    recipes.add_recipe(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the runs in the output folder")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.results import finite
    from tunesmith.workflows.adapt import adapt

    texts, task = recipes.load(args.texts, []), recipes.load(args.recipe, list(args.overrides))
    with explain_interruption(task.recipe.output, "start over with --overwrite."):
        adaptation = adapt(texts, task, overwrite=args.overwrite, listener=terminal.listener)
    adapted = str(adaptation.adapted.folder)
    runs = {"without": [str(run.folder) for run in adaptation.without], "with": [str(run.folder) for run in adaptation.with_it]}
    folders = [("adapted", adapted), *((name, folder) for name, both in runs.items() for folder in both)]
    lines = compare.verdict_lines("With adaptation the task", adaptation.verdicts, terminal)
    json = {"verdicts": [finite(asdict(verdict)) for verdict in adaptation.verdicts], "adapted": adapted, **runs}
    return Outcome(json, lines=[*lines, "", *(f"{name:<12}{folder}" for name, folder in folders)])


VERB = Verb(
    name="adapt",
    takes="TEXTS_RECIPE RECIPE [KEY=VALUE ...]",
    does="test whether continued pretraining on plain texts improves a task",
    about="Trains the first recipe (task: pretraining), then the second one twice: from its base model, and from the\n"
    "pretrained model. All runs are in the output folder of the second recipe; the verdict compares them.",
    example="tunesmith adapt reviews.yaml sentiment.yaml train.n_seeds=3",
    add_arguments=add_arguments,
    run=run,
)
