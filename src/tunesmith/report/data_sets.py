"""Writes the page of several data sets: the table of their difficulty, transfer between them, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.disk import write_text
from tunesmith.report.markup import Markup, tag
from tunesmith.report.numbers import count, is_number, number, percent, with_interval
from tunesmith.report.page import document
from tunesmith.report.tables import Cell, num, table
from tunesmith.report.words import display_name

Row = Mapping[str, Any]
EVERY = "every text"
"""The condition of the last rule."""
DIFFICULTY_HEADS = (
    "data set", "rows", "classes", "H(Y)", "V-information [95 %]", "share of H(Y)", "accuracy", "majority", "hard rows",
    "MDL, bits a label",
)  # fmt: skip
DIFFICULTY_KEYS = (
    "n", "n_classes", "entropy_bits", "v_information_bits", "share", "accuracy", "majority_accuracy", "hard_share",
    "codelength_bits",
)  # fmt: skip
DIFFICULTY_NOTE = (
    "The hardest first, by the share of the label's entropy H(Y) that the text explains for these models. V-information is in "
    "bits a label; hard rows have a PVI below 0; MDL is the online code, in brackets the range over orders of the rows."
)

CRITERIA_NOTE = (
    "Rules for pairs of similar texts, one of each data set. The first rule whose condition holds gives the label in either data "
    "set. Below it is the share of a label among held-out texts in which no earlier rule holds. “Also” are conditions whose "
    "shares differ without changing a label. Read the texts of each rule before you join the data sets."
)


@dataclass(frozen=True)
class CriteriaPart:
    """The label criteria of two data sets on the page.

    Attributes:
        first, second: their names.
        opening: how well the rules predict held-out texts, as a sentence.
        rules: in their order, as in ``diagnosis.json``; ``tendencies``: conditions that are no rule.
        choice: the condition that a language model chose, as a sentence; empty without one.
    """

    first: str
    second: str
    opening: str
    rules: Sequence[Row]
    tendencies: Sequence[Row]
    choice: str


def write_page(record: Mapping[str, Any], criteria: Sequence[CriteriaPart], target: Path) -> None:
    """Writes the page.

    Args:
        record: ``diagnosis.json`` of several data sets.
        criteria: of every two data sets with enough similar texts; the record's findings about them are left out.
    """
    names = [data["name"] for data in record["data"]]
    sections = [("difficulty", "Difficulty of the data sets", difficulty_section(record["difficulty"]))]
    if record["matrix"]:
        sections.append(("transfer", "Transfer between the data sets", matrix_table(names, record["matrix"])))
    if criteria:
        sections.append(("criteria", "Label criteria", tag("div", tag("p", CRITERIA_NOTE), *map(criteria_part, criteria))))
    shown = {"difficulty", "transfer", *(f"criteria_{part.first}_{part.second}" for part in criteria)}
    others = [finding for finding in record["findings"] if finding["name"] not in shown]
    if others:
        sections.append(("findings", "Labels and texts that they share", findings_section(others)))
    notes = tag("ul", *(tag("li", note) for note in record["notes"])) if record["notes"] else None
    opening = tag("header", tag("h1", f"Data sets: {', '.join(names)}"))
    write_text(target, document(f"{', '.join(names)} · tunesmith data sets", opening, sections, notes))


def difficulty_section(rows: Sequence[Row]) -> Markup:
    return tag("div", tag("p", DIFFICULTY_NOTE), table(DIFFICULTY_HEADS, map(difficulty_cells, rows), sortable=True))


def difficulty_cells(row: Row) -> list[object]:
    """Returns the cells of one data set, sorted by values, with intervals below them."""
    cells = [num(two_lines(text), row[key]) for key, text in zip(DIFFICULTY_KEYS, difficulty_texts(row), strict=True)]
    return [Cell(row["data"], "name"), *cells]


def two_lines(text: str) -> Markup:
    """Breaks the line before an interval in brackets."""
    value, bracket, interval = text.partition(" [")
    return tag("span", value, *((tag("br"), tag("small", f"[{interval}")) if bracket else ()))


def difficulty_texts(row: Row) -> list[str]:
    """Returns the figures of one data set as text, in the order of ``DIFFICULTY_HEADS`` without the name."""
    return [
        count(row["n"]),
        count(row["n_classes"]),
        number(row["entropy_bits"]),
        with_interval(row["v_information_bits"], row["low"], row["high"]),
        percent_interval(row["share"], row["share_low"], row["share_high"]),
        number(row["accuracy"]),
        number(row["majority_accuracy"]),
        percent(row["hard_share"]),
        with_interval(row["codelength_bits"], row["codelength_low"], row["codelength_high"]),
    ]


def percent_interval(value: object, low: object, high: object) -> str:
    """Formats a share as ``37.0 % [32.1, 41.9]``; a dash without a value, no brackets without an interval."""
    if not (is_number(value) and is_number(low) and is_number(high)):
        return percent(value)
    return f"{percent(value)} [{number(100 * low, 1)}, {number(100 * high, 1)}]"


def criteria_part(part: CriteriaPart) -> Markup:
    """Builds the rules of two data sets as a table, with the share of a label among the held-out texts of both."""
    heads = ("", "texts", part.first, part.second, "difference of the shares [95 %]")
    numbered = [*((f"{i}.", rule) for i, rule in enumerate(part.rules, 1)), *(("also", rule) for rule in part.tendencies)]
    rows = [rule_cells(mark, rule) for mark, rule in numbered]
    title, opening = tag("h3", f"{part.first} and {part.second}"), f"{part.opening[:1].upper()}{part.opening[1:]}"
    choice = tag("p", part.choice) if part.choice else None
    return tag("div", title, tag("p", opening), table(heads, rows) if rows else None, choice)


def rule_cells(mark: str, rule: Row) -> list[object]:
    """Returns the condition of a rule, in each data set its label above the share of held-out texts, and their difference."""
    shares, sides = [rule["first_share"], rule["second_share"]], []
    for side, share in zip(("first", "second"), shares, strict=True):
        held_out = f"{rule['label']}: {percent(share)} of {count(rule[f'n_{side}'])}" if is_number(share) else "no held-out text"
        sides.append(Cell(tag("span", rule[f"{side}_label"], tag("br"), tag("small", held_out)), "name"))
    difference = shares[0] - shares[1] if all(map(is_number, shares)) else None
    interval = with_interval(difference, rule["low"], rule["high"], signed=True)
    condition = rule["condition"].replace("the text contains ", "with ").replace("the text has ", "with ")
    return [mark, Cell("otherwise" if condition == EVERY else condition, "name"), *sides, num(two_lines(interval))]


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
