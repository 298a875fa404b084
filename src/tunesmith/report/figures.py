"""Figures as plain plotly specifications: dictionaries that the page hands to plotly.js.

Colours are names such as ``@accent``; the page puts in those of the reader's light or dark scheme. Text from data goes
through ``label``, because plotly reads a few HTML tags in it.
"""

from __future__ import annotations

import html
from collections import Counter
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
    up = [
        b - v if is_number(v) and is_number(b) and v is not None and b is not None else 0
        for v, b in zip(values, high, strict=True)
    ]
    down = [
        v - a if is_number(v) and is_number(a) and v is not None and a is not None else 0
        for v, a in zip(values, low, strict=True)
    ]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 2.5, "width": 6}


def dots(names: Sequence[str], points: Sequence[tuple[Any, Any, Any]], colors: Sequence[str], title: str, zero: bool) -> Figure:
    """Values with intervals, one line each, from the top down."""
    values, low, high = ([point[i] for point in points] for i in range(3))
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [value],
            "y": [name],
            "error_x": {**arms([value], [a], [b]), "color": color},
            "marker": {"color": color, "size": 11},
            "showlegend": False,
            "hovertemplate": f"{name}<br>{with_interval(value, a, b, signed=zero)}<extra></extra>",
        }
        for name, value, a, b, color in zip(names, values, low, high, colors, strict=True)
    ]
    lines = [{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "@ink", "width": 1.5}}]
    layout = {
        "xaxis": axis(title, zeroline=False),
        "yaxis": axis(autorange="reversed", type="category", showgrid=False),
        "shapes": lines if zero else [],
        "hovermode": "closest",
    }
    return figure(data, layout, 90 + 38 * len(names))


def differences(verdicts: Sequence[Verdict]) -> Figure:
    """This run minus each other system, with intervals and a line at no difference."""
    return dots(
        [label(plain_name(v.against), 30) for v in verdicts],
        [(v.difference, v.low, v.high) for v in verdicts],
        [WORD_COLORS.get(v.word, "@muted") for v in verdicts],
        "",
        zero=True,
    )


def systems(rows: Sequence[tuple[str, Metric]]) -> Figure:
    """One metric of several systems; the first is this run."""
    names = [label(name, 30) for name, _ in rows]
    colors = ["@accent"] + ["@muted"] * (len(rows) - 1)
    return dots(names, [(m.value, m.low, m.high) for _, m in rows], colors, plain_name(rows[0][1].name), zero=False)


def heat_map(matrix: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Confusion matrix: colour is the share of the given class, counts in the cells (up to 20 classes) and on hover."""
    support = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, support, out=np.zeros(matrix.shape), where=support > 0)
    n, ticks = len(names), distinct([label(name, 22) for name in names])
    trace = {
        "type": "heatmap",
        "x": ticks,
        "y": ticks,
        "z": np.round(share, 4).tolist(),
        "zmin": 0,
        "zmax": 1,
        "customdata": matrix.tolist(),
        "colorscale": [[0, "@heat0"], [0.04, "@heat1"], [0.5, "@heat2"], [1, "@heat3"]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "given %{y}<br>predicted %{x}<br>%{customdata} rows, %{z:.1%} of the given class<extra></extra>",
    }
    shown = {
        "type": "category",
        "showgrid": False,
        "zeroline": False,
        "showticklabels": n <= 40,
        "constrain": "domain",
    }
    layout: Figure = {
        "xaxis": axis("predicted", tickangle=-45 if n > 3 else 0, dtick=1, **shown),
        "yaxis": axis("given", autorange="reversed", scaleanchor="x", dtick=1, **shown),
        "hovermode": "closest",
        "annotations": cell_counts(matrix, share) if n <= 20 else [],
    }
    return figure([trace], layout, min(760, 330 + 26 * n))


def cosine_map(cosines: Sequence[Sequence[float]], texts: Sequence[str]) -> Figure:
    """The cosine of each text with each other: colour and figure."""
    ticks = distinct([label(text, 30) for text in texts])
    values = np.asarray(cosines, dtype=float)
    trace = {
        "type": "heatmap", "x": ticks, "y": ticks, "z": values.round(3).tolist(), "zmin": 0, "zmax": 1,
        "colorscale": [[0, "@heat0"], [0.04, "@heat1"], [0.5, "@heat2"], [1, "@heat3"]], "showscale": False, "xgap": 1, "ygap": 1,
        "hovertemplate": "%{y}<br>%{x}<br>cosine %{z:.3f}<extra></extra>",
    }  # fmt: skip
    written = [
        {"x": j, "y": i, "text": f"{values[i, j]:.2f}", "showarrow": False,
         "font": {"size": 11, "color": "@heatdark" if values[i, j] > 0.45 else "@ink"}}
        for i in range(len(ticks)) for j in range(len(ticks))
    ]  # fmt: skip
    shown: dict[str, Any] = {"type": "category", "showgrid": False, "zeroline": False, "constrain": "domain", "dtick": 1}
    layout: Figure = {
        "xaxis": axis(**shown, showticklabels=False), "yaxis": axis(autorange="reversed", scaleanchor="x", **shown),
        "annotations": written, "hovermode": "closest",
    }  # fmt: skip
    return figure([trace], layout, 120 + 34 * len(ticks))


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels, with a number behind those that shortening made the same: plotly merges equal categories."""
    seen: Counter[str] = Counter()
    kept = []
    for text in labels:
        seen[text] += 1
        kept.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return kept


def cell_counts(matrix: NDArray[np.int64], share: NDArray[np.float64]) -> list[Figure]:
    """The counts as text in the cells that hold any."""
    return [
        {
            "x": int(j),
            "y": int(i),
            "text": f"{matrix[i, j]:,}",
            "showarrow": False,
            "font": {"size": 12, "color": "@heatdark" if share[i, j] > 0.45 else "@ink"},
        }
        for i, j in np.argwhere(matrix > 0)
    ]


def reliability_diagram(bins: Sequence[Bin]) -> Figure:
    """Share that was right against mean confidence, with intervals; the bars are the rows in each step."""
    right = [step.right for step in bins]
    total = sum(step.n for step in bins)
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "share right",
        "x": [step.confidence for step in bins],
        "y": [rate.value for rate in right],
        "marker": {"size": 9, "color": "@accent"},
        "line": {"color": "@accent", "width": 2},
        "error_y": {
            **arms([r.value for r in right], [r.low for r in right], [r.high for r in right]),
            "color": "@accent",
            "thickness": 1.5,
        },
        "customdata": [step.n for step in bins],
        "hovertemplate": "confidence %{x:.3f}, right %{y:.3f}, %{customdata} rows<extra></extra>",
    }
    bars = {
        "type": "bar",
        "name": "share of the rows",
        "x": [step.confidence for step in bins],
        "y": [step.n / total for step in bins],
        "width": 0.05,
        "marker": {"color": "@muted", "opacity": 0.35},
        "hoverinfo": "skip",
    }
    ideal = {
        "type": "scatter",
        "mode": "lines",
        "name": "perfect",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": "@muted", "dash": "dot", "width": 1.5},
        "hoverinfo": "skip",
    }
    layout = {
        "xaxis": axis("confidence", range=[0, 1.02]),
        "yaxis": axis("share right", range=[0, 1.05]),
        "hovermode": "closest",
        "showlegend": True,
    }
    return figure([bars, ideal, points], layout, 380)


