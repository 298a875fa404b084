"""Makes the figures of a report from verdicts, predictions and records; ``drawing`` draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.cells import plural
from tunesmith.report.counts import Bin
from tunesmith.report.drawing import SERIES_COLORS, Axis, Figure, Series, VerticalLine, label
from tunesmith.report.numbers import is_number, number, percent, with_interval
from tunesmith.report.words import display_name
from tunesmith.results import Metric, Verdict

WORD_COLORS = {"better": "better", "worse": "worse", "cannot tell": "unsure"}
MOST_POINTS = 2_000


def interval_plot(
    names: Sequence[str], points: Sequence[tuple[Any, Any, Any]], colors: Sequence[str], title: str, zero: bool
) -> Figure:
    """Plots (value, low, high) points with their intervals, one row per name."""
    series = [
        Series(
            [value],
            [i],
            color=color,
            mode="points",
            low=[low],
            high=[high],
            interval_axis="x",
            hints=[f"{name}: {with_interval(value, low, high, signed=zero)}"],
            radius=5,
        )
        for i, (name, (value, low, high), color) in enumerate(zip(names, points, colors, strict=True))
        if is_number(value)
    ]
    rows = Axis(low=len(names) - 0.5, high=-0.5, ticks=list(enumerate(names)))
    lines = [VerticalLine(0, "ink")] if zero else []
    return Figure(series, Axis(title), rows, 70 + 34 * len(names), lines)


def differences(verdicts: Sequence[Verdict]) -> Figure:
    """Plots the differences to each baseline, with intervals and a line at zero."""
    names = [label(display_name(v.against), 26) for v in verdicts]
    points = [(v.difference, v.low, v.high) for v in verdicts]
    return interval_plot(names, points, [WORD_COLORS.get(v.word, "muted") for v in verdicts], "", zero=True)


def systems(rows: Sequence[tuple[str, Metric]]) -> Figure:
    """Plots one metric of this run (the first row) and of the baselines."""
    names = [label(name, 26) for name, _ in rows]
    colors = ["accent"] + ["muted"] * (len(rows) - 1)
    points = [(m.value, m.low, m.high) for _, m in rows]
    return interval_plot(names, points, colors, display_name(rows[0][1].name), zero=False)


def distinct(labels: Sequence[str]) -> list[str]:
    """Numbers labels that are equal, so that every one can be told apart."""
    seen: Counter[str] = Counter()
    numbered = []
    for text in labels:
        seen[text] += 1
        numbered.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return numbered


def reliability_diagram(bins: Sequence[Bin]) -> Figure:
    """Plots accuracy against mean confidence, with intervals; the bars are the fraction of rows in each bin."""
    right, total = [each.right for each in bins], sum(each.n for each in bins)
    confidence, accuracy = [each.confidence for each in bins], [rate.value or 0.0 for rate in right]
    hints = [f"confidence {each.confidence:.3f}, accuracy {number(each.right.value)}, {plural(each.n, 'row')}" for each in bins]
    bars = Series(
        confidence, [each.n / total for each in bins], "fraction of the rows", "muted", "bars", width=0.05, opacity=0.35
    )
    perfect = Series([0, 1], [0, 1], "perfect calibration", "muted", dashed=True)
    low, high = [rate.low for rate in right], [rate.high for rate in right]
    points = Series(confidence, accuracy, "accuracy", mode="both", low=low, high=high, hints=hints, radius=4.5)
    return Figure([bars, perfect, points], Axis("confidence", 0.0, 1.03), Axis("accuracy", 0.0, 1.03), 380, legend=True)


def labels_and_predictions(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Plots predictions against labels of a regression (at most 2,000 rows, evenly spaced), with the diagonal."""
    step = max(1, -(-len(given) // MOST_POINTS))
    ends = [float(min(given.min(), predicted.min())), float(max(given.max(), predicted.max()))]
    points = Series(given[::step].tolist(), predicted[::step].tolist(), mode="points", opacity=0.5, radius=2.5)
    return Figure([Series(ends, ends, color="muted", dashed=True), points], Axis("label"), Axis("predicted"), 380)


def residuals(given: NDArray[np.float64], predicted: NDArray[np.float64]) -> Figure:
    """Plots a histogram of the residuals of a regression."""
    counts, edges = np.histogram(predicted - given, bins=30)
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()
    bars = Series(middles, counts.tolist(), mode="bars", width=0.94 * float(edges[1] - edges[0]), opacity=0.85)
    return Figure([bars], Axis("predicted minus label"), Axis("rows", from_zero=True), 380, [VerticalLine(0, "ink")])


def context_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure | None:
    """Plots perplexity by context length, one line per model; None without measurements."""
    series = []
    for i, (name, points) in enumerate(curves.items()):
        if points:
            perplexity, low, high = ([point[key] for point in points] for key in ("perplexity", "low", "high"))
            hints = [f"context length {plural(point['window'], 'token')}: {number(point['perplexity'])}" for point in points]
            windows, color = [point["window"] for point in points], SERIES_COLORS[i % 6]
            series.append(Series(windows, perplexity, label(name), color, "both", low=low, high=high, hints=hints))
    every = sorted({point["window"] for points in curves.values() for point in points})
    tokens = Axis("context length in tokens", is_log=True, ticks=[(window, f"{window:,}") for window in every])
    return Figure(series, tokens, Axis("perplexity"), 320, legend=True) if series else None


def lengths(splits: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Plots the distribution of lengths in tokens per split, with a line at max_length; None without measurements."""
    series: list[Series] = []
    limits = set()
    for split, record in splits.items():
        histogram = record.get("length_histogram") or {}
        edges, rows = histogram.get("edges") or [], histogram.get("counts") or []
        total = sum(rows)
        if not total or len(edges) != len(rows) + 1:
            continue
        shares = [n / total / wide if wide else 0 for n, wide in zip(rows, np.diff(edges).tolist(), strict=True)] + [0]
        points = zip(edges, shares, strict=True)
        hints = [f"from {plural(round(edge), 'token')}: {percent(share)} of the rows per token" for edge, share in points]
        series.append(Series(list(edges), shares, label(split), SERIES_COLORS[len(series) % 6], "steps", hints=hints))
        limits.add(record.get("max_length"))
    lines = [VerticalLine(limit, "worse", dashed=True) for limit in limits if is_number(limit)]
    tokens, share = Axis("tokens", from_zero=True), Axis("fraction of the rows per token", is_percent=True, from_zero=True)
    return Figure(series, tokens, share, 300, lines, legend=True) if series else None
