"""Plots loss, metrics and learning rate over training steps, for one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.report.figures import SERIES, Figure, axis, figure, label, vertical_line
from tunesmith.report.numbers import is_number
from tunesmith.report.words import display_name

LOG_FIELDS = frozenset({"step", "seed", "epoch", "runtime", "samples_per_second", "steps_per_second", "model_preparation_time"})


def line(events: Sequence[Mapping[str, Any]], key: str, name: str, color: str, **options: object) -> Figure:
    """Makes a curve of one field over steps; skips events without it."""
    points = [(event["step"], event[key]) for event in events if is_number(event.get("step")) and is_number(event.get(key))]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "line": {"color": color, "width": 2},
        "hovertemplate": "step %{x}: %{y:.4~g}",
        **options,
    }


def markers(color: str, size: int) -> dict[str, object]:
    """Options of a curve with a marker at each point."""
    return {"mode": "lines+markers", "marker": {"size": size, "color": color}}


def over_steps(traces: Sequence[Figure], height: int, yaxis: Figure, **layout: object) -> Figure | None:
    """Makes a figure over optimizer steps of the traces that have points; None if there are none."""
    drawn = [trace for trace in traces if trace["x"]]
    return figure(drawn, {"xaxis": axis("optimizer step"), "yaxis": yaxis, **layout}, height) if drawn else None


def select(events: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [event for event in events if event.get("event") == kind]


def split_by_seed(events: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Groups the events by seed; the keys are suffixes for curve names, empty if there is only one seed."""
    seeds = sorted({event["seed"] for event in events if is_number(event.get("seed"))})
    if len(seeds) < 2:
        return {"": list(events)}
    return {f", seed {seed}": [event for event in events if event.get("seed") == seed] for seed in seeds}


def mark_step(step: object) -> list[Figure]:
    """Makes a dotted vertical line at the selected checkpoint."""
    return [vertical_line(step, color="@muted", width=1.5, dash="dot")] if is_number(step) else []


def loss_curves(events: Sequence[Mapping[str, Any]], best_step: object = None) -> Figure | None:
    """Plots training and validation loss over steps; None if neither was logged."""
    traces: list[Figure] = []
    for i, (suffix, of_seed) in enumerate(split_by_seed(events).items()):
        training, validation = SERIES[(2 * i) % 6], SERIES[(2 * i + 1) % 6]
        traces.append(line(select(of_seed, "train"), "loss", f"training{suffix}", training, opacity=0.85))
        evaluations = select(of_seed, "evaluate")
        traces.append(line(evaluations, "loss", f"validation{suffix}", validation, **markers(validation, 7)))
    return over_steps(traces, 300, axis("loss"), shapes=mark_step(best_step))


def metric_curves(events: Sequence[Mapping[str, Any]], main: str | None, best_step: object = None) -> Figure | None:
    """Plots all validation metrics over steps: the primary one visible, the others hidden behind their legend entries."""
    found = select(events, "evaluate")
    flat = [{**(event.get("metrics") or {}), "step": event.get("step"), "seed": event.get("seed")} for event in found]
    names = list(dict.fromkeys(name for event in flat for name in event if name not in LOG_FIELDS))
    visible = main if main in names else names[0] if names else None
    names.sort(key=lambda name: name != visible)
    traces: list[Figure] = []
    for suffix, of_seed in split_by_seed(flat).items():
        for name in names:
            color, visibility = SERIES[len(traces) % 6], True if name == visible else "legendonly"
            traces.append(line(of_seed, name, display_name(name) + suffix, color, **markers(color, 7), visible=visibility))
    legend_lines = (sum(bool(trace["x"]) for trace in traces) + 1) // 2
    shapes = mark_step(best_step)
    return over_steps(traces, 282 + 18 * legend_lines, axis("validation metric"), shapes=shapes, showlegend=True)


def training_curve(events: Sequence[Mapping[str, Any]], key: str, title: str) -> Figure | None:
    """Plots a field of the training log over steps (learning rate, gradient norm); None if it was not logged."""
    traces = [
        line(select(of_seed, "train"), key, title + suffix, SERIES[i % 6])
        for i, (suffix, of_seed) in enumerate(split_by_seed(events).items())
    ]
    has_several = sum(bool(trace["x"]) for trace in traces) > 1
    return over_steps(traces, 250, axis(title, rangemode="tozero", exponentformat="e"), showlegend=has_several)


def run_curves(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], kind: str, key: str, title: str) -> Figure | None:
    """Plots one field, or one metric of the evaluations, over steps for several runs."""
    traces: list[Figure] = []
    for i, (name, events) in enumerate(runs):
        flat = [{**(event.get("metrics") or {}), **event} for event in select(events, kind)]
        color = SERIES[i % 6]
        traces.append(line(flat, key, label(name, 30), color, **(markers(color, 6) if kind == "evaluate" else {})))
    return over_steps(traces, 340, axis(title), showlegend=True)
