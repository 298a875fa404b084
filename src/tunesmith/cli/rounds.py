"""``rounds``: trains in rounds on the model's own answers, each with a verdict."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from tunesmith.cli import recipes
from tunesmith.cli.compare import verdict_lines
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, table
from tunesmith.cli.train import explain_kept

if TYPE_CHECKING:
    from tunesmith.workflows.round_results import Rounds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    recipes.add_recipe(parser)
    parser.add_argument("--rounds", metavar="N", type=int, help="rounds in all, in place of rounds.n; more than before adds some")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.workflows.round_results import PAGE, record_of
    from tunesmith.workflows.rounds import rounds

    own = [] if args.rounds is None else [f"rounds.n={args.rounds}"]
    loaded = recipes.load(args.recipe, [*args.overrides, *own])
    with explain_kept(loaded.recipe.output, "finished parts are kept"):
        found = rounds(loaded, listener=terminal.listener)
    lines = [*table(figure_rows(found)), ""]
    for one in found.rounds:
        if one.verdicts:
            lines += [*verdict_lines(f"Round {one.number}", one.verdicts, terminal, "prompt"), ""]
    lines += [f"alarm: {alarm.name}. {alarm.message} {alarm.remedy}" for alarm in found.alarms]
    lines += [f"note: {note}." for note in found.notes]
    lines += waiting_lines(found, args) or [f"model       {found.rounds[-1].run}"]
    lines.append(f"report      {found.folder / PAGE}")
    return Outcome({**record_of(found), "folder": str(found.folder)}, lines=lines)


def figure_rows(found: Rounds) -> list[tuple[str, ...]]:
    """Formats the figures of each round: pairs, rewards, divergence, length."""
    from tunesmith.recipe.metric_names import REWARD_METRICS
    from tunesmith.report.numbers import number, percent, with_interval

    shown = [
        ("reward", "reward"),
        ("gold_reward", "gold reward"),
        ("kl", "KL to round 0"),
        ("answer_tokens", "tokens"),
        ("finished", "finished"),
    ]
    shown = [(name, title) for name, title in shown if any(one.metric(name) for one in found.rounds)]
    rows = [("round", "pairs", "answers cut", *(title for _, title in shown))]
    for one in found.rounds:
        cells = []
        for name, _ in shown:
            metric = one.metric(name)
            with_ends = name in REWARD_METRICS
            cells.append(
                "-"
                if metric is None
                else with_interval(metric.value, metric.low, metric.high)
                if with_ends
                else number(metric.value)
            )
        pairs = f"{one.n_pairs:,} + {one.n_validation_pairs:,}" if one.number else "-"
        rows.append((str(one.number), pairs, percent(one.cut), *cells))
    return rows


def waiting_lines(found: Rounds, args: argparse.Namespace) -> list[str]:
    """Says which files are to be filled in, and how the rounds go on."""
    if not found.waiting:
        return []
    command = shlex.join(["tunesmith", *args.words])
    return [
        "Waiting for a person. Write a, b or tie into every cell of the column better of",
        *(f"  {path}" for path in found.waiting),
        f"then give the command again: {command}",
    ]


VERB = Verb(
    name="rounds",
    takes="RECIPE [KEY=VALUE ...]",
    does="train in rounds on the model's own answers, each with a verdict",
    about="Runs a recipe of task: preference with a section rounds, whose rows are prompts. Each round samples answers of the\n"
    "model so far, has them annotated by rewards or by a file that a person fills in, trains on the pairs, and compares\n"
    "the answers to held-out prompts before and after. Finished parts are kept: the same command goes on.",
    example="tunesmith rounds rounds.yaml\ntunesmith rounds rounds.yaml --rounds 3",
    add_arguments=add_arguments,
    run=run,
)
