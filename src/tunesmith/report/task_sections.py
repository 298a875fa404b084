"""Builds the report sections that only some tasks have.

Language models: supervised tokens, answers before and after training, context length. Embedding models: geometry of the
embeddings, and similarities before and after training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.report import figures, tables
from tunesmith.report.evidence import grid, plot
from tunesmith.report.heat_map import cosine_map
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import ABSENT, count, number, percent, with_interval
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.words import display_name, part

OWN_COLUMNS = ("row_id", "prompt", "reference")
THIS_RUN = "this run"


def supervised_tokens(run: SavedRun) -> Markup | None:
    """Shows a few training rows with their supervised tokens marked."""
    rows = (run.answers or {}).get("seen") or ()
    if not rows:
        return None
    total, supervised = run.result.training.get("tokens"), run.result.training.get("learnt_tokens")
    note = "Marked tokens are supervised: the loss is computed only on them."
    if total and supervised:
        note += f" {count(supervised)} of {plural(total, 'token')} are supervised ({percent(supervised / total)})."
    shown = [tag("p", note)]
    for row in rows:
        parts = [tag("mark" if is_supervised else "span", tables.public(text)) for text, is_supervised in row["runs"]]
        shown.append(tag("figure", tag("figcaption", f"row {row['row_id']}"), tag("pre", *parts, class_="seen", tabindex=0)))
    return join(shown)


def answers(run: SavedRun) -> Markup | None:
    """Builds a table of prompts with the reference answers, the answers of this run, and those of the baselines."""
    generated = run.answers or {}
    rows = generated.get("answers") or ()
    if not rows:
        return None
    systems = sorted((name for name in rows[0] if name not in OWN_COLUMNS), key=lambda name: name == THIS_RUN)
    own = ("prompt", "reference") if any("reference" in row for row in rows) else ("prompt",)
    heads = ("row", *own, *(display_name(name) for name in systems))
    texts = (*own, *systems)
    cells = [(tables.num(row["row_id"]), *(tables.text_cell(row.get(name)) for name in texts)) for row in rows]
    note = f"Rows of {generated['split']}; none was used for training."
    return join([tag("p", note), tables.table(heads, cells, box="tall")])


def context(run: SavedRun) -> Markup | None:
    """Shows perplexity by context length, before and after training."""
    record = part(run.result.training, "context")
    curves = {"this run": record.get("after") or [], "untuned model": record.get("before") or []}
    measured = {name: points for name, points in curves.items() if points}
    if not measured:
        return None
    sizes = [point["window"] for point in next(iter(measured.values()))]
    rows = [(tables.num(count(size)), *(tables.num(perplexity(points, size)) for points in measured.values())) for size in sizes]
    note = "Each token is scored once, with at most this many preceding tokens as context."
    table = tables.table(("context length in tokens", *measured), rows, caption="perplexity", box="fit")
    return join([tag("p", note), table, grid(plot(figures.context_curves(measured), "Perplexity", "lower is better"))])


def perplexity(points: Sequence[Mapping[str, Any]], size: int) -> str:
    point = next((point for point in points if point["window"] == size), None)
    return ABSENT if point is None else with_interval(point["perplexity"], point["low"], point["high"])


ROWS = (
    ("mean_cosine", "mean cosine", "of two different texts; 0 if embeddings are spread in all directions"),
    ("uniformity", "uniformity", "at most 0; lower is more uniform"),
    ("uniform", "... of the sphere", "uniformity of embeddings drawn uniformly from the sphere"),
    ("iso_score", "IsoScore", "0 to 1: fraction of the dimensions that are used uniformly"),
    ("alignment", "alignment", "mean squared distance of positive pairs; 0 if their embeddings are equal"),
)


def geometry(run: SavedRun) -> Markup | None:
    """Describes the geometry of the embeddings before and after training."""
    shown = []
    for split, both in part(run.result.training, "geometry").items():
        before, after = part(both, "before"), part(both, "after")
        rows = [
            (name, tables.num(number(before.get(key))), tables.num(number(after.get(key))), meaning)
            for key, name, meaning in ROWS
            if after.get(key) is not None
        ]
        if rows:
            shown += [tag("h3", split.capitalize()), tables.table(("", "before", "after", ""), rows, box="fit")]
    if not shown:
        return None
    note = "The geometry does not measure retrieval quality: two models with the same values can differ in quality."
    return join([tag("p", note, class_="note"), *shown])


def heat_maps(run: SavedRun) -> Markup | None:
    """Plots the cosine similarities of a few texts by the base model and by this run."""
    similarities = run.heat_map
    if not similarities:
        return None
    texts = [tables.public(text) for text in similarities["texts"]]
    note = f"Cosine similarities of the texts of the first {similarities['split']} rows. Adjacent texts are of the same row."
    before = plot(cosine_map(similarities["before"], texts), "Before", "the base model", wide=True)
    after = plot(cosine_map(similarities["after"], texts), "After", "this run", wide=True)
    return join([tag("p", note), grid(before, after)])
