"""Figures as plain plotly specifications: dictionaries that the page hands to plotly.js.

Colours are names such as ``@accent``; the page puts in those of the reader's light or dark scheme. Text from data goes
through ``label``, because plotly reads a few HTML tags in it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.report.counts import Bin
from tunesmith.report.markup import UNPRINTABLE
from tunesmith.report.numbers import is_number, with_interval
from tunesmith.report.words import plain_name
from tunesmith.results import Metric, Verdict

Figure = dict[str, Any]
WORD_COLORS = {"better": "@better", "worse": "@worse", "cannot tell": "@unsure"}
SERIES = ("@accent", "@second", "@third", "@fourth", "@fifth", "@sixth")
MOST_POINTS = 5_000


def label(text: object, longest: int = 24) -> str:
    """Text from data for a tick, legend or hover line: one line, shortened in the middle, with no tag in it."""
    line = UNPRINTABLE.sub("\ufffd", " ".join(str(text).split()))
    if len(line) > longest:
        line = f"{line[: longest - longest // 3 - 1]}…{line[-(longest // 3) :]}"
    return html.escape(line, quote=False)


def figure(data: Sequence[Figure], layout: Figure, height: int) -> Figure:
    """A specification with its height in pixels."""
    return {"data": list(data), "layout": {"height": height, **layout}}


def axis(title: str = "", **options: Any) -> Figure:
    return {"title": {"text": title}, **options} if title else dict(options)


def arms(values: Sequence[float | None], low: Sequence[float | None], high: Sequence[float | None]) -> Figure:
    """Asymmetric error bars from interval ends."""
    up = [b - v if is_number(v) and is_number(b) and v is not None and b is not None else 0 for v, b in zip(values, high, strict=True)]
    down = [v - a if is_number(v) and is_number(a) and v is not None and a is not None else 0 for v, a in zip(values, low, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 2.5, "width": 6}


def dots(names: Sequence[str], points: Sequence[tuple[Any, Any, Any]], colors: Sequence[str], title: str, zero: bool) -> Figure:
    """Values with intervals, one line each, from the top down."""
    values, low, high = ([point[i] for point in points] for i in range(3))
    data = [
        {
            "type": "scatter", "mode": "markers", "x": [value], "y": [name], "error_x": {**arms([value], [a], [b]), "color": color},
            "marker": {"color": color, "size": 11}, "showlegend": False,
            "hovertemplate": f"{name}<br>{with_interval(value, a, b, signed=zero)}<extra></extra>",
        }
        for name, value, a, b, color in zip(names, values, low, high, colors, strict=True)
    ]  # fmt: skip
    lines = [{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "@ink", "width": 1.5}}]
    layout = {
        "xaxis": axis(title, zeroline=False), "yaxis": axis(autorange="reversed", type="category", showgrid=False),
        "shapes": lines if zero else [], "hovermode": "closest",
    }  # fmt: skip
    return figure(data, layout, 90 + 38 * len(names))


def differences(verdicts: Sequence[Verdict]) -> Figure:
    """This run minus each other system, with intervals and a line at no difference."""
    return dots(
        [label(plain_name(v.against), 30) for v in verdicts], [(v.difference, v.low, v.high) for v in verdicts],
        [WORD_COLORS.get(v.word, "@muted") for v in verdicts], "this run minus the other", zero=True,
    )  # fmt: skip


def systems(rows: Sequence[tuple[str, Metric]]) -> Figure:
    """One metric of several systems; the first is this run."""
    names = [label(name, 30) for name, _ in rows]
    colors = ["@accent"] + ["@muted"] * (len(rows) - 1)
    return dots(names, [(m.value, m.low, m.high) for _, m in rows], colors, plain_name(rows[0][1].name), zero=False)


def line(events: Sequence[Mapping[str, Any]], key: str, name: str, color: str, **options: Any) -> Figure:
    """A curve of one field over steps; events without it are left out."""
    points = [(event["step"], event[key]) for event in events if is_number(event.get("step")) and is_number(event.get(key))]
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": [x for x, _ in points], "y": [y for _, y in points],
        "line": {"color": color, "width": 2}, "hovertemplate": "step %{x}: %{y:.4~g}", **options,
    }  # fmt: skip


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
    return [{"type": "line", "x0": step, "x1": step, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "@muted", "width": 1.5, "dash": "dot"}}]


def loss_curves(events: Sequence[Mapping[str, Any]], best_step: Any = None) -> Figure | None:
    """Training and validation loss over steps; None where neither was logged."""
    traces = []
    for i, (words, mine) in enumerate(by_seed(events).items()):
        traces.append(line(of(mine, "train"), "loss", f"training{words}", SERIES[(2 * i) % 6], opacity=0.85))
        color = SERIES[(2 * i + 1) % 6]
        traces.append(line(of(mine, "evaluate"), "loss", f"validation{words}", color, mode="lines+markers", marker={"size": 7, "color": color}))
    traces = drawn(traces)
    layout = {"xaxis": axis("optimizer step"), "yaxis": axis("loss", rangemode="tozero"), "shapes": marked(best_step)}
    return figure(traces, layout, 320) if traces else None


def metric_curves(events: Sequence[Mapping[str, Any]], main: str | None, best_step: Any = None) -> Figure | None:
    """Every metric of the evaluations over steps, the main one shown and the others behind their legend entries."""
    flat = [{**(event.get("metrics") or {}), "step": event.get("step"), "seed": event.get("seed")} for event in of(events, "evaluate")]
    names = list(dict.fromkeys(name for event in flat for name in event if name not in ("step", "seed")))
    shown = main if main in names else names[0] if names else None
    names.sort(key=lambda name: name != shown)
    traces = []
    for words, mine in by_seed(flat).items():
        for name in names:
            color = SERIES[len(traces) % 6]
            options = {"mode": "lines+markers", "marker": {"size": 7, "color": color}, "visible": True if name == shown else "legendonly"}
            traces.append(line(mine, name, plain_name(name) + words, color, **options))
    traces = drawn(traces)
    layout = {"xaxis": axis("optimizer step"), "yaxis": axis("validation metric"), "shapes": marked(best_step), "showlegend": True}
    return figure(traces, layout, 320) if traces else None


def pace_curves(events: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Learning rate, and gradient norm on the right-hand axis."""
    train = of(events, "train")
    rate = line(train, "learning_rate", "learning rate", "@accent")
    norm = line(train, "grad_norm", "gradient norm", "@third", yaxis="y2", line={"color": "@third", "width": 1.5}, opacity=0.8)
    traces = drawn([rate, norm])
    layout = {
        "xaxis": axis("optimizer step"), "yaxis": axis("learning rate", rangemode="tozero", exponentformat="e"),
        "yaxis2": axis("gradient norm", overlaying="y", side="right", rangemode="tozero", showgrid=False), "showlegend": True,
    }  # fmt: skip
    return figure(traces, layout, 320) if traces else None


