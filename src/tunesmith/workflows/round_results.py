"""Computes the figures, verdicts and alarms of rounds of preference learning, and writes their record and page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.preferences.sampled import SampledAnswer
from tunesmith.disk import write_text
from tunesmith.evaluation.metrics.answers import repetition
from tunesmith.evaluation.metrics.means import mean_metric, mean_verdict
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.report.numbers import number
from tunesmith.results import Alarm, Metric, Verdict, finite

RECORD, TABLE, PAGE = "rounds.json", "rounds.csv", "report.html"
HELD_OUT = "test"
REWARD, GOLD, PREFERRED = "reward", "gold_reward", "preferred"
BASE = "round 0"
"""The model before the first round."""


@dataclass(frozen=True)
class Round:
    """One round, or the model before the first one (number 0).

    Attributes:
        run: its run folder, or the model before the first round.
        n_prompts, n_pairs, n_validation_pairs: prompts that were sampled, and pairs that were made of them.
        cut: share of the sampled answers that did not end within the largest length.
        left_out: reason -> prompts without a pair.
        metrics: of its answers to the held-out prompts.
        verdicts: on the reward of these answers, or on a person's comparisons, against the round before and the first model.
    """

    number: int
    run: str
    n_prompts: int = 0
    n_pairs: int = 0
    n_validation_pairs: int = 0
    cut: float | None = None
    left_out: Mapping[str, int] | None = None
    metrics: tuple[Metric, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    def metric(self, name: str) -> Metric | None:
        """Returns a metric by its name; None if it was not measured."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass(frozen=True)
class Rounds:
    """Rounds of preference learning.

    Attributes:
        rounds: the model before the first round, and every finished round.
        alarms: signs that a round did harm.
        notes: messages for the user.
        waiting: files that a person has to fill in before the command goes on; empty when all rounds are finished.
    """

    folder: Path
    rounds: tuple[Round, ...]
    alarms: tuple[Alarm, ...] = ()
    notes: tuple[str, ...] = ()
    waiting: tuple[Path, ...] = ()


def values_of(answers: Sequence[SampledAnswer]) -> dict[str, Array]:
    """Returns what was measured of each answer (N), by the name of its metric."""
    columns: dict[str, list[Any]] = {
        REWARD: [answer.reward for answer in answers],
        GOLD: [answer.gold for answer in answers],
        "kl": [answer.kl_start for answer in answers],
        "answer_tokens": [answer.tokens for answer in answers],
        "repetition": [repetition(answer.text) for answer in answers],
        "finished": [answer.finished for answer in answers],
    }
    return {name: np.array(column, dtype=np.float64) for name, column in columns.items() if None not in column}


def metrics_of(answers: Sequence[SampledAnswer], resampling: Resampling) -> tuple[Metric, ...]:
    """Returns the means of a policy's answers to the held-out prompts, with intervals over the prompts."""
    values = values_of(answers)
    means = [mean_metric(name, HELD_OUT, [column], resampling) for name, column in values.items()]
    steps = [answer.kl for answer in answers]
    if None not in steps:
        of_round = mean_metric("kl", HELD_OUT, [np.array(steps, dtype=np.float64)], resampling)
        means.append(replace(of_round, name="kl_of_round"))
    return tuple(means)


def reward_verdicts(policies: Sequence[Sequence[SampledAnswer]], resampling: Resampling) -> list[tuple[Verdict, ...]]:
    """Compares the rewards of each policy's answers with those of the one before and of the first, on the same prompts.

    All verdicts are one family (Holm's correction).

    Args:
        policies: the answers to the held-out prompts of the first model, then of each round; the same prompts in the same order.

    Returns:
        The verdicts of each policy but the first.
    """
    values = [values_of(answers) for answers in policies]
    names = [name for name in (REWARD, GOLD) if name in values[0]]
    raw: list[tuple[int, Verdict]] = []
    for k in range(1, len(values)):
        for other in dict.fromkeys((k - 1, 0)):
            for name in names:
                pair = [values[k][name]], [values[other][name]]
                raw.append((k, mean_verdict(name, *pair, f"round {other}", HELD_OUT, resampling)))
    return by_round(raw, len(values))


def by_round(verdicts: Sequence[tuple[int, Verdict]], n_policies: int) -> list[tuple[Verdict, ...]]:
    """Adjusts the verdicts together, and sorts them by round."""
    adjusted = list(zip((k for k, _ in verdicts), holm([verdict for _, verdict in verdicts]), strict=True))
    return [tuple(verdict for of_round, verdict in adjusted if of_round == k) for k in range(1, n_policies)]


def compared_verdicts(shares: Mapping[int, Array], resampling: Resampling, n_policies: int) -> list[tuple[Verdict, ...]]:
    """Compares each round with the one before by the comparisons of a person, as far as there are any.

    Args:
        shares: round -> 1 for each held-out prompt (N) to which its answer is the better one, 0 to which it is the worse, 0.5
            for ties.
    """
    raw = [
        (k, mean_verdict(PREFERRED, [share], [1 - share], f"round {k - 1}", HELD_OUT, resampling)) for k, share in shares.items()
    ]
    return by_round(raw, n_policies)


def over_optimised(rounds: Sequence[Round]) -> list[Alarm]:
    """Finds rounds in which the gold reward fell, by verdict, while the reward that is trained on rose."""
    alarms = []
    for one in rounds:
        for fell in (v for v in one.verdicts if v.metric == GOLD and v.word == "worse"):
            rose = next(v for v in one.verdicts if v.metric == REWARD and v.against == fell.against)
            if (rose.difference or 0.0) > 0:
                loss = number(-(fell.difference or 0.0))
                message = (
                    f"In round {one.number} the gold reward is worse than in {fell.against}, by {loss}, "
                    f"while the trained reward rose by {number(rose.difference)}: the policy exploits the reward."
                )
                remedy = "Keep the round before, write rewards.stop_at_turn: true, raise preference.beta, or improve the reward."
                alarms.append(Alarm("over-optimised", message, remedy))
    return alarms


def record_of(found: Rounds) -> dict[str, Any]:
    """Returns the rounds as JSON types."""
    return {
        "rounds": [finite(asdict(one)) for one in found.rounds],
        "alarms": [asdict(alarm) for alarm in found.alarms],
        "notes": list(found.notes),
        "waiting": [str(path) for path in found.waiting],
    }


def write_record(found: Rounds) -> None:
    """Writes the rounds as JSON and csv, and the page with their plot."""
    from tunesmith.report.rounds import rounds_page

    record = record_of(found)
    write_text(found.folder / RECORD, json.dumps(record, indent=2) + "\n")
    out = io.StringIO(newline="")
    rows = [flat(one) for one in found.rounds]
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_text(found.folder / TABLE, out.getvalue())
    write_text(found.folder / PAGE, rounds_page(record, found.folder.name))


def flat(one: Round) -> dict[str, Any]:
    """Returns a round as a row of a table."""
    row: dict[str, Any] = {
        "round": one.number,
        "run": one.run,
        "prompts": one.n_prompts,
        "pairs": one.n_pairs,
        "validation_pairs": one.n_validation_pairs,
    }
    for metric in one.metrics:
        row |= {metric.name: metric.value, f"{metric.name}_low": metric.low, f"{metric.name}_high": metric.high}
    for verdict in one.verdicts:
        row[f"{verdict.metric}_against_{verdict.against.replace(' ', '_')}"] = verdict.word
    return row
