"""Builds the report sections of embedding runs: geometry of the embeddings, and similarities before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.report import figures, tables
from tunesmith.report.evidence import grid, plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import number
from tunesmith.report.words import part
from tunesmith.saved_run import SavedRun

ROWS = (
    ("mean_cosine", "mean cosine", "of two different texts; 0 if embeddings are spread in all directions"),
    ("uniformity", "uniformity", "at most 0; lower is more uniform"),
    ("uniform", "... of the sphere", "uniformity of embeddings drawn uniformly from the sphere"),
    ("iso_score", "IsoScore", "0 to 1: fraction of the dimensions that are used uniformly"),
    ("alignment", "alignment", "mean squared distance of positive pairs; 0 if their embeddings are equal"),
)


def geometry(run: SavedRun) -> Markup | None:
    """Describes the geometry of the embeddings before and after training."""
    tables_by_split = [geometry_table(split, both) for split, both in part(run.result.training, "geometry").items()]
    shown = [table for table in tables_by_split if table is not None]
    if not shown:
        return None
    note = "The geometry does not measure retrieval quality: two models with the same values can differ in quality."
    return join([tag("p", note, class_="note"), *shown])


def geometry_table(split: str, both: Mapping[str, Any] | None) -> Markup | None:
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
    """Plots the cosine similarities of a few texts by the base model and by this run."""
    similarities = run.heat_map
    if not similarities:
        return None
    texts = [tables.public(text) for text in similarities["texts"]]
    note = f"Cosine similarities of the texts of the first {similarities['split']} rows. Adjacent texts are of the same row."
    before = plot(figures.cosine_map(similarities["before"], texts), "Before", "the base model")
    after = plot(figures.cosine_map(similarities["after"], texts), "After", "this run")
    return join([tag("p", note), grid(before, after)])
