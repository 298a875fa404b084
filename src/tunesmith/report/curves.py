"""The figures over training steps: loss, metrics, learning rate; one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.report.figures import SERIES, Figure, axis, figure, label
from tunesmith.report.numbers import is_number
from tunesmith.report.words import plain_name

NO_METRICS = frozenset({"step", "seed", "epoch", "runtime", "samples_per_second", "steps_per_second", "model_preparation_time"})


def line(events: Sequence[Mapping[str, Any]], key: str, name: str, color: str, **options: Any) -> Figure:
    """A curve of one field over steps; events without it are left out."""
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


def drawn(traces: Sequence[Figure]) -> list[Figure]:
    """The traces that hold a point."""
    return [trace for trace in traces if trace["x"]]


def of(events: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [event for event in events if event.get("event") == kind]


def by_seed(events: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The events of each seed under the words to add to a curve's name; one entry with no words for a single seed."""
    seeds = sorted({event["seed"] for event in events if is_number(event.get("seed"))})
    if len(seeds) < 2:
        return {"": list(events)}
    return {f", seed {seed}": [event for event in events if event.get("seed") == seed] for seed in seeds}


def marked(step: Any) -> list[Figure]:
    """A dotted line at the step whose weights were kept."""
    if not is_number(step):
        return []
    return [
        {
            "type": "line",
            "x0": step,
            "x1": step,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": "@muted", "width": 1.5, "dash": "dot"},
        }
    ]


def loss_curves(events: Sequence[Mapping[str, Any]], best_step: Any = None) -> Figure | None:
    """Training and validation loss over steps; None where neither was logged."""
    traces: list[Figure] = []
    for i, (words, mine) in enumerate(by_seed(events).items()):
        traces.append(line(of(mine, "train"), "loss", f"training{words}", SERIES[(2 * i) % 6], opacity=0.85))
        color = SERIES[(2 * i + 1) % 6]
        traces.append(
            line(
                of(mine, "evaluate"),
                "loss",
                f"validation{words}",
                color,
                mode="lines+markers",
                marker={"size": 7, "color": color},
            )
        )
    traces = drawn(traces)
    layout = {"xaxis": axis("optimizer step"), "yaxis": axis("loss"), "shapes": marked(best_step)}
    return figure(traces, layout, 300) if traces else None


def metric_curves(events: Sequence[Mapping[str, Any]], main: str | None, best_step: Any = None) -> Figure | None:
    """Every metric of the evaluations over steps, the main one shown and the others behind their legend entries."""
    flat = [
        {**(event.get("metrics") or {}), "step": event.get("step"), "seed": event.get("seed")} for event in of(events, "evaluate")
    ]
    names = list(dict.fromkeys(name for event in flat for name in event if name not in NO_METRICS))
    shown = main if main in names else names[0] if names else None
    names.sort(key=lambda name: name != shown)
    traces: list[Figure] = []
    for words, mine in by_seed(flat).items():
        for name in names:
            color = SERIES[len(traces) % 6]
            options = {
                "mode": "lines+markers",
                "marker": {"size": 7, "color": color},
                "visible": True if name == shown else "legendonly",
            }
            traces.append(line(mine, name, plain_name(name) + words, color, **options))
    traces = drawn(traces)
    layout = {
        "xaxis": axis("optimizer step"),
        "yaxis": axis("validation metric"),
        "shapes": marked(best_step),
        "showlegend": True,
    }
    legend_lines = (len(traces) + 1) // 2
    return figure(traces, layout, 282 + 18 * legend_lines) if traces else None


def pace_curve(events: Sequence[Mapping[str, Any]], key: str, title: str) -> Figure | None:
    """A field of the training log over steps (learning rate, gradient norm); None where it was not logged."""
    traces = []
    for i, (words, mine) in enumerate(by_seed(events).items()):
        traces.append(line(of(mine, "train"), key, title + words, SERIES[i % 6]))
    traces = drawn(traces)
    layout = {
        "xaxis": axis("optimizer step"),
        "yaxis": axis(title, rangemode="tozero", exponentformat="e"),
        "showlegend": len(traces) > 1,
    }
    return figure(traces, layout, 250) if traces else None


def run_curves(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], kind: str, key: str, title: str) -> Figure | None:
    """One field over steps for several runs; a metric of the evaluations where it is no field of the event itself."""
    traces: list[Figure] = []
    for i, (name, events) in enumerate(runs):
        flat = [{**(event.get("metrics") or {}), **event} for event in of(events, kind)]
        color = SERIES[i % 6]
        options = {"mode": "lines+markers", "marker": {"size": 6, "color": color}} if kind == "evaluate" else {}
        traces.append(line(flat, key, label(name, 30), color, **options))
    traces = drawn(traces)
    return figure(traces, {"xaxis": axis("optimizer step"), "yaxis": axis(title), "showlegend": True}, 340) if traces else None
