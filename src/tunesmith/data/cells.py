"""Tells what a single cell holds: nothing, a number, a whole number; and formats cells for messages."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterable, Sequence

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")


UNLABELLED = frozenset(
    {"", "-", "nan", "null", "n/a", "<na>", "#n/a", "#ref!", "#value!", "#div/0!", "#name?", "#num!", "#null!"}
)
"""Lower-case words of cells without a label, the errors of a spreadsheet included; NA is one only as R writes it,
since ``na`` can be a class name."""
LONGEST_NAME = 200
"""Characters of a name in a list that are shown: a name of more is most likely a text in the wrong place."""
SAMPLE_CELLS = 50
"""Columns are classified by so many of their first cells that are not missing."""
FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""The beginning of a cell that a spreadsheet runs as a formula, after any number of quotes."""


def is_missing(cell: object) -> bool:
    """Returns whether a cell is None, NaN, or a string of white space only."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return not cell or cell.isspace()
    return isinstance(cell, float) and math.isnan(cell)


def first_present(cells: Iterable[object]) -> list[object]:
    """Returns the first cells of a column that are not missing, by which its content is told."""
    return list(itertools.islice((cell for cell in cells if not is_missing(cell)), SAMPLE_CELLS))


def is_number(cell: object) -> bool:
    """Returns whether a cell is a finite number or a string of one. Booleans are no numbers."""
    if isinstance(cell, str):
        return NUMBER.fullmatch(cell.strip()) is not None and math.isfinite(float(cell))
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return False
    return math.isfinite(cell) if isinstance(cell, float) else abs(cell) < 10**300


def is_whole(cell: object) -> bool:
    """Returns whether a cell is a whole number in any notation: ``3``, ``"3"``, ``3.0``, ``"3.0"``."""
    if isinstance(cell, str):
        return WHOLE.fullmatch(cell.strip()) is not None
    return isinstance(cell, int | float) and is_number(cell) and float(cell).is_integer()


def plain_class_name(cell: object) -> str:
    """Writes the class ``1.0`` as ``1``: a column of whole numbers with missing cells holds floats."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def clip(cell: object, length: int = 60) -> str:
    """Quotes and shortens the cell for a message."""
    text = str(cell)
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def one_line(text: str) -> str:
    """Writes the line ends in a name as escapes."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Joins the first names with commas and counts the others; a very long name is cut."""
    words = [one_line(str(name)) for name in names]
    shown = ", ".join(word if len(word) <= LONGEST_NAME else word[: LONGEST_NAME - 1] + "…" for word in words[:limit])
    return shown if len(words) <= limit else f"{shown} and {len(words) - limit} more"


def row_numbers(ids: Sequence[int], limit: int = 5) -> str:
    """Names rows: ``row 3``, ``rows 3, 8 and 12 more``."""
    return f"{'row' if len(ids) == 1 else 'rows'} {listed(ids, limit)}"


def plural(n: float, noun: str, *verbs: str) -> str:
    """Formats ``1 row``, ``2,000 rows``, ``2.5 epochs``, ``3 queries``; with two verbs also ``1 row was``, ``2 rows were``."""
    number = f"{n:,.3g}" if isinstance(n, float) and n < 1000 else f"{n:,.0f}"
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if re.search("(s|x|sh|[^o]ch)$", noun) else f"{noun}s"
    return " ".join([number, noun if n == 1 else many, *verbs[int(n != 1) :][:1]])


def escape_formula(cell: object) -> object:
    """Puts a quote before a text that a spreadsheet would run as a formula; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) and not is_number(cell) else cell


def csv_line(cells: Iterable[object], delimiter: str = ",") -> str:
    """Writes cells as a line of csv, with formulas escaped. Cells with any kind of line end are quoted.

    Python's writer quotes only the line ends that it writes itself, and only from 3.13 on a lone carriage return as well.
    """
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerow(map(escape_formula, cells))
    return out.getvalue().removesuffix("\r\n") + "\n"


def unescape_formula(text: str) -> str:
    """Returns the text before ``escape_formula``."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
