"""The sections of an embedding run: how its vectors lie, and how alike a few texts are before and after."""

from __future__ import annotations

from typing import Any

from tunesmith.report import figures, tables
from tunesmith.report.evidence import grid, plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import number
from tunesmith.report.words import part
from tunesmith.saved_run import SavedRun

ROWS = (
    ("mean_cosine", "mean cosine", "of two different texts; 0 where vectors point in all directions alike"),
    ("uniformity", "uniformity", "at most 0; lower is more spread"),
    ("uniform", "... of the sphere", "what vectors drawn uniformly would have"),
    ("iso_score", "IsoScore", "0 to 1: the share of the dimensions that are used alike"),
    ("alignment", "alignment", "mean squared distance of texts that belong together; 0 where they have one vector"),
)


def geometry(run: SavedRun) -> Markup | None:
    """How the vectors lie, before and after."""
    found = part(run.result.training, "geometry")
    shown = [block for split, both in found.items() if (block := geometry_table(split, both)) is not None]
    if not shown:
        return None
    note = "A description of how the vectors lie, not of how well they search: two models with the same figures may differ."
    return join([tag("p", note, class_="note"), *shown])


def geometry_table(split: str, both: Any) -> Markup | None:
    """One split's figures; None where there are none."""
    before, after = part(both, "before"), part(both, "after")
    rows = [
        (name, tables.num(number(before.get(key))), tables.num(number(after.get(key))), meaning)
        for key, name, meaning in ROWS
        if after.get(key) is not None
    ]
    if not rows:
        return None
    return join([tag("h3", split.capitalize()), tables.table(("", "before", "after", ""), rows, box="fit")])


def heat_maps(run: SavedRun) -> Markup | None:
    """The cosine of a few texts with each other, by the base model and by this one."""
    found = run.heat_map
    if not found:
        return None
    texts = [tables.public(text) for text in found["texts"]]
    said = f"The first rows of {found['split']}: each text with each other, by their cosine. Neighbours belong to one row."
    return join([
        tag("p", said),
        grid(
            plot(figures.cosine_map(found["before"], texts), "Before", "the base model"),
            plot(figures.cosine_map(found["after"], texts), "After", "this run"),
        ),
    ])  # fmt: skip
