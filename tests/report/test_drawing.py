"""The drawings of figures, read back from their SVG."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunesmith.report.drawing import (
    MOST_LINE_POINTS,
    WIDTH,
    Axis,
    Figure,
    Series,
    VerticalLine,
    draw,
    label,
    nice_ticks,
    text_width,
)
from tunesmith.report.heat_map import MOST_HINTS, confusion_map, cosine_map

NUMBERS = st.floats(-1e12, 1e12)


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.-]+)" cy="([\d.-]+)"', svg)]


def test_points_are_placed_in_proportion_and_carry_their_hints() -> None:
    svg = draw(Figure([Series([0, 5, 10], [0, 1, 4], mode="both", hints=["a", "b <i>", "c"])]))
    (x0, y0), (x1, y1), (x2, y2) = circles(svg)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y2 == pytest.approx(4 * (y0 - y1), abs=0.4)
    assert "<title>b &lt;i&gt;</title>" in svg


def test_intervals_bars_lines_and_a_reversed_axis() -> None:
    rows = Axis(low=1.5, high=-0.5, ticks=[(0, "first"), (1, "second")])
    points = [Series([0.2], [i], mode="points", low=[0.1], high=[0.4], interval_axis="x", hints=["h"]) for i in (0, 1)]
    svg = draw(Figure(points, y=rows, lines=[VerticalLine(0, "ink", dashed=True)]))
    assert circles(svg)[0][1] < circles(svg)[1][1]
    assert svg.count('class="interval"') == 2
    assert "stroke:var(--ink)" in svg
    bars = draw(Figure([Series([1, 2], [3, 6], mode="bars", width=1.0)]))
    tops = [float(y) for y in re.findall(r"V([\d.]+)H", bars)]
    zero = float(re.findall(r"V([\d.]+)z", bars)[0])
    assert zero - tops[1] == pytest.approx(2 * (zero - tops[0]), abs=0.3)


def test_equal_distances_on_a_logarithmic_axis() -> None:
    found = circles(draw(Figure([Series([16, 64, 256], [1, 1, 1], mode="both", hints=["a", "b", "c"])], Axis(is_log=True))))
    assert found[1][0] - found[0][0] == pytest.approx(found[2][0] - found[1][0], abs=0.2)


def test_what_is_not_finite_is_left_out_and_nothing_is_drawn_of_nothing() -> None:
    svg = draw(Figure([Series([1, 2, float("nan")], [1, float("inf"), 2], mode="both", hints=["a", "b", "c"])]))
    assert svg.count("<circle") == 1
    assert "inf" not in svg
    assert "nan" not in svg
    assert "nan" not in draw(Figure([Series([], [])]))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_every_point_lies_on_the_drawing(points: list[tuple[float, float]]) -> None:
    series = Series([x for x, _ in points], [y for _, y in points], mode="both", hints=[""] * len(points))
    for x, y in circles(draw(Figure([series], height=300))):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= 300


@given(NUMBERS, st.floats(0, 1e12), st.integers(2, 8))
@example(1e12, 4e-4, 8)
def test_ticks_are_few_even_and_within_the_axis(low: float, span: float, most: int) -> None:
    high = low + span
    ticks = [at for at, _ in nice_ticks(low, high, most)]
    assert len({text for _, text in nice_ticks(low, high, most)}) == len(ticks)
    rounding = 4 * np.spacing(max(abs(low), abs(high)))
    assert 1 <= len(ticks) <= most + 1
    assert ticks[0] >= low - 0.01 * span - rounding
    assert ticks[-1] <= high + 0.01 * span + rounding
    assert np.ptp(np.diff(ticks)) <= 2 * rounding if len(ticks) > 1 else True


@given(st.integers(0, 10_000), st.floats(0, 20), st.integers(2, 8))
def test_whole_ticks_are_whole(low: int, span: float, most: int) -> None:
    assert all(at == round(at) for at, _ in nice_ticks(low - 0.1, low + span + 0.1, most, least_step=1.0))


@pytest.mark.parametrize(
    ("ends", "percentage", "texts"),
    [
        ((0, 1), False, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((0, 0.05), True, ["0 %", "1 %", "2 %", "3 %", "4 %", "5 %"]),
        ((0, 5e-5), False, ["0", "1e-05", "2e-05", "3e-05", "4e-05", "5e-05"]),
        ((0, 1e-4), False, ["0", "2e-05", "4e-05", "6e-05", "8e-05", "1e-04"]),
        ((0, 5e6), False, ["0", "1e+06", "2e+06", "3e+06", "4e+06", "5e+06"]),
        ((0, 15), False, ["0", "5", "10", "15"]),
        ((1e6, 1.4e6), False, ["1e+06", "1.1e+06", "1.2e+06", "1.3e+06", "1.4e+06"]),
        ((1234567, 1234567), False, ["1e+06"]),
        ((0, 4000), False, ["0", "1,000", "2,000", "3,000", "4,000"]),
    ],
)
def test_texts_of_ticks(ends: tuple[float, float], percentage: bool, texts: list[str]) -> None:
    assert [text for _, text in nice_ticks(*ends, 5, percentage)] == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.5, 0.5, 0.5], ["0.48", "0.50", "0.52"]),
        ([0.5, 0.5 + 1e-7, 0.5], ["0.48", "0.50", "0.52"]),
        ([2.3, 2.3003], ["2.2", "2.3", "2.4"]),
        ([0.0, 0.0], ["0", "0.5", "1.0"]),
        ([0.5, 0.51], ["0.500", "0.505", "0.510"]),
    ],
)
def test_a_flat_line_lies_in_the_middle_of_readable_ticks(values: list[float], texts: list[str]) -> None:
    svg = draw(Figure([Series([1, 2, 3][: len(values)], values)], x=Axis(ticks=[(1, "first")]), height=250))
    assert re.findall(r"<text[^>]*>(-?[\d.e+-]+)</text>", svg) == texts


def test_long_lines_are_thinned_and_keep_their_ends() -> None:
    n = 20_000
    svg = draw(Figure([Series(list(range(n)), [i % 7 for i in range(n)])]))
    assert svg.count("L") <= MOST_LINE_POINTS + 100
    path = re.search(r'd="M([\d.]+) [^"]*L([\d.]+) [\d.]+" style', svg)
    assert path is not None
    assert float(path[2]) - float(path[1]) > 300


def test_labels_are_one_short_line_without_control_characters() -> None:
    assert label("a\n b\x07" + "c" * 50, 12) == "a b\ufffdccc…cccc"
    assert label("<b>") == "<b>"
    assert label("\u957f" * 40, 12) == "\u957f\u957f\u957f\u2026\u957f\u957f"


def test_names_of_a_matrix_end_right_of_its_title() -> None:
    for name in ("\u957f" * 30, "\u0429" * 30, "W" * 30, "a" * 30):
        svg = confusion_map(np.array([[8, 2], [0, 5]]), [name, "b"])
        shown = label(name, 22)
        right = float(re.findall(r'x="([\d.]+)" y="34.0" text-anchor="end"', svg)[0])
        assert text_width(shown) >= len(shown) * 6.6
        assert right - text_width(shown) >= 17
    assert text_width("\u957f\u957f") == 24
    assert text_width("aB") == 14.6


def test_a_large_confusion_matrix_is_a_few_paths() -> None:
    full = np.ones((200, 200), np.int64)
    svg = confusion_map(full, [f"class {i}" for i in range(200)])
    assert MOST_HINTS < 200 * 200
    assert svg.count("<path") == 1
    assert len(svg) < 800_000
    small = confusion_map(np.array([[8, 2], [0, 5]]), ["<a>", "b"])
    assert "label &lt;a&gt;, predicted b: 2 rows, 20.0 % of the label&#x27;s rows" in small
    assert small.count("<title>") == 3
    opacity = [float(o) for o in re.findall(r'fill-opacity="([\d.]+)"', small)]
    assert opacity[2] == 1 > opacity[0] > opacity[1] > 0


def test_cosines_are_written_in_their_cells() -> None:
    svg = cosine_map([[1.0, -0.2], [-0.2, 1.0]], ["one", "two"])
    assert re.findall(r">(-?\d\.\d\d)<", svg) == ["1.00", "-0.20", "-0.20", "1.00"]
