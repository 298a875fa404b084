"""Writes the page of several data sets: the table of their difficulty, transfer between them, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.disk import write_text
from tunesmith.report.markup import Markup, tag
from tunesmith.report.numbers import count, number, percent, with_interval
from tunesmith.report.page import document
from tunesmith.report.tables import num, table
from tunesmith.report.words import display_name

Row = Mapping[str, Any]
DIFFICULTY_HEADS = (
    "data set", "rows", "classes", "H(Y)", "V-information [95 %]", "share of H(Y)", "accuracy", "majority", "hard rows",
    "MDL, bits a label", "compression",
)  # fmt: skip
DIFFICULTY_NOTE = (
    "The hardest first, by the share of the label's entropy H(Y) that the text explains for these models. V-information is in "
    "bits a label; hard rows have a PVI below 0; MDL is the online code, in brackets the range over orders of the rows."
)


def write_page(record: Mapping[str, Any], target: Path) -> None:
    """Writes the page.

    Args:
        record: ``diagnosis.json`` of several data sets.
    """
    names = [data["name"] for data in record["data"]]
    sections = [("difficulty", "Difficulty of the data sets", difficulty_section(record["difficulty"]))]
    if record["matrix"]:
        sections.append(("transfer", "Transfer between the data sets", matrix_table(names, record["matrix"])))
    others = [finding for finding in record["findings"] if finding["name"] not in ("difficulty", "transfer")]
    if others:
        sections.append(("findings", "Labels and texts that they share", findings_section(others)))
    notes = tag("ul", *(tag("li", note) for note in record["notes"])) if record["notes"] else None
    opening = tag("header", tag("h1", f"Data sets: {', '.join(names)}"))
    write_text(target, document(f"{', '.join(names)} · tunesmith data sets", opening, sections, notes))


def difficulty_section(rows: Sequence[Row]) -> Markup:
    return tag("div", tag("p", DIFFICULTY_NOTE), table(DIFFICULTY_HEADS, map(difficulty_cells, rows), sortable=True))


def difficulty_cells(row: Row) -> list[object]:
    return [row["data"], *(num(cell) for cell in difficulty_texts(row))]


def difficulty_texts(row: Row) -> list[str]:
    """Returns the figures of one data set as text, in the order of ``DIFFICULTY_HEADS`` without the name."""
    return [
        count(row["n"]),
        count(row["n_classes"]),
        number(row["entropy_bits"]),
        with_interval(row["v_information_bits"], row["low"], row["high"]),
        f"{percent(row['share'])} [{percent(row['share_low'])}, {percent(row['share_high'])}]",
        number(row["accuracy"]),
        number(row["majority_accuracy"]),
        percent(row["hard_share"]),
        with_interval(row["codelength_bits"], row["codelength_low"], row["codelength_high"]),
        number(row["compression"], 2),
    ]


def matrix_table(names: Sequence[str], matrix: Sequence[Row]) -> Markup:
    """Builds the transfer matrix: one row per training set, one column per test set."""
    cells = {(cell["trained_on"], cell["tested_on"]): cell for cell in matrix}
    rows = []
    for source in names:
        row = [cells[source, target] for target in names]
        marked = [with_interval(c["value"], c["low"], c["high"]) + ("*" if c["held_out"] else "") for c in row]
        rows.append([source, *(num(text) for text in marked)])
    note = tag("p", "MCC with its 95 % interval; * on held-out folds of the same data set.")
    return tag("div", note, table(("trained on", *names), rows))


def findings_section(findings: Sequence[Row]) -> Markup:
    items = (
        tag(
            "li",
            tag("strong", display_name(finding["name"]), ": "),
            f"{finding['summary'] or finding['skipped']} {finding['remedy']}",
        )
        for finding in findings
    )
    return tag("ul", *items)
