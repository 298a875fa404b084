"""Writes pairs of answers for a person to compare, as a csv with an empty column, and reads it filled in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.data.cells import clip, csv_line, is_missing, listed, plural
from tunesmith.data.readers.read import read_file
from tunesmith.data.table import Table
from tunesmith.disk import write_text
from tunesmith.errors import DataError, Problem

COLUMNS = ("id", "prompt", "answer_a", "answer_b", "better")
WORDS = ("a", "b", "tie")
SHOWN_PROBLEMS = 20
Better = Literal["first", "second", "tie"]


@dataclass(frozen=True)
class Comparison:
    """Two answers to a prompt; the file has them in random order.

    Attributes:
        prompt, first, second: texts.
        swapped: whether the second one is answer a.
    """

    prompt: str
    first: str
    second: str
    swapped: bool = False

    def cells(self, number: int) -> tuple[str, str, str, str, str]:
        """Returns the row of the file, not filled in."""
        a, b = (self.second, self.first) if self.swapped else (self.first, self.second)
        return (row_id(number, self.prompt, a, b), self.prompt, a, b, "")

    def better(self, word: str) -> Better:
        """Returns which answer a filled-in word names."""
        if word == "tie":
            return "tie"
        return "second" if (word == "b") != self.swapped else "first"


def in_random_order(comparisons: Sequence[tuple[str, str, str]], seed: Sequence[int]) -> list[Comparison]:
    """Draws for each prompt with two answers which of them is answer a."""
    swapped = np.random.default_rng(list(seed)).random(len(comparisons)) < 0.5
    return [Comparison(*texts, swapped=bool(swap)) for texts, swap in zip(comparisons, swapped, strict=True)]


def row_id(number: int, *texts: str) -> str:
    """Returns the id of a row: its number, and a hash of its texts without what a spreadsheet changes, line ends and a quote."""
    content = "\0".join(" ".join(text.split()).lstrip("'") for text in texts)
    return f"{number}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def write_comparisons(comparisons: Sequence[Comparison], path: Path) -> None:
    """Writes the file, whole or not at all."""
    lines = [csv_line(COLUMNS), *(csv_line(comparison.cells(i)) for i, comparison in enumerate(comparisons))]
    write_text(path, "".join(lines))


def read_comparisons(comparisons: Sequence[Comparison], path: Path) -> list[Better]:
    """Reads which answer of each comparison is better.

    Raises DataError for rows that were removed, repeated, added or changed, for words that are none of a, b and tie, and for
    rows that are not filled in.
    """
    table = read_file(path, str(path))
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        message = f"the file has no column {listed(missing)}; it was written with {', '.join(COLUMNS)}."
        raise DataError.one(str(path), message, "Put the column back; only the cells of better are filled in.")
    places = rows_by_number(comparisons, table)
    words = {number: text_of(table, "better", i).lower() for number, i in places.items()}
    wrong = [number for number, word in words.items() if word and word not in WORDS]
    if wrong:
        remedy = "Write a, b or tie."
        raise_all(
            Problem("data", place(table, places[n]), f"better is {clip(words[n])}, which is none of a, b and tie.", remedy)
            for n in wrong
        )
    empty = [number for number, word in words.items() if not word]
    if empty:
        message = f"{len(words) - len(empty)} of {plural(len(words), 'row')} are filled in; the first empty one is "
        message += f"{table.place(places[empty[0]])}."
        raise DataError.one(str(path), message, "Write a, b or tie into every cell of better, and give the command again.")
    return [comparison.better(words[i]) for i, comparison in enumerate(comparisons)]


def rows_by_number(comparisons: Sequence[Comparison], table: Table) -> dict[int, int]:
    """Returns the row of the table of each comparison. Raises DataError unless every row is there once, as it was written."""
    expected = {comparison.cells(i)[0]: i for i, comparison in enumerate(comparisons)}
    found: dict[int, int] = {}
    problems: list[Problem] = []
    remedy = "Restore the row; only the cells of better are filled in."
    for i in range(len(table)):
        texts = [text_of(table, name, i) for name in COLUMNS[:4]]
        number = expected.get(texts[0])
        if number is None:
            problems.append(Problem("data", place(table, i), f"its id, {clip(texts[0])}, is none that was written.", remedy))
        elif number in found:
            problems.append(Problem("data", place(table, i), f"repeats {table.place(found[number])}.", "Remove one of them."))
        elif row_id(number, *texts[1:]) != texts[0]:
            problems.append(Problem("data", place(table, i), "its prompt or answers were changed.", remedy))
        else:
            found[number] = i
    removed = [number for number in range(len(comparisons)) if number not in found]
    if not problems and removed:
        message = f"{plural(len(removed), 'row')} of {len(comparisons)} {'is' if len(removed) == 1 else 'are'} missing, such as "
        message += f"that with the id {comparisons[removed[0]].cells(removed[0])[0]}."
        problems.append(Problem("data", table.source, message, "Restore them; write tie where neither answer is better."))
    raise_all(problems)
    return dict(sorted(found.items()))


def text_of(table: Table, name: str, i: int) -> str:
    """Returns a cell as text; empty for a missing one."""
    cell = table.columns[name][i]
    return "" if is_missing(cell) else str(cell).strip()


def place(table: Table, i: int) -> str:
    return f"{table.source}, {table.place(i)}"


def raise_all(problems: Iterator[Problem] | Sequence[Problem]) -> None:
    """Raises DataError with the first problems, if there are any."""
    every = list(problems)
    if every:
        raise DataError(every[:SHOWN_PROBLEMS])
