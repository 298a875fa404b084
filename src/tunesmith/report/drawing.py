"""Draws figures as inline SVG: lines, points, bars, intervals, axes and legends, without a script.

Colours are names of the custom properties of the style sheet (``accent``), so that one drawing serves both colour schemes.
"""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tunesmith.report.markup import UNPRINTABLE, Markup, join, tag
from tunesmith.report.numbers import is_number

WIDTH = 420
RIGHT, TOP, BOTTOM = 14.0, 10.0, 42.0
CHARACTER, LARGE_CHARACTER, WIDE_CHARACTER = 6.6, 8.0, 12.0
"""Widths of a character of a label, in the units of the drawing: ASCII, capitals and other alphabets, East Asian."""
RESOLUTION = 1e-12
"""Smallest span of an axis with ticks, as a fraction of its largest number."""
FLAT = 1e-3
"""Smallest span of values that is drawn as a change, as a fraction of the largest; below, the axis shows 5 % to each side."""
MOST_HINTS, MOST_LINE_POINTS = 150, 1_000
SERIES_COLORS = ("accent", "second", "third", "fourth", "fifth", "sixth")

Mode = Literal["line", "points", "both", "bars", "steps"]


@dataclass(frozen=True)
class Series:
    """One line, set of points, or set of bars.

    Attributes:
        low, high: ends of the intervals of the points, along ``interval_axis``; None for points without one.
        hints: a text for each point, shown when the pointer is on it; empty without.
        width: width of the bars, in the unit of x.
    """

    x: Sequence[float]
    y: Sequence[float]
    name: str = ""
    color: str = "accent"
    mode: Mode = "line"
    dashed: bool = False
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    interval_axis: Literal["x", "y"] = "y"
    hints: Sequence[str] = ()
    width: float = 0.0
    opacity: float = 1.0
    radius: float = 3.5


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        low, high: ends of the axis; None: those of the values. ``low`` above ``high`` reverses the axis.
        ticks: positions and texts; empty: chosen from the ends.
        is_whole: ticks at whole numbers only.
        from_zero: extend the axis to zero.
    """

    title: str = ""
    low: float | None = None
    high: float | None = None
    ticks: Sequence[tuple[float, str]] = ()
    is_log: bool = False
    is_percent: bool = False
    is_whole: bool = False
    from_zero: bool = False


@dataclass(frozen=True)
class VerticalLine:
    x: float
    color: str = "muted"
    dashed: bool = False


@dataclass(frozen=True)
class Figure:
    series: Sequence[Series]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    height: int = 300
    lines: Sequence[VerticalLine] = ()
    legend: bool = False


@dataclass(frozen=True)
class Scale:
    """A mapping of values to positions, with the ticks of its axis."""

    start: float
    end: float
    low: float
    high: float
    is_log: bool
    ticks: Sequence[tuple[float, str]]

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * ((at - low) / (high - low) if high != low else 0.5)


def label(text: object, longest: int = 24) -> str:
    """Formats text from data for a tick or legend: one line, shortened in the middle, without control characters."""
    line = UNPRINTABLE.sub("\ufffd", " ".join(str(text).split()))
    longest = max(4, longest * len(line) // max(1, len(line) + sum(map(is_wide, line))))  # a wide character counts twice
    return line if len(line) <= longest else f"{line[: longest - longest // 3 - 1]}…{line[-(longest // 3) :]}"


def is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def text_width(text: str) -> float:
    """Estimates the width of a text in the units of the drawing."""
    is_large = [not character.isascii() or character.isupper() for character in text]
    widths = (
        WIDE_CHARACTER if is_wide(c) else LARGE_CHARACTER if large else CHARACTER for c, large in zip(text, is_large, strict=True)
    )
    return sum(widths)


def draw(figure: Figure) -> Markup:
    """Draws a figure and its legend. Skips values that are not finite."""
    height, bottom = float(figure.height), figure.height - (BOTTOM if figure.x.title else BOTTOM - 16)
    y = make_scale(figure.y, bottom, TOP, values(figure, "y"), max(2, figure.height // 60))
    left = 14 + max((text_width(text) for _, text in y.ticks), default=0) + (16 if figure.y.title else 0)
    x = make_scale(figure.x, left, WIDTH - RIGHT, [*values(figure, "x"), *(line.x for line in figure.lines)], 5)
    parts = [grid_lines(figure, x, y, left, bottom), *(drawn_line(line, x, bottom) for line in figure.lines)]
    parts += [drawn for series in figure.series for drawn in draw_series(series, x, y)]
    svg = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height:g}", class_="drawing", focusable="false")
    return join([legend(figure.series) if figure.legend else None, svg])


def values(figure: Figure, along: Literal["x", "y"]) -> list[float]:
    """Collects all finite values along one axis, with the ends of intervals and bars."""
    collected: list[float] = []
    for series in figure.series:
        collected += [value for value in (series.x if along == "x" else series.y) if is_number(value)]
        if along == series.interval_axis:
            collected += [end for end in (*series.low, *series.high) if is_number(end)]
        if series.mode == "bars":
            collected += [x + side * series.width / 2 for x in series.x for side in (-1, 1)] if along == "x" else [0.0]
    return collected


def make_scale(axis: Axis, start: float, end: float, found: Sequence[float], n_ticks: int) -> Scale:
    """Fits a scale to the values, or to the ends that the axis names."""
    points = [*found, *([0.0] if axis.from_zero else [])] or [0.0, 1.0]
    low, high = min(points), max(points)
    size = max(abs(low), abs(high))
    span = 0.0 if high - low < FLAT * size and not axis.is_whole else high - low
    margin = 0.0 if axis.is_log else 0.04 * span or 0.05 * size or 1.0
    least = low if low == 0 and (axis.from_zero or high == 0) else low / 1.1 if axis.is_log else low - margin
    most = high * 1.1 if axis.is_log else high + margin
    least, most = (least if axis.low is None else axis.low), (most if axis.high is None else axis.high)
    ticks = axis.ticks or nice_ticks(least, most, n_ticks, axis.is_percent, 1.0 if axis.is_whole else 0.0)
    return Scale(start, end, least, most, axis.is_log, ticks)


def nice_ticks(low: float, high: float, most: int, is_percent: bool = False, least_step: float = 0.0) -> list[tuple[float, str]]:
    """Chooses at most ``most`` + 1 ticks at multiples of 1, 2 or 5 times a power of ten.

    A span near the resolution of floating-point numbers has one tick, at its lower end.
    """
    low, high = min(low, high), max(low, high)
    if high - low <= max(RESOLUTION * max(abs(low), abs(high)), sys.float_info.min):
        return [(low, tick_text(low, abs(low) or 1.0, is_percent))]
    raw = max((high - low) / most, least_step)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= raw * 0.999)
    margin = 1e-9 * (high - low)
    first, last = math.ceil((low - margin) / step), math.floor((high + margin) / step)
    return [(i * step, tick_text(i * step, step, is_percent)) for i in range(first, last + 1)]


def tick_text(value: float, step: float, is_percent: bool) -> str:
    """Formats a tick with the decimals of its step; with an exponent if it is tiny or huge."""
    if is_percent:
        return f"{100 * value:.{max(0, -math.floor(math.log10(100 * step) + 1e-9))}f} %"
    if value and (step < 5e-4 or abs(value) >= 1e6):
        digits = max(0, math.floor(math.log10(abs(value)) + 1e-9) - math.floor(math.log10(step) + 1e-9))
        mantissa, exponent = f"{value:.{digits}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.') if digits else mantissa}e{exponent}"
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}" if value else "0"


def grid_lines(figure: Figure, x: Scale, y: Scale, left: float, bottom: float) -> Markup:
    """Draws the lines and texts of the ticks, and the titles of the axes."""
    path = "".join(f"M{left:.1f} {y(at):.1f}H{WIDTH - RIGHT:g}" for at, _ in y.ticks)
    path += "".join(f"M{x(at):.1f} {TOP:g}V{bottom:.1f}" for at, _ in x.ticks)
    shown = [tag("path", d=path, class_="grid")]
    shown += [tag("text", text, x=f"{left - 6:.1f}", y=f"{y(at) + 4:.1f}", text_anchor="end") for at, text in y.ticks]
    shown += [tag("text", text, x=f"{x(at):.1f}", y=f"{bottom + 16:.1f}", text_anchor="middle") for at, text in x.ticks]
    if figure.x.title:
        middle = (left + WIDTH - RIGHT) / 2
        shown.append(tag("text", figure.x.title, x=f"{middle:.1f}", y=figure.height - 6, text_anchor="middle", class_="title"))
    if figure.y.title:
        turned = f"translate(12 {(TOP + bottom) / 2:.1f}) rotate(-90)"
        shown.append(tag("text", figure.y.title, transform=turned, text_anchor="middle", class_="title"))
    return tag("g", *shown)


def drawn_line(line: VerticalLine, x: Scale, bottom: float) -> Markup:
    dash = "5 4" if line.dashed else None
    return tag("path", d=f"M{x(line.x):.1f} {TOP:g}V{bottom:.1f}", style=stroke(line.color), class_="mark", stroke_dasharray=dash)


def stroke(color: str) -> str:
    return f"stroke:var(--{color})"


def draw_series(series: Series, x: Scale, y: Scale) -> list[Markup]:
    """Draws one series: intervals below, then lines or bars, then points with their hints."""
    usable = [i for i, (a, b) in enumerate(zip(series.x, series.y, strict=True)) if is_number(a) and is_number(b)]
    at = [(x(series.x[i]), y(series.y[i])) for i in usable]
    if not at:
        return []
    if series.mode == "bars":
        return [draw_bars(series, usable, x, y)]
    drawn = [] if series.mode == "points" else [draw_path(series, at)]
    return [*draw_intervals(series, usable, at, x, y), *drawn, *draw_points(series, usable, at)]


def draw_path(series: Series, at: Sequence[tuple[float, float]]) -> Markup:
    """Draws a line through the points, or stairs that change at each point; thinned beyond 1,000 points."""
    thin = at[:: max(1, len(at) // MOST_LINE_POINTS)]
    thin = thin if thin[-1] == at[-1] else [*thin, at[-1]]
    path = f"M{thin[0][0]:.1f} {thin[0][1]:.1f}"
    path += "".join(f"H{a:.1f}V{b:.1f}" if series.mode == "steps" else f"L{a:.1f} {b:.1f}" for a, b in thin[1:])
    dash = "2 4" if series.dashed else None
    return tag("path", d=path, style=stroke(series.color), class_="line", stroke_dasharray=dash)


def draw_intervals(series: Series, usable: Sequence[int], at: Sequence[tuple[float, float]], x: Scale, y: Scale) -> list[Markup]:
    """Draws the intervals of the points."""
    path = ""
    for i, (a, b) in zip(usable, at, strict=True):
        low, high = (ends[i] if ends else None for ends in (series.low, series.high))
        if is_number(low) and is_number(high):
            path += (
                f"M{x(low):.1f} {b:.1f}H{x(high):.1f}" if series.interval_axis == "x" else f"M{a:.1f} {y(low):.1f}V{y(high):.1f}"
            )
    return [tag("path", d=path, style=stroke(series.color), class_="interval")] if path else []


def draw_points(series: Series, usable: Sequence[int], at: Sequence[tuple[float, float]]) -> list[Markup]:
    """Draws the points; those of a line are invisible and only carry the hints."""
    is_visible, style = series.mode in ("points", "both"), f"fill:var(--{series.color})"
    hints = [series.hints[i] for i in usable] if series.hints and len(usable) <= MOST_HINTS else []
    if not is_visible and not hints:
        return []
    if not hints:  # one path of round dots: a tenth of the size of as many circles
        dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in at)
        dot = f"{stroke(series.color)};stroke-width:{2 * series.radius:g}"
        return [tag("path", d=dots, style=dot, class_="dots", opacity=None if series.opacity == 1 else series.opacity)]
    radius, opacity = (f"{series.radius:g}", None) if is_visible else ("5", "0")
    circles = [
        tag("circle", tag("title", hint), cx=f"{a:.1f}", cy=f"{b:.1f}", r=radius) for (a, b), hint in zip(at, hints, strict=True)
    ]
    return [tag("g", *circles, style=style, opacity=opacity)]


def draw_bars(series: Series, usable: Sequence[int], x: Scale, y: Scale) -> Markup:
    """Draws bars from zero."""
    half, zero = series.width / 2, y(0.0)
    path = "".join(
        f"M{x(series.x[i] - half):.1f} {zero:.1f}V{y(series.y[i]):.1f}H{x(series.x[i] + half):.1f}V{zero:.1f}z" for i in usable
    )
    return tag("path", d=path, style=f"fill:var(--{series.color})", opacity=series.opacity, class_="bars")


def legend(series: Sequence[Series]) -> Markup:
    """Lists the names of the series beside their colours."""
    named = [each for each in series if each.name]
    items = [tag("span", tag("i", style=f"background:var(--{each.color})"), each.name) for each in named]
    return tag("p", *items, class_="legend")
