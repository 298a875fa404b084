"""The sections of a language model's run: what its loss sees, and answers before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.report import figures, tables
from tunesmith.report.evidence import grid, plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import count, percent, with_interval
from tunesmith.report.words import part, plain_name
from tunesmith.saved_run import SavedRun

OWN_COLUMNS = ("row_id", "prompt", "reference")
THIS_RUN = "this run"


def seen(run: SavedRun) -> Markup | None:
    """A few training rows with the tokens that are learnt marked."""
    rows = (run.answers or {}).get("seen") or ()
    if not rows:
        return None
    training = run.result.training
    total, learnt = training.get("tokens"), training.get("learnt_tokens")
    said = "Marked is what the model learns to write; the rest it only reads."
    if total and learnt:
        said += f" Of {count(total)} tokens {count(learnt)} are learnt ({percent(learnt / total)})."
    return join([tag("p", said), *(seen_row(row) for row in rows)])


def seen_row(row: Mapping[str, Any]) -> Markup:
    """One row as it is rendered."""
    parts = [tag("mark", tables.public(text)) if learnt else tag("span", tables.public(text)) for text, learnt in row["runs"]]
    return tag("figure", tag("figcaption", f"row {row['row_id']}"), tag("pre", *parts, class_="seen", tabindex=0))


def answers(run: SavedRun) -> Markup | None:
    """Prompts with the answers they should have, those of this run, and those of what it is compared with."""
    found = run.answers or {}
    rows = found.get("answers") or ()
    if not rows:
        return None
    systems = sorted((name for name in rows[0] if name not in OWN_COLUMNS), key=lambda name: name == THIS_RUN)
    heads = ("row", "prompt", "right answer", *(plain_name(name) for name in systems))
    cells = [
        (
            tables.num(row["row_id"]), tables.text_cell(row["prompt"]), tables.text_cell(row["reference"]),
            *(tables.text_cell(row.get(name)) for name in systems),
        )
        for row in rows
    ]  # fmt: skip
    said = f"Rows of {found['split']}, none of which was learnt."
    return join([tag("p", said), tables.table(heads, cells, box="cards tall")])


def context(run: SavedRun) -> Markup | None:
    """Perplexity by how much of a text the model sees."""
    found = part(run.result.training, "context")
    curves = {"this run": found.get("after") or [], "untuned model": found.get("before") or []}
    named = {name: points for name, points in curves.items() if points}
    if not named:
        return None
    sizes = [point["window"] for point in next(iter(named.values()))]
    rows = [(tables.num(count(size)), *(tables.num(interval(points, size)) for points in named.values())) for size in sizes]
    said = "Each token is scored once, by a window that sees so many tokens before it."
    table = tables.table(("tokens of the window", *named), rows, caption="perplexity", box="fit")
    return join([tag("p", said), table, grid(plot(figures.context_curves(named), "Perplexity", "lower is better"))])


def interval(points: Sequence[Mapping[str, Any]], size: int) -> str:
    """The perplexity with a window of that size."""
    point = next(one for one in points if one["window"] == size)
    return with_interval(point["perplexity"], point["low"], point["high"])
