"""Makes figures as plain plotly specifications: dictionaries that the page passes to plotly.js.

Colours are names such as ``@accent``, which the page replaces for its light or dark scheme. Text from data is escaped
by ``label``, because plotly interprets some HTML tags.
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
from tunesmith.report.words import display_name
from tunesmith.results import Metric, Verdict

Figure = dict[str, Any]
WORD_COLORS = {"better": "@better", "worse": "@worse", "cannot tell": "@unsure"}
SERIES = ("@accent", "@second", "@third", "@fourth", "@fifth", "@sixth")
MOST_POINTS = 5_000


def label(text: object, longest: int = 24) -> str:
    """Formats text from data for a tick, legend or hover text: one line, shortened in the middle, HTML escaped."""
    line = UNPRINTABLE.sub("\ufffd", " ".join(str(text).split()))
    if len(line) > longest:
        line = f"{line[: longest - longest // 3 - 1]}…{line[-(longest // 3) :]}"
    return html.escape(line, quote=False)


def figure(data: Sequence[Figure], layout: Figure, height: int) -> Figure:
    """Makes a specification; height in pixels."""
    return {"data": list(data), "layout": {"height": height, **layout}}


def axis(title: str = "", **options: object) -> Figure:
    return {"title": {"text": title}, **options} if title else dict(options)


def vertical_line(x: float, **style: object) -> Figure:
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": style}


def error_bars(values: Sequence[object], low: Sequence[object], high: Sequence[object], **style: object) -> Figure:
    """Makes asymmetric error bars from interval ends."""
    up = [end - value if is_number(value) and is_number(end) else 0 for value, end in zip(values, high, strict=True)]
    down = [value - end if is_number(value) and is_number(end) else 0 for value, end in zip(values, low, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 2.5, "width": 6, **style}


def interval_plot(
    names: Sequence[str], points: Sequence[tuple[Any, Any, Any]], colors: Sequence[str], title: str, zero: bool
) -> Figure:
    """Plots (value, low, high) points with error bars, one row per name."""
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [value],
            "y": [name],
            "error_x": error_bars([value], [low], [high], color=color),
            "marker": {"color": color, "size": 11},
            "showlegend": False,
            "hovertemplate": f"{name}<br>{with_interval(value, low, high, signed=zero)}<extra></extra>",
        }
        for name, (value, low, high), color in zip(names, points, colors, strict=True)
    ]
    layout = {
        "xaxis": axis(title, zeroline=False),
        "yaxis": axis(autorange="reversed", type="category", showgrid=False),
        "shapes": [vertical_line(0, color="@ink", width=1.5)] if zero else [],
        "hovermode": "closest",
    }
    return figure(data, layout, 90 + 38 * len(names))


def differences(verdicts: Sequence[Verdict]) -> Figure:
    """Plots the differences to each baseline, with intervals and a line at zero."""
    names = [label(display_name(v.against), 30) for v in verdicts]
    points = [(v.difference, v.low, v.high) for v in verdicts]
    return interval_plot(names, points, [WORD_COLORS.get(v.word, "@muted") for v in verdicts], "", zero=True)


def systems(rows: Sequence[tuple[str, Metric]]) -> Figure:
    """Plots one metric of this run (the first row) and of the baselines."""
    names = [label(name, 30) for name, _ in rows]
    colors = ["@accent"] + ["@muted"] * (len(rows) - 1)
    points = [(m.value, m.low, m.high) for _, m in rows]
    return interval_plot(names, points, colors, display_name(rows[0][1].name), zero=False)


HEAT_MAP: Figure = {
    "type": "heatmap",
    "zmin": 0,
    "zmax": 1,
    "colorscale": [[0, "@heat0"], [0.04, "@heat1"], [0.5, "@heat2"], [1, "@heat3"]],
    "showscale": False,
    "xgap": 1,
    "ygap": 1,
}
CATEGORIES: Figure = {"type": "category", "showgrid": False, "zeroline": False, "constrain": "domain", "dtick": 1}


def cell_text(i: int, j: int, text: str, size: int, is_dark: bool) -> Figure:
    color = "@heatdark" if is_dark else "@ink"
    return {"x": j, "y": i, "text": text, "showarrow": False, "font": {"size": size, "color": color}}


def heat_map(matrix: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Plots a confusion matrix: colours are fractions of the true class; counts in the cells (up to 20 classes) and on hover."""
    support = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, support, out=np.zeros(matrix.shape), where=support > 0)
    n, ticks = len(names), distinct([label(name, 22) for name in names])
    trace = {
        **HEAT_MAP,
        "x": ticks,
        "y": ticks,
        "z": np.round(share, 4).tolist(),
        "customdata": matrix.tolist(),
        "hovertemplate": "label %{y}<br>predicted %{x}<br>%{customdata} rows, %{z:.1%} of the label's rows<extra></extra>",
    }
    occupied = np.argwhere(matrix > 0).tolist() if n <= 20 else []
    layout: Figure = {
        "xaxis": axis("predicted", tickangle=-45 if n > 3 else 0, showticklabels=n <= 40, **CATEGORIES),
        "yaxis": axis("label", autorange="reversed", scaleanchor="x", showticklabels=n <= 40, **CATEGORIES),
        "hovermode": "closest",
        "annotations": [cell_text(i, j, f"{matrix[i, j]:,}", 12, share[i, j] > 0.45) for i, j in occupied],
    }
    return figure([trace], layout, min(760, 330 + 26 * n))


