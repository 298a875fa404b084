"""Detects the delimiter of a delimited file, and whether its first line is a header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from tunesmith.data.cells import is_number
from tunesmith.data.column_names import USUAL_NAMES, plain_name

DELIMITERS = {",": "comma", "\t": "TAB", ";": "semicolon", "|": "vertical bar"}
SAMPLE_CHARACTERS = 400_000
SAMPLE_ROWS = 2_000
SEPARATOR_LINE = re.compile(r"sep=([,;|\t])[,;|\t]*(?=[\r\n])", re.IGNORECASE)
MAX_LINES_ABOVE = 10
"""Titles and notes above the header are looked for in so many lines."""
MIN_CONSISTENCY = 0.9
"""A delimiter is a candidate if so many rows have the same number of fields; ragged rows are reported later."""


def find_delimiter(text: str, expected: str) -> str:
    """Returns the delimiter that gives rows the same number of fields; ``expected`` if none does.

    A first line such as ``sep=;``, which Excel reads, decides. If several fit, TAB wins (a TAB in every row is no accident),
    then more fields, then the delimiter by the file's name.
    """
    if named := SEPARATOR_LINE.match(text):
        return named.group(1)
    scores = fitting_delimiters(text)
    if not scores:
        return expected
    perfect = [d for d, (_, share) in scores.items() if share == 1.0] or list(scores)
    return max(perfect, key=lambda d: (d == "\t", scores[d][0], d == expected))


def fitting_delimiters(text: str) -> dict[str, tuple[int, float]]:
    """Returns the delimiters that give nearly all rows the same number of fields, two or more -> (number, share of rows)."""
    sample = text[:SAMPLE_CHARACTERS]
    scores = {delimiter: consistency(sample, delimiter, len(sample) < len(text)) for delimiter in DELIMITERS}
    return {d: (fields, share) for d, (fields, share) in scores.items() if fields > 1 and share >= MIN_CONSISTENCY}


def consistency(sample: str, delimiter: str, is_cut: bool) -> tuple[int, float]:
    """Returns the most frequent number of fields and the share of rows with it, for the better interpretation of quotes."""
    best = (1, 0.0)
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE) if '"' in sample else (csv.QUOTE_NONE,):
        spaced = quoting == csv.QUOTE_MINIMAL and has_spaced_quotes(sample, delimiter)
        lines = io.StringIO(sample, newline="")
        rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, skipinitialspace=spaced)  # type: ignore[arg-type]
        counts = list(islice((len(row) for row in rows if not is_blank(row)), SAMPLE_ROWS + 1))
        if is_cut and len(counts) > 1:
            counts.pop()
        if counts:
            fields, n_rows = Counter(counts).most_common(1)[0]
            best = max(best, (fields, n_rows / len(counts)), key=lambda pair: (pair[0] > 1, pair[1]))
    return best


def has_spaced_quotes(text: str, delimiter: str) -> bool:
    """Tells whether the first line has spaces between a delimiter and a quote: ``"text"; "label"``."""
    return re.match(rf'[\ufeff\r\n]*[^\n]*{re.escape(delimiter)} +"', text) is not None


def is_blank(row: Sequence[str]) -> bool:
    """Returns whether a line holds no cell with more than white space."""
    return not row or (not row[0].strip() and not any(map(str.strip, row)))  # the first cell mostly decides, which is fast


def used_width(row: Sequence[str]) -> int:
    """Returns the number of cells up to the last one that is not blank."""
    if row and row[-1] and not row[-1].isspace():
        return len(row)
    return next((i for i in range(len(row), 0, -1) if row[i - 1].strip()), 0)


def table_width(rows: Sequence[Sequence[str]]) -> int:
    """Returns the number of fields without the empty columns that spreadsheets leave on the right."""
    usual = Counter(map(len, rows)).most_common(1)[0][0]
    return max((used_width(row) for row in rows if len(row) <= usual), default=0) or usual


def lines_above_header(rows: Sequence[Sequence[str]], width: int) -> int:
    """Counts the lines above the header, which is the first with two usual names of columns, or the first full one with one."""
    first = rows[: MAX_LINES_ABOVE + 1]
    usual = [len({plain_name(cell) for cell in row} & USUAL_NAMES) for row in first]
    full = next((i for i, row in enumerate(first) if len(row) >= width and all(map(str.strip, row))), 0)
    named = next((i for i, n in enumerate(usual) if n > 1), full)
    return named if width > 1 and usual[named] and find_header(rows[named], rows[named + 1 : 1001])[0] else 0


def find_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Decides whether the first row is a header, with a sentence of reasons for the user.

    Each column votes: yes for a name that does not fit its column's content, no for a cell like those below it. Lines that
    repeat the first do not count: files that were put together repeat their header.
    """
    rest = [row for row in rest if not is_same_line(row, first)]
    repeated = [cell for cell, count in Counter(first).items() if count > 1 and cell.strip() and not is_number(cell)]
    votes = [header_vote(cell, [row[i] for row in rest if i < len(row)]) for i, cell in enumerate(first)]
    names = ", ".join(cell.strip() or "(empty)" for cell in first)
    if sum(votes) > bool(repeated):
        return True, f"The first line is the header: {names}."
    shown = names if len(names) <= 80 else names[:79] + "…"
    return False, (
        f"The file has no header: its first line ({shown}) looks like the lines below it. "
        f"The columns are called column_1 to column_{len(first)}; set data.header: true if this is wrong."
    )


def is_same_line(row: Sequence[str], first: Sequence[str]) -> bool:
    """Tells whether a line has the cells of the first, which a byte-order mark may precede."""
    if len(row) != len(first) or row[-1].removeprefix("\ufeff") != first[-1]:  # the last cell mostly decides, which is fast
        return False
    return [row[0].removeprefix("\ufeff"), *row[1:]] == list(first)


def header_vote(cell: str, below: Sequence[str]) -> int:
    """Scores from +2 to -3 how much a column's first cell looks like a name rather than like the cells below it."""
    below = [other for other in below if other.strip()]
    if is_number(cell):
        return -2
    repeats = cell.strip() != "" and cell in below
    if plain_name(cell) in USUAL_NAMES and not repeats:
        return 2
    if not below:
        return 0
    if sum(map(is_number, below)) >= 0.9 * len(below):
        return 2
    if len(set(below)) <= max(2, len(below) // 3):
        return -3 if repeats else int(bool(cell.strip()))
    words = sum(other.count(" ") + 1 for other in below) / len(below)
    if words >= 3:
        return 1 if cell.strip() and cell.strip().count(" ") == 0 and len(cell) <= 30 else -1
    return 0
