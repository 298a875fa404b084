"""``adapt``: a task with and without a model that learnt plain texts first."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tunesmith.cli import compare, recipes
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal
from tunesmith.cli.train import naming_what_is_kept


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", metavar="TEXTS_RECIPE", help="a recipe with task: pretraining")
    recipes.add_recipe(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the output folder")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.results import finite
    from tunesmith.workflows.adapt import adapt

    texts, task = recipes.load(args.texts, []), recipes.load(args.recipe, list(args.overrides))
    with naming_what_is_kept(task.recipe.output, "start over with --overwrite."):
        found = adapt(texts, task, overwrite=args.overwrite, listener=terminal.listener)
    json = {
        "verdicts": [finite(asdict(verdict)) for verdict in found.verdicts], "adapted": str(found.adapted.folder),
        "without": [str(run.folder) for run in found.without], "with": [str(run.folder) for run in found.with_it],
    }  # fmt: skip
    lines = compare.lines_of("With adaptation the task", found.verdicts, terminal)
    return Outcome(json, lines=[*lines, "", *(f"{name:<12}{run}" for name, run in folders(json))])


def folders(json: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Where everything is: name -> folder."""
    runs = [(name, run) for name in ("without", "with") for run in json[name]]
    return [("adapted", json["adapted"]), *runs]


VERB = Verb(
    name="adapt",
    takes="TEXTS_RECIPE RECIPE [KEY=VALUE ...]",
    does="say whether learning plain texts first makes a task better",
    about="Trains the first recipe (task: pretraining), then the second one twice: from its base model, and from the model\n"
    "that learnt the texts. All runs lie in the second recipe's output folder; the verdict is between them.",
    example="tunesmith adapt reviews.yaml sentiment.yaml train.n_seeds=3",
    add_arguments=add_arguments,
    run=run,
)