def given_against_predicted(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Regression: one dot a row (at most 5,000, evenly taken), and the line where both agree."""
    step = max(1, -(-len(given) // MOST_POINTS))
    low, high = float(min(given.min(), predicted.min())), float(max(given.max(), predicted.max()))
    cloud = {
        "type": "scatter",
        "mode": "markers",
        "x": np.round(given[::step], 5).tolist(),
        "y": np.round(predicted[::step], 5).tolist(),
        "marker": {"color": "@accent", "size": 6, "opacity": 0.5},
        "hovertemplate": "given %{x:.3f}, predicted %{y:.3f}<extra></extra>",
        "showlegend": False,
    }
    same = {
        "type": "scatter",
        "mode": "lines",
        "x": [low, high],
        "y": [low, high],
        "line": {"color": "@muted", "dash": "dot"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return figure([same, cloud], {"xaxis": axis("given"), "yaxis": axis("predicted"), "hovermode": "closest"}, 380)


def residuals(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Regression: how many rows were predicted how far off."""
    counts, edges = np.histogram(predicted - given, bins=30)
    bars = {
        "type": "bar",
        "x": np.round((edges[:-1] + edges[1:]) / 2, 5).tolist(),
        "y": counts.tolist(),
        "width": float(edges[1] - edges[0]),
        "marker": {"color": "@accent", "line": {"color": "@bg", "width": 1}},
        "hovertemplate": "%{x:.3f}: %{y} rows<extra></extra>",
    }
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "@ink", "width": 1.5}}
    return figure([bars], {"xaxis": axis("predicted minus given"), "yaxis": axis("rows"), "bargap": 0, "shapes": [zero]}, 380)


def context_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure | None:
    """Perplexity by the size of the window, one line a system; None where none was measured."""
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "name": label(name), "x": [point["window"] for point in points],
            "y": [point["perplexity"] for point in points], "line": {"color": SERIES[number % 6], "width": 2},
            "error_y": {**arms(*([point[key] for point in points] for key in ("perplexity", "low", "high"))), "thickness": 1.5},
            "hovertemplate": "window %{x} tokens: %{y:.4g}",
        }
        for number, (name, points) in enumerate(curves.items())
        if points
    ]  # fmt: skip
    windows = sorted({point["window"] for points in curves.values() for point in points})
    tokens = axis("tokens of the window", type="log", tickvals=windows, ticktext=[f"{window:,}" for window in windows])
    layout = {"xaxis": tokens, "yaxis": axis("perplexity")}
    return figure(traces, layout, 320) if traces else None


def lengths(splits: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Lengths in tokens per split as shares of its rows, with a line where texts are cut; None where none were measured."""
    traces: list[Figure] = []
    limits = set()
    for split, record in splits.items():
        histogram = record.get("length_histogram") or {}
        edges, rows = histogram.get("edges") or [], histogram.get("counts") or []
        total = sum(rows)
        if not total or len(edges) != len(rows) + 1:
            continue
        color = SERIES[len(traces) % 6]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label(split),
                "x": list(edges),
                "y": [n / total / wide if wide else 0 for n, wide in zip(rows, np.diff(edges).tolist(), strict=True)] + [0],
                "line": {"shape": "hv", "color": color, "width": 2},
                "hovertemplate": "from %{x} tokens: %{y:.2%} of the rows per token",
            }
        )
        limits.add(record.get("max_length"))
    cuts = [
        {
            "type": "line",
            "x0": x,
            "x1": x,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": "@worse", "width": 2, "dash": "dash"},
        }
        for x in limits
        if is_number(x)
    ]
    layout = {
        "xaxis": axis("tokens", rangemode="tozero"),
        "yaxis": axis("share of the rows per token", tickformat=".1~%", rangemode="tozero"),
        "shapes": cuts,
        "showlegend": True,
    }
    return figure(traces, layout, 300) if traces else None
