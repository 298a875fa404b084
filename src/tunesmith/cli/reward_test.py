"""``reward-test``: scores good and spoilt answers by a reward, before a model is trained on it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from tunesmith.cli.parsing import Verb, columns_by_role
from tunesmith.cli.terminal import WORD_COLOURS, Outcome, Terminal, table

if TYPE_CHECKING:
    from tunesmith.workflows.reward_test import RewardTest

BAD = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reward", metavar="REWARD", help="file.py:name of a reward function, or a run of task: reward")
    parser.add_argument("data", metavar="DATA", help="prompts with good answers")
    parser.add_argument("--model", metavar="MODEL", help="also score the answers of this language model")
    parser.add_argument("--max-new-tokens", metavar="N", type=int, default=64, help="maximum length of its answers in tokens")
    parser.add_argument(
        "--column", metavar="ROLE=COLUMN", action="append", help="role of a column, as in data.columns; repeatable"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of spoilt and of generated answers (default: 0)")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.results import finite
    from tunesmith.workflows.reward_test import reward_test

    found = reward_test(
        args.reward,
        args.data,
        columns=columns_by_role(args.column, "reward-test"),
        model=args.model,
        max_new_tokens=args.max_new_tokens,
        seed=args.seed,
        listener=terminal.listener,
    )
    json = {
        "reward": found.reward,
        "rows": found.n_rows,
        "passed": not found.preferred,
        "preferred": found.preferred,
        "variants": [finite(asdict(variant)) for variant in found.variants],
        "notes": list(found.notes),
    }
    return Outcome(json, lines=[*variant_lines(found, terminal), "", *conclusion(found)], exit_code=BAD if found.preferred else 0)


def variant_lines(found: RewardTest, terminal: Terminal) -> list[str]:
    """Formats the reward of each kind of answers, and the verdict of the good ones against it."""
    from tunesmith.report.numbers import with_interval

    rows = [("answers", "reward", "good answers are", "difference", "rows preferred, tied")]
    for variant in found.variants:
        verdict, reward = variant.verdict, variant.reward
        mean = "-" if reward is None else with_interval(reward.value, reward.low, reward.high)
        if verdict is None:
            rows.append((variant.name, mean, "" if reward is not None else "the same", "", ""))
            continue
        word = terminal.paint(verdict.word, WORD_COLOURS[verdict.word])
        difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
        n = 0 if reward is None else reward.n
        rows.append((variant.name, mean, word, difference, f"{variant.n_preferred}, {variant.n_tied} of {n}"))
    return table(rows)


def conclusion(found: RewardTest) -> list[str]:
    """Says whether the reward may be trained on."""
    lines = [f"note: {note}." for note in found.notes]
    if found.preferred:
        lines.append(
            f"Do not train on it: it prefers answers that are {' or '.join(found.preferred)} to good ones, "
            "and a policy would learn to give those."
        )
    elif found.untold:
        lines.append(f"It prefers no spoilt answers, and is not shown to tell good ones from these: {', '.join(found.untold)}.")
    else:
        lines.append("It tells good answers from every kind of spoilt ones.")
    return lines


VERB = Verb(
    name="reward-test",
    takes="REWARD DATA",
    does="test a reward on good and spoilt answers before training on it",
    about="Scores good answers, and the same answers emptied, exchanged, shuffled, truncated and repeated, by a reward function\n"
    "or a reward run, with verdicts. Exit code 2 if the reward prefers spoilt answers, or is no finite number.",
    example="tunesmith reward-test rewards.py:helpful answers.jsonl\n"
    "tunesmith reward-test runs/reward answers.jsonl --model runs/sft",
    add_arguments=add_arguments,
    run=run,
)
