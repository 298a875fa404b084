"""Builds the report section of policies: rewards, divergence, length and repetition over the training, and reward against KL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.recipe.metric_names import ANSWER_METRICS, REWARD_METRICS
from tunesmith.report import tables
from tunesmith.report.curves import over_steps, select, split_by_seed
from tunesmith.report.drawing import SERIES_COLORS, Axis, Figure, Series
from tunesmith.report.evidence import grid, plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import is_number, number, with_interval
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.words import display_name, part

SHOWN = (*REWARD_METRICS, *(name for name in ANSWER_METRICS if name != "finished"))


def rewards(run: SavedRun) -> Markup | None:
    """Shows the trained and the gold reward with KL, length and repetition, the reward against KL, and the fitted law."""
    evaluations = [
        {**(event.get("metrics") or {}), "step": event.get("step"), "seed": event.get("seed")}
        for event in select(run.events, "evaluate")
    ]
    if not any("reward" in event for event in evaluations):
        return None
    of_seed = next(iter(split_by_seed(evaluations).values()))
    curve = run.result.training.get("best_of_n") or []
    note = "Each line runs from its lowest to its highest value, which stand in the legend: what rises, falls and turns together."
    figures = grid(
        plot(
            together(of_seed, run.result.training.get("best_step")),
            "Rewards, KL, length and repetition",
            "on validation",
            wide=True,
        ),
        plot(
            against_kl(of_seed, curve),
            "Reward against KL",
            "on validation; the best of n on the rows evaluated at the end. Compare at equal KL, not at equal coefficients",
            wide=True,
        ),
    )
    zero = part(run.result.training, "loss_near_zero").get("sentence")
    explained = tag("p", zero, class_="note") if zero else None
    return join(
        [tag("p", note), explained, figures, best_of_n_table(curve), laws(part(run.result.training, "over_optimisation"))]
    )


def together(events: Sequence[Mapping[str, Any]], best_step: object = None) -> Figure | None:
    """Plots several validation metrics over steps, each from 0 (its lowest value) to 1 (its highest)."""
    series = []
    for i, name in enumerate(SHOWN):
        points = [(event["step"], event[name]) for event in events if is_number(event.get("step")) and is_number(event.get(name))]
        if not points:
            continue
        low, high = min(y for _, y in points), max(y for _, y in points)
        scaled = [(y - low) / (high - low) if high > low else 0.5 for _, y in points]
        hints = [f"step {x:,}: {display_name(name)} {number(y)}" for x, y in points]
        title = f"{display_name(name)} {number(low)} to {number(high)}"
        series.append(Series([x for x, _ in points], scaled, title, SERIES_COLORS[i % 6], "both", hints=hints))
    return over_steps(series, 360, "from lowest to highest", best_step=best_step)


def against_kl(events: Sequence[Mapping[str, Any]], curve: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Plots the rewards of the evaluations against their exact KL, and those of the best of n answers of the untuned model."""
    series = []
    for i, name in enumerate(REWARD_METRICS):
        points = sorted(
            (event["kl"], event[name]) for event in events if is_number(event.get("kl")) and is_number(event.get(name))
        )
        hints = [f"KL {number(x)}: {display_name(name)} {number(y)}" for x, y in points]
        best = sorted((point["kl"], point[name]) for point in curve if is_number(point.get(name)))
        colors = SERIES_COLORS[2 * i], SERIES_COLORS[2 * i + 1]
        series.append(Series([x for x, _ in points], [y for _, y in points], display_name(name), colors[0], "both", hints=hints))
        title = f"{display_name(name)}, best of n"
        series.append(Series([x for x, _ in best], [y for _, y in best], title, colors[1], "both", dashed=True))
    drawn = [each for each in series if each.x]
    return (
        Figure(drawn, Axis("exact KL to the untuned model, nats an answer"), Axis("reward"), 320, legend=True) if drawn else None
    )


def best_of_n_table(curve: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Lists what the best of n answers of the untuned model reaches, and at most at which KL."""
    if not curve:
        return None
    rows = [
        (
            tables.num(str(point["n"])),
            tables.num(with_interval(point["reward"], point["low"], point["high"])),
            tables.num(number(point.get("gold_reward")) if is_number(point.get("gold_reward")) else ""),
            tables.num(number(point["kl"])),
        )
        for point in curve
    ]
    heads = ("n", "reward of the best", "its gold reward", "KL at most")
    return tables.table(heads, rows, caption="best of n answers of the untuned model", box="fit")


def laws(record: Mapping[str, Any]) -> Markup | None:
    """Writes the fitted laws of over-optimisation, of the policy and of the best of n, in a sentence each."""
    sources = (("fit", "evaluations"), ("best_of_n_fit", "sizes of the best of n untuned answers"))
    texts = [law(fit, points) for name, points in sources if (fit := record.get(name))]
    return join([tag("p", text, class_="note") for text in texts]) if texts else None


def law(fit: Mapping[str, Any], points: str) -> str:
    """Writes a fitted law in a sentence."""
    a, b = (with_interval(*fit[name]) for name in ("a", "b"))
    peak = f" It is highest at a KL of {number(fit['peak_kl'])} nats." if is_number(fit.get("peak_kl")) else ""
    where = f"{fit['formula']} with d = {fit['d']}, a = {a}, b = {b}"
    return f"Gain of the gold reward over {fit['n_points']} {points}: {where}.{peak}"