def cosine_map(cosines: Sequence[Sequence[float]], texts: Sequence[str]) -> Figure:
    """Plots the cosine similarities of texts as colours and numbers."""
    ticks = distinct([label(text, 30) for text in texts])
    values = np.asarray(cosines, dtype=float)
    trace = {
        **HEAT_MAP,
        "x": ticks,
        "y": ticks,
        "z": values.round(3).tolist(),
        "hovertemplate": "%{y}<br>%{x}<br>cosine %{z:.3f}<extra></extra>",
    }
    layout: Figure = {
        "xaxis": axis(**CATEGORIES, showticklabels=False),
        "yaxis": axis(autorange="reversed", scaleanchor="x", **CATEGORIES),
        "annotations": [cell_text(i, j, f"{value:.2f}", 11, value > 0.45) for (i, j), value in np.ndenumerate(values)],
        "hovermode": "closest",
    }
    return figure([trace], layout, 120 + 34 * len(ticks))


def distinct(labels: Sequence[str]) -> list[str]:
    """Numbers labels that are equal after shortening, because plotly merges equal categories."""
    seen: Counter[str] = Counter()
    numbered = []
    for text in labels:
        seen[text] += 1
        numbered.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return numbered


def reference_line(ends: Sequence[float], width: float = 2, **options: object) -> Figure:
    """Makes a dotted diagonal between two points (x = y)."""
    line = {"color": "@muted", "dash": "dot", "width": width}
    return {"type": "scatter", "mode": "lines", "x": ends, "y": ends, "line": line, "hoverinfo": "skip", **options}


def reliability_diagram(bins: Sequence[Bin]) -> Figure:
    """Plots accuracy against mean confidence, with intervals; the bars are the fraction of rows in each bin."""
    right = [each.right for each in bins]
    total = sum(each.n for each in bins)
    confidence, accuracy = [each.confidence for each in bins], [rate.value for rate in right]
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "accuracy",
        "x": confidence,
        "y": accuracy,
        "marker": {"size": 9, "color": "@accent"},
        "line": {"color": "@accent", "width": 2},
        "error_y": error_bars(accuracy, [r.low for r in right], [r.high for r in right], color="@accent", thickness=1.5),
        "customdata": [each.n for each in bins],
        "hovertemplate": "confidence %{x:.3f}, accuracy %{y:.3f}, %{customdata} rows<extra></extra>",
    }
    bars = {
        "type": "bar",
        "name": "fraction of the rows",
        "x": confidence,
        "y": [each.n / total for each in bins],
        "width": 0.05,
        "marker": {"color": "@muted", "opacity": 0.35},
        "hoverinfo": "skip",
    }
    layout = {
        "xaxis": axis("confidence", range=[0, 1.02]),
        "yaxis": axis("accuracy", range=[0, 1.05]),
        "hovermode": "closest",
        "showlegend": True,
    }
    return figure([bars, reference_line([0, 1], width=1.5, name="perfect calibration"), points], layout, 380)


def labels_and_predictions(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Plots predictions against labels of a regression (at most 5,000 rows, evenly spaced), with the diagonal."""
    step = max(1, -(-len(given) // MOST_POINTS))
    low, high = float(min(given.min(), predicted.min())), float(max(given.max(), predicted.max()))
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": np.round(given[::step], 5).tolist(),
        "y": np.round(predicted[::step], 5).tolist(),
        "marker": {"color": "@accent", "size": 6, "opacity": 0.5},
        "hovertemplate": "label %{x:.3f}, predicted %{y:.3f}<extra></extra>",
        "showlegend": False,
    }
    layout = {"xaxis": axis("label"), "yaxis": axis("predicted"), "hovermode": "closest"}
    return figure([reference_line([low, high], showlegend=False), points], layout, 380)


def residuals(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Plots a histogram of the residuals of a regression."""
    counts, edges = np.histogram(predicted - given, bins=30)
    bars = {
        "type": "bar",
        "x": np.round((edges[:-1] + edges[1:]) / 2, 5).tolist(),
        "y": counts.tolist(),
        "width": float(edges[1] - edges[0]),
        "marker": {"color": "@accent", "line": {"color": "@bg", "width": 1}},
        "hovertemplate": "%{x:.3f}: %{y} rows<extra></extra>",
    }
    zero = vertical_line(0, color="@ink", width=1.5)
    return figure([bars], {"xaxis": axis("predicted minus label"), "yaxis": axis("rows"), "bargap": 0, "shapes": [zero]}, 380)


def context_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure | None:
    """Plots perplexity by context length, one line per model; None without measurements."""
    traces = []
    for i, (name, points) in enumerate(curves.items()):
        if not points:
            continue
        perplexity, low, high = ([point[key] for point in points] for key in ("perplexity", "low", "high"))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label(name),
                "x": [point["window"] for point in points],
                "y": perplexity,
                "line": {"color": SERIES[i % 6], "width": 2},
                "error_y": error_bars(perplexity, low, high, thickness=1.5),
                "hovertemplate": "context length %{x} tokens: %{y:.4g}",
            }
        )
    windows = sorted({point["window"] for points in curves.values() for point in points})
    tokens = axis("context length in tokens", type="log", tickvals=windows, ticktext=[f"{window:,}" for window in windows])
    return figure(traces, {"xaxis": tokens, "yaxis": axis("perplexity")}, 320) if traces else None


def lengths(splits: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Plots the distribution of lengths in tokens per split, with a line at max_length; None without measurements."""
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
    layout = {
        "xaxis": axis("tokens", rangemode="tozero"),
        "yaxis": axis("fraction of the rows per token", tickformat=".1~%", rangemode="tozero"),
        "shapes": [vertical_line(limit, color="@worse", width=2, dash="dash") for limit in limits if is_number(limit)],
        "showlegend": True,
    }
    return figure(traces, layout, 300) if traces else None
