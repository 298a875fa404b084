"""Reads what a column of judgements says: which of two answers is better, or whether an answer is a good one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.cells import is_missing, is_number, listed, plain_class_name, plural
from tunesmith.data.column_names import plain_name
from tunesmith.data.preferences.formats import PreferenceFormat
from tunesmith.data.table import Table
from tunesmith.errors import DataError, InputError

TIE = "tie"
SIGNED = ("overall_preference", "preference_strength")
"""Columns of HelpSteer: below 0 the first answer is better, above 0 the second, at 0 neither."""
GOOD_WORDS = frozenset(
    ("true", "yes", "y", "1", "+1", "good", "desirable", "chosen", "accept", "accepted", "up", "thumbs_up", "like",
     "liked", "positive", "wahr", "vrai", "verdadero")
)  # fmt: skip
BAD_WORDS = frozenset(
    ("false", "no", "n", "0", "-1", "bad", "undesirable", "rejected", "reject", "down", "thumbs_down", "dislike",
     "disliked", "negative", "falsch", "faux", "falso")
)  # fmt: skip
TIE_WORDS = frozenset(
    ("tie", "both", "equal", "same", "neither", "draw", "none", "tie (bothbad)", "both_good", "both_bad", "tied")
)
FIRST_WORDS, SECOND_WORDS = frozenset(("a", "model_a", "first", "left")), frozenset(("b", "model_b", "second", "right"))
SUFFIX = re.compile(r"(?:_|(?<=\w))([a-b0-2])$")


@dataclass(frozen=True)
class Judgements:
    """The judgements of the rows of a table.

    Attributes:
        cells: (N) as written.
        meanings: cell -> True for a good answer or the first of two, False for a bad one or the second, None for a tie or a
            judgement that is left out.
    """

    cells: Sequence[str | None]
    meanings: Mapping[str, bool | None]

    def at(self, i: int) -> bool | None:
        """Returns the judgement of a row; None for a tie, and for a row without one."""
        cell = self.cells[i]
        return None if cell is None else self.meanings[cell]

    def is_tie(self, i: int) -> bool:
        return self.cells[i] is not None and self.at(i) is None

    def sentence(self, row_format: PreferenceFormat) -> str:
        """Says how comparisons are read: ``of winner, a (6 rows) means that response_a is better, tie (1 row) is left out``."""
        first, second = (row_format.columns[part] for part in ("completion", "second"))
        label = " and ".join(row_format.columns[part] for part in LABELS if part in row_format.columns)
        counts = Counter(cell for cell in self.cells if cell is not None)
        names = {True: f"means that {first} is better", False: f"means that {second} is better", None: "is left out"}
        parts = [f"{cell} ({plural(counts[cell], 'row')}) {names[meaning]}" for cell, meaning in self.meanings.items()]
        return f"of {label}, {listed(parts, 6)}"


def read_judgements(table: Table, row_format: PreferenceFormat, labels: Mapping[str, Any]) -> Judgements:
    """Reads a column that says whether answers are good. Raises DataError for values that are no yes and no.

    Args:
        labels: value -> true, false, or null for rows to leave out (``data.labels``).
    """
    cells = written(table, row_format)
    meanings: dict[str, bool | None] = {}
    given = {plain_class_name(key).casefold(): value for key, value in labels.items()}
    for cell in dict.fromkeys(cell for cell in cells if cell is not None):
        meaning = given.get(cell.casefold(), cell)
        word = str(meaning).casefold()
        if isinstance(meaning, bool) or meaning is None:
            meanings[cell] = meaning
        elif word in GOOD_WORDS or word in BAD_WORDS:
            meanings[cell] = word in GOOD_WORDS
        else:
            raise unknown(table, row_format, cells, "true (a good answer), false (a bad one) or null (left out)")
    if len({cell.casefold() for cell in meanings}) > 2 and not given:
        raise unknown(table, row_format, cells, "true (a good answer), false (a bad one) or null (left out)")
    return Judgements(cells, meanings)


def read_winners(table: Table, row_format: PreferenceFormat, labels: Mapping[str, Any]) -> Judgements:
    """Reads a column that says which of two answers is better. Raises DataError for values whose meaning is not sure.

    Args:
        labels: value -> one of the two columns, ``tie`` or null (``data.labels``).
    """
    first, second = row_format.columns["completion"], row_format.columns["second"]
    cells, given = written(table, row_format), {plain_class_name(key).casefold(): value for key, value in labels.items()}
    ends = [match[1].casefold() if (match := SUFFIX.search(name)) else "" for name in (first, second)]
    names = {first.casefold(): True, second.casefold(): False, **dict.fromkeys(FIRST_WORDS, True)}
    names |= dict.fromkeys(SECOND_WORDS, False)
    names |= {end: is_first for end, is_first in zip(ends, (True, False), strict=True) if end}
    wanted = f"{first}, {second}, {TIE} or null (left out)"
    present = list(dict.fromkeys(cell for cell in cells if cell is not None))
    if plain_name(row_format.columns["label"]) in SIGNED and not given and all(map(is_number, present)):
        return Judgements(cells, signed(table, row_format, present))
    meanings: dict[str, bool | None] = {}
    for cell in present:
        meaning = given.get(cell.casefold(), cell)
        word = str(meaning).casefold()
        if meaning is None or word in TIE_WORDS:
            meanings[cell] = None
        elif word in names:
            meanings[cell] = names[word]
        else:
            raise unknown(table, row_format, cells, wanted)
    return Judgements(cells, meanings)


def signed(table: Table, row_format: PreferenceFormat, cells: Sequence[str]) -> dict[str, bool | None]:
    """Returns the meanings of numbers whose sign says which answer is better. Raises DataError if none is below 0."""
    if all(float(cell) >= 0 for cell in cells):  # these may also be the numbers of the answers
        raise unknown(table, row_format, cells, f"{row_format.columns['completion']}, {row_format.columns['second']} or {TIE}")
    return {cell: None if float(cell) == 0 else float(cell) < 0 for cell in cells}


def written(table: Table, row_format: PreferenceFormat) -> list[str | None]:
    """Returns the cells of the column of judgements as text; None for missing ones. Two columns of 0 and 1 become one."""
    column, second = (table.columns[row_format.columns[part]] if part in row_format.columns else None for part in LABELS)
    if column is None or second is None:
        return [None if is_missing(cell) else plain_class_name(cell) for cell in column or ()]
    return [
        None if is_missing(a) or is_missing(b) else ONE_OF_TWO.get((is_one(a), is_one(b)), f"{a} and {b}")
        for a, b in zip(column, second, strict=True)
    ]


def is_one(cell: object) -> bool | None:
    """Tells whether a cell is 1 or true; None if it is neither that nor 0 or false."""
    return {"1": True, "true": True, "0": False, "false": False}.get(plain_class_name(cell).casefold())


LABELS = ("label", "second_label")
ONE_OF_TWO: Mapping[tuple[bool | None, bool | None], str] = {(True, False): "first", (False, True): "second", (False, False): TIE}


def unknown(table: Table, row_format: PreferenceFormat, cells: Sequence[str | None], wanted: str) -> InputError:
    """Returns the error of a column whose values have no sure meaning."""
    column = row_format.columns["label"]
    values = list(dict.fromkeys(cell for cell in cells if cell is not None))
    what = "which of two answers is better" if row_format.kind == "compared" else "whether an answer is good"
    message = f"the column {column!r} should say {what}, and holds {listed(values, 6)}."
    remedy = f"Map each value in the recipe: data.labels: {{{values[0]}: ..., ...}}, to {wanted}."
    return DataError.one(table.source, message, remedy)
