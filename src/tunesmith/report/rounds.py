"""Writes the page of rounds of preference learning: rewards, divergence and length of each round, and its verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.recipe.metric_names import REWARD_METRICS
from tunesmith.report.drawing import SERIES_COLORS, Axis, Figure, Series
from tunesmith.report.evidence import grid, plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import percent, plural, with_interval
from tunesmith.report.page import alarm_list, document
from tunesmith.report.tables import num, table, verdict_table
from tunesmith.report.words import display_name
from tunesmith.results import Alarm, Verdict

SHOWN = (*REWARD_METRICS, "kl_of_round", "kl", "answer_tokens", "repetition", "finished")
TITLES = {"kl_of_round": "KL to the round before", "kl": "KL to round 0"}
INTRODUCTION = (
    "Each round samples answers of the model so far, learns from pairs of them, and answers the held-out prompts, on which "
    "nothing was trained. Round 0 is the model before. KL is exact, in nats an answer."
)


def rounds_page(record: Mapping[str, Any], name: str) -> str:
    """Returns the page of a record of rounds."""
    rounds: Sequence[Mapping[str, Any]] = record["rounds"]
    messages = [f"Waiting for {path} to be filled in." for path in record["waiting"]] + [f"{note}." for note in record["notes"]]
    alarms = alarm_list([Alarm(**alarm) for alarm in record["alarms"]])
    opening = tag("header", tag("h1", name), tag("p", INTRODUCTION), alarms, *(tag("p", message) for message in messages))
    figure = reward_figure(rounds)
    drawn = [] if figure is None else [grid(plot(figure, "Rewards", "on the held-out prompts, 95 % intervals", wide=True))]
    parts = [("rounds", "The rounds", join([*drawn, figures_table(rounds)])), ("pairs", "The pairs", pairs_table(rounds))]
    if any(one["verdicts"] for one in rounds):
        parts.insert(1, ("verdicts", "Better than before?", join(tables_of(rounds))))
    return document(f"{name} · rounds", opening, parts, None)


def tables_of(rounds: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Builds a table of the verdicts of each round."""
    return [
        join([tag("h3", f"Round {one['number']}"), verdict_table([Verdict(**given) for given in one["verdicts"]])])
        for one in rounds
        if one["verdicts"]
    ]


def metric_of(one: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Returns a metric of a round; None if it was not measured."""
    return next((metric for metric in one["metrics"] if metric["name"] == name), None)


def reward_figure(rounds: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Plots the rewards by round; None without rewards."""
    series = []
    for i, name in enumerate(REWARD_METRICS):
        points = [(one["number"], metric) for one in rounds if (metric := metric_of(one, name)) is not None]
        if points:
            ends = [[metric[end] for _, metric in points] for end in ("low", "high")]
            hints = [f"round {x}: {with_interval(m['value'], m['low'], m['high'])}" for x, m in points]
            values = [metric["value"] for _, metric in points]
            title, color = display_name(name), SERIES_COLORS[i]
            series.append(Series([x for x, _ in points], values, title, color, "both", low=ends[0], high=ends[1], hints=hints))
    return Figure(series, Axis("round", is_whole=True), Axis("reward"), 360, legend=True) if series else None


def figures_table(rounds: Sequence[Mapping[str, Any]]) -> Markup:
    """Builds the table of the metrics by round."""
    names = [name for name in SHOWN if any(metric_of(one, name) for one in rounds)]
    rows = []
    for one in rounds:
        metrics = [metric_of(one, name) for name in names]
        cells = [num("-" if m is None else with_interval(m["value"], m["low"], m["high"])) for m in metrics]
        rows.append((num(str(one["number"])), *cells))
    return table(("round", *(TITLES.get(name) or display_name(name) for name in names)), rows, box="fit")


def pairs_table(rounds: Sequence[Mapping[str, Any]]) -> Markup:
    """Builds the table of the pairs that each round learned from."""
    rows = [
        (
            num(str(one["number"])),
            num(f"{one['n_prompts']:,}"),
            num(f"{one['n_pairs']:,}"),
            num(f"{one['n_validation_pairs']:,}"),
            num(percent(one["cut"])),
            "; ".join(f"{plural(count, 'prompt')} {reason}" for reason, count in (one["left_out"] or {}).items()) or "-",
            one["run"],
        )
        for one in rounds
        if one["number"]
    ]
    return table(("round", "prompts", "pairs", "of validation", "answers cut", "without a pair", "run"), rows)
