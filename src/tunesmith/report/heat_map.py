"""Draws matrices as coloured cells in inline SVG: confusion matrices and cosine similarities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.cells import plural
from tunesmith.report.drawing import label, text_width
from tunesmith.report.markup import Markup, tag
from tunesmith.report.numbers import percent

MOST_NUMBERS, MOST_NAMES = 20, 40
"""Numbers of rows up to which cells show their number, and rows and columns their names."""
MOST_HINTS = 1_500
"""Cells up to which each has a hint; more are drawn as one path per shade."""
NUMBER_CELL, BAR_CELL = 34, 40
"""Sizes of a cell that always shows its number, and of a colour of the colour bar."""
LEVEL = 2
"""Characters up to which the names of all columns are not turned."""
DARK = 0.58
"""Share from which the number of a cell is written in the light colour."""
Texts = Sequence[Sequence[str]]


def confusion_map(matrix: NDArray[np.int64], names: Sequence[str]) -> Markup:
    """Draws a confusion matrix: colours are fractions of the true class; counts in the cells and on hover."""
    support = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, support, out=np.zeros(matrix.shape), where=support > 0)
    counts = [[f"{n:,}" if n else "" for n in row] for row in matrix.tolist()]
    shares = [[percent(value) for value in row] for row in share.tolist()]
    hints = [
        [
            f"label {a}, predicted {b}: {plural(int(matrix[i, j]), 'row')}, {shares[i][j]} of the label's rows"
            for j, b in enumerate(names)
        ]
        for i, a in enumerate(names)
    ]
    ticks = [label(name, 22) for name in names]
    return draw_matrix(share, counts, hints, ticks, ticks)


def cosine_map(cosines: Sequence[Sequence[float]], texts: Sequence[str]) -> Markup:
    """Draws the cosine similarities of texts as colours and numbers."""
    values, short = np.asarray(cosines, dtype=float), [label(text, 22) for text in texts]
    hints = [[f"{a} / {b}: cosine {values[i, j]:.3f}" for j, b in enumerate(short)] for i, a in enumerate(short)]
    return draw_matrix(values.clip(0, 1), [[f"{value:.2f}" for value in row] for row in values.tolist()], hints, short, [])


def similarity_map(cosines: NDArray[np.float64], names: Sequence[str], row_names: Sequence[str]) -> Markup:
    """Draws the cosine similarities of numbered sentences (N, N) in the colours of ``color_bar``, with the value in every cell.

    Args:
        names: of the sentences, in the hints; ``row_names`` stand beside the rows, and columns have numbers from 1 on.
    """
    texts = [[two_digits(value) for value in row] for row in cosines.tolist()]
    hints = [[f"{a} / {b}: cosine {cosines[i, j]:.3f}" for j, b in enumerate(names)] for i, a in enumerate(names)]
    columns = [str(i + 1) for i in range(len(names))]
    return draw_matrix(cosines.clip(0, 1), texts, hints, row_names, columns, has_titles=False, cell=NUMBER_CELL)


def two_digits(cosine: float) -> str:
    """Formats a cosine without its leading zero: ``.87``, ``-.05``, ``1``."""
    text = f"{cosine + 0.0:.2f}".replace("-0.00", "0.00")
    return {"0.00": "0", "1.00": "1", "-1.00": "-1"}.get(text, text.replace("0.", ".", 1))


def color_bar() -> Markup:
    """Draws the colours of ``similarity_map`` with their cosines, from 0, which stands for less as well, to 1."""
    shares, width = [i / 10 for i in range(11)], 11 * BAR_CELL
    frame = tag("rect", x=0, y=0, width=width, height=14, style="fill:var(--heat0)")
    parts = [
        tag("rect", x=i * BAR_CELL, y=0, width=BAR_CELL, height=14, fill_opacity=f"{shade_of(share):.2f}")
        for i, share in enumerate(shares)
        if share > 0
    ]
    names = [
        tag("text", two_digits(share) if share else "≤ 0", x=(i + 0.5) * BAR_CELL, y=28, text_anchor="middle")
        for i, share in enumerate(shares)
    ]
    shown = [frame, tag("g", *parts, style="fill:var(--heat3)"), *names]
    return tag("svg", *shown, viewBox=f"0 0 {width} 34", class_="drawing matrix", style=f"max-width:{width}px")


def draw_matrix(
    shades: NDArray[np.float64], texts: Texts, hints: Texts, row_names: Sequence[str], column_names: Sequence[str],
    has_titles: bool = True, cell: int | None = None,
) -> Markup:  # fmt: skip
    """Draws one cell per entry above zero, with the names of rows and columns where they fit.

    Args:
        shades: (N, N), each in [0, 1].
        column_names: below the matrix, turned; empty without.
        has_titles: "label" and "predicted" stand beside the names of rows and columns.
        cell: the size of every cell, which then has its number and is never scaled; None: by N.
    """
    n, keeps_size = len(shades), cell is not None
    cell = cell or (9 if n > MOST_NAMES else 18 if n > MOST_NUMBERS else 34 if n > 6 else 52)
    has_names = n <= MOST_NAMES
    left = 24 + max(map(text_width, row_names), default=0) * has_names
    below = 24 + 0.75 * max(map(text_width, column_names), default=0) * has_names if column_names else 8
    width, height = left + n * cell + 14, n * cell + below + 10
    parts = [draw_cells(shades, hints, left, cell)]
    if keeps_size or n <= MOST_NUMBERS:
        parts.append(draw_numbers(shades, texts, left, cell))
    if has_names:
        parts.append(draw_names(row_names, column_names, left, cell))
    if column_names and has_titles:
        parts.append(draw_titles(left, n * cell, height))
    size = f"min-width:{0.8 * width:.0f}px;max-width:{1.25 * width:.0f}px"
    if keeps_size:
        size = f"width:{width:.0f}px;max-width:none"
    return tag("svg", *parts, viewBox=f"0 0 {width:.0f} {height:.0f}", class_="drawing matrix", focusable="false", style=size)


def draw_cells(shades: NDArray[np.float64], hints: Texts, left: float, cell: int) -> Markup:
    """Draws the background and the coloured cells."""
    n = len(shades)
    occupied = [(i, j, float(shades[i, j])) for i, j in np.argwhere(shades > 0).tolist()]
    frame = tag("rect", x=f"{left:.1f}", y=4, width=n * cell, height=n * cell, style="fill:var(--heat0)")
    if len(occupied) <= MOST_HINTS:
        gap = 0.5 if cell < 12 else 1
        shown = [
            tag(
                "rect",
                tag("title", hints[i][j]),
                x=f"{left + j * cell:.1f}",
                y=4 + i * cell,
                width=cell - gap,
                height=cell - gap,
                fill_opacity=f"{shade_of(shade):.2f}",
            )
            for i, j, shade in occupied
        ]
        return tag("g", frame, tag("g", *shown, style="fill:var(--heat3)"))
    paths: dict[float, str] = {}
    for i, j, shade in occupied:
        level = round(shade_of(shade), 1)
        paths[level] = paths.get(level, "") + f"M{left + j * cell:.0f} {4 + i * cell}h{cell}v{cell}h-{cell}z"
    drawn = [tag("path", d=path, fill_opacity=level) for level, path in sorted(paths.items())]
    return tag("g", frame, tag("g", *drawn, style="fill:var(--heat3)"))


def shade_of(share: float) -> float:
    """Returns the opacity of a cell; a small share is visible, too."""
    return 0.12 + 0.88 * min(1.0, share)


def draw_numbers(shades: NDArray[np.float64], texts: Texts, left: float, cell: int) -> Markup:
    shown = [
        tag(
            "text",
            text,
            x=f"{left + (j + 0.5) * cell:.1f}",
            y=8 + (i + 0.5) * cell,
            class_="dark" if shades[i, j] > DARK else None,
        )
        for i, row in enumerate(texts)
        for j, text in enumerate(row)
        if text
    ]
    return tag("g", *shown, class_="numbers", text_anchor="middle")


def draw_names(row_names: Sequence[str], column_names: Sequence[str], left: float, cell: int) -> Markup:
    n, shown = len(row_names), []
    for i, name in enumerate(row_names):
        shown.append(tag("text", name, x=f"{left - 6:.1f}", y=8 + (i + 0.5) * cell, text_anchor="end"))
    for j, name in enumerate(column_names):
        x, y = left + (j + 0.5) * cell, n * cell + 16
        turned = {"transform": f"translate({x + 4:.1f} {y}) rotate(-45)", "text_anchor": "end"}
        level = {"x": f"{x:.1f}", "y": y + 2, "text_anchor": "middle"}
        shown.append(tag("text", name, **(level if max(map(len, column_names)) <= LEVEL else turned)))
    return tag("g", *shown)


def draw_titles(left: float, size: int, height: float) -> Markup:
    turned = f"translate(12 {4 + size / 2:.0f}) rotate(-90)"
    predicted = tag("text", "predicted", x=f"{left + size / 2:.0f}", y=f"{height - 4:.0f}", text_anchor="middle", class_="title")
    return tag("g", predicted, tag("text", "label", transform=turned, text_anchor="middle", class_="title"))
