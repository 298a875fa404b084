"""Writes the page of an experiment with reversed pairs: accuracy, agreement and selected score against their share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.report.drawing import Axis, Figure, Series
from tunesmith.report.evidence import grid, plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import percent, with_interval
from tunesmith.report.page import document
from tunesmith.report.tables import num, table

CURVES = (
    ("accuracy", ("accuracy", "low", "high"), "accuracy, no pair reversed", "accent"),
    ("agreement", ("agreement", "agreement_low", "agreement_high"), "agreement with validation, reversed by the share", "second"),
    ("downstream", ("downstream", "downstream_low", "downstream_high"), "score of the selected answers", "third"),
)
"""Key, the fields of value and interval, name, colour."""
NOTE = (
    "The dashed line is the highest agreement with reversed pairs that a model of the first run's accuracy a can reach: "
    "a (1 - p) + (1 - a) p. Below it, the reversed pairs were learned; on it, they were not."
)
ORDERS = {
    "random": "pairs drawn at random",
    "smallest": "the pairs of the smallest gap first",
    "largest": "the pairs of the largest gap first",
}


def flip_page(record: Mapping[str, Any], name: str) -> str:
    """Returns the page of an experiment's record."""
    points: Sequence[Mapping[str, Any]] = record["points"]
    text = f"Reversed are {ORDERS[record['order']]}, in train and validation; no pair of {record['split']} is reversed."
    opening = tag("header", tag("h1", name), tag("p", text))
    content = join([grid(plot(flip_figure(points), "Reversed pairs", "95 % intervals", wide=True)), tag("p", NOTE), rows(points)])
    return document(f"{name} · reversed pairs", opening, [("curve", "Accuracy by the share of reversed pairs", content)], None)


def flip_figure(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Plots the curves that were measured, and the cap of the agreement."""
    shares = [point["share"] for point in points]
    series = []
    for key, (value, low, high), title, color in CURVES:
        if any(point[key] is not None for point in points):
            ends = [[point[end] for point in points] for end in (low, high)]
            hints = [f"{percent(p['share'])} reversed: {with_interval(p[value], p[low], p[high])}" for p in points]
            series.append(
                Series(shares, [p[value] for p in points], title, color, "both", low=ends[0], high=ends[1], hints=hints)
            )
    series.append(Series(shares, [p["agreement_cap"] for p in points], "cap of the agreement", "muted", dashed=True))
    return Figure(series, Axis("share of reversed pairs", is_percent=True), Axis("accuracy"), 360, legend=True)


def rows(points: Sequence[Mapping[str, Any]]) -> Markup:
    """Builds the table of the points."""
    shown = [
        (
            num(percent(point["share"])),
            num(f"{point['n_reversed']:,}"),
            *(num(with_interval(*(point[field] for field in fields))) for key, fields, _, _ in CURVES if measured(points, key)),
            num(f"{point['agreement_cap']:.3f}"),
        )
        for point in points
    ]
    heads = (
        "reversed",
        "training pairs",
        *(title for key, _, title, _ in CURVES if measured(points, key)),
        "cap of the agreement",
    )
    return table(heads, shown, box="fit")


def measured(points: Sequence[Mapping[str, Any]], key: str) -> bool:
    return any(point[key] is not None for point in points)