def heat_map(matrix: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Confusion matrix: colour is the share of the given class, counts in the cells (up to 20 classes) and on hover."""
    support = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, support, out=np.zeros(matrix.shape), where=support > 0)
    few, n = len(names) <= 20, len(names)
    ticks = [label(name, 22) for name in names]
    trace = {
        "type": "heatmap", "z": np.round(share, 4).tolist(), "customdata": matrix.tolist(), "zmin": 0, "zmax": 1, "xgap": 1, "ygap": 1,
        "colorscale": [[0, "@heat0"], [0.05, "@heat1"], [0.5, "@heat2"], [1, "@heat3"]], "showscale": False,
        "x": list(range(n)), "y": list(range(n)), "text": [[f"{a}<br>predicted {b}" for b in ticks] for a in ticks] if n <= 100 else None,
        "hovertemplate": "given %{text}<br>%{customdata} rows, %{z:.1%} of the given class<extra></extra>",
    }  # fmt: skip
    shown = {"tickvals": list(range(n)), "ticktext": ticks, "showgrid": False, "zeroline": False}
    if n > 40:
        shown = {"showticklabels": False, "showgrid": False, "zeroline": False}
    layout: Figure = {
        "xaxis": axis("predicted", tickangle=-45 if n > 3 else 0, constrain="domain", **shown),
        "yaxis": axis("given", autorange="reversed", scaleanchor="x", constrain="domain", **shown),
        "hovermode": "closest", "annotations": cell_counts(matrix, share) if few else [],
    }  # fmt: skip
    return figure([trace], layout, min(760, 330 + 26 * n))


def cell_counts(matrix: NDArray[np.int64], share: NDArray[np.float64]) -> list[Figure]:
    """The counts as text in the cells that hold any."""
    return [
        {"x": int(j), "y": int(i), "text": f"{matrix[i, j]:,}", "showarrow": False, "font": {"size": 12, "color": "@heatdark" if share[i, j] > 0.45 else "@ink"}}
        for i, j in np.argwhere(matrix > 0)
    ]  # fmt: skip


def reliability_diagram(bins: Sequence[Bin]) -> Figure:
    """Share that was right against mean confidence, with intervals; the bars are the rows in each step."""
    right = [step.right for step in bins]
    total = sum(step.n for step in bins)
    points = {
        "type": "scatter", "mode": "lines+markers", "name": "share right", "x": [step.confidence for step in bins],
        "y": [rate.value for rate in right], "marker": {"size": 9, "color": "@accent"}, "line": {"color": "@accent", "width": 2},
        "error_y": {**arms([r.value for r in right], [r.low for r in right], [r.high for r in right]), "color": "@accent", "thickness": 1.5},
        "customdata": [step.n for step in bins], "hovertemplate": "confidence %{x:.3f}, right %{y:.3f}, %{customdata} rows<extra></extra>",
    }  # fmt: skip
    bars = {
        "type": "bar", "name": "share of the rows", "x": [step.confidence for step in bins], "y": [step.n / total for step in bins], "width": 0.05,
        "marker": {"color": "@muted", "opacity": 0.35}, "hoverinfo": "skip",
    }  # fmt: skip
    ideal = {"type": "scatter", "mode": "lines", "name": "perfect", "x": [0, 1], "y": [0, 1], "line": {"color": "@muted", "dash": "dot", "width": 1.5}, "hoverinfo": "skip"}
    layout = {"xaxis": axis("confidence", range=[0, 1.02]), "yaxis": axis("share right", range=[0, 1.05]), "hovermode": "closest", "showlegend": True}
    return figure([bars, ideal, points], layout, 380)


def given_against_predicted(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Regression: one dot a row (at most 5,000, evenly taken), and the line where both agree."""
    step = max(1, -(-len(given) // MOST_POINTS))
    low, high = float(min(given.min(), predicted.min())), float(max(given.max(), predicted.max()))
    cloud = {
        "type": "scatter", "mode": "markers", "x": np.round(given[::step], 5).tolist(), "y": np.round(predicted[::step], 5).tolist(),
        "marker": {"color": "@accent", "size": 6, "opacity": 0.5}, "hovertemplate": "given %{x:.3f}, predicted %{y:.3f}<extra></extra>", "showlegend": False,
    }  # fmt: skip
    same = {"type": "scatter", "mode": "lines", "x": [low, high], "y": [low, high], "line": {"color": "@muted", "dash": "dot"}, "hoverinfo": "skip", "showlegend": False}
    return figure([same, cloud], {"xaxis": axis("given"), "yaxis": axis("predicted"), "hovermode": "closest"}, 380)


def residuals(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Regression: how many rows were predicted how far off."""
    counts, edges = np.histogram(predicted - given, bins=30)
    bars = {
        "type": "bar", "x": np.round((edges[:-1] + edges[1:]) / 2, 5).tolist(), "y": counts.tolist(), "width": float(edges[1] - edges[0]),
        "marker": {"color": "@accent", "line": {"color": "@bg", "width": 1}}, "hovertemplate": "%{x:.3f}: %{y} rows<extra></extra>",
    }  # fmt: skip
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "@ink", "width": 1.5}}
    return figure([bars], {"xaxis": axis("predicted minus given"), "yaxis": axis("rows"), "bargap": 0, "shapes": [zero]}, 380)


def lengths(splits: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Lengths in tokens per split as shares of its rows, with a line where texts are cut; None where none were measured."""
    traces, limits = [], set()
    for split, record in splits.items():
        histogram = record.get("length_histogram") or {}
        edges, rows = histogram.get("edges") or [], histogram.get("counts") or []
        total = sum(rows)
        if not total or len(edges) != len(rows) + 1:
            continue
        color = SERIES[len(traces) % 6]
        traces.append({
            "type": "scatter", "mode": "lines", "name": label(split), "x": list(edges), "y": [n / total for n in rows] + [0],
            "line": {"shape": "hv", "color": color, "width": 2}, "hovertemplate": "from %{x} tokens: %{y:.1%} of the rows",
        })  # fmt: skip
        limits.add(record.get("max_length"))
    cuts = [{"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "@worse", "width": 2, "dash": "dash"}} for x in limits if is_number(x)]
    layout = {"xaxis": axis("tokens", rangemode="tozero"), "yaxis": axis("share of the rows", tickformat=".0%", rangemode="tozero"), "shapes": cuts, "showlegend": True}
    return figure(traces, layout, 300) if traces else None


def run_curves(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], kind: str, key: str, title: str) -> Figure | None:
    """One field over steps for several runs; a metric of the evaluations where it is no field of the event itself."""
    traces = []
    for i, (name, events) in enumerate(runs):
        flat = [{**(event.get("metrics") or {}), **event} for event in of(events, kind)]
        color = SERIES[i % 6]
        options = {"mode": "lines+markers", "marker": {"size": 6, "color": color}} if kind == "evaluate" else {}
        traces.append(line(flat, key, label(name, 30), color, **options))
    traces = drawn(traces)
    return figure(traces, {"xaxis": axis("optimizer step"), "yaxis": axis(title), "showlegend": True}, 340) if traces else None
