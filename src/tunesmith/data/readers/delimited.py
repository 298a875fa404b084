"""Reads csv and tsv files, and reports every row that does not fit."""

from __future__ import annotations

import csv
import io
import re
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.data.cells import clip, plural
from tunesmith.data.readers.annotation_files import reject_token_lines
from tunesmith.data.readers.dialect import (
    DELIMITERS,
    find_delimiter,
    find_header,
    has_spaced_quotes,
    is_blank,
    is_same_line,
    lines_above_header,
    table_width,
)
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.payload import Payload
from tunesmith.data.readers.written import without_quotes
from tunesmith.data.table import BadRow, Table
from tunesmith.errors import DataError

TEXT_FORMULA = re.compile(r'="(?:[^"]|"")*"')
MAX_FIELD_LINES = 200
"""Lines that a quoted field may span in a file with broken quotes."""


@dataclass(frozen=True)
class Records:
    """The rows of a file, header included.

    Attributes:
        lines: 1-based first line of each record.
        broken: 1-based line -> reason, of the lines that hold no row.
        repaired: 1-based line -> repair.
        blanks: number of blank lines, which are left out.
        end: number of the last line.
    """

    rows: list[list[str]]
    lines: list[int]
    broken: dict[int, str] = field(default_factory=dict)
    repaired: dict[int, str] = field(default_factory=dict)
    blanks: int = 0
    end: int = 0
    note: str = ""


def read_delimited(payload: Payload, delimiter: str, header: bool | None = None, encoding: str | None = None) -> Table:
    """Reads the table of a csv or tsv file. Cells are str.

    Args:
        delimiter: delimiter by the file's name; if only another one fits, that is used and reported.
        header: whether the first line is a header; None detects it by content.
    """
    decoded = decode(payload, encoding)
    reject_token_lines(decoded.text, payload.name)
    with any_field_size():
        detected = find_delimiter(decoded.text, delimiter)
        records = read_records(decoded.text, detected)
    notes = [*payload.notes, *decoded.notes]
    if detected != delimiter:
        notes.append(
            f"The fields are separated by {DELIMITERS[detected]}, not by {DELIMITERS[delimiter]} as the file's suffix implies."
        )
    records, dropped = drop_spreadsheet_margins(records, header)
    notes += dropped
    names, records, has_header, reason = split_header(payload.name, records, header)
    notes += [reason, records.note]
    if records.blanks:
        notes.append(f"{plural(records.blanks, 'blank line', 'was', 'were')} left out.")
    records = replace(records, repaired={**records.repaired, **decoded.repaired})
    table = build_table(payload, names, records, has_header, tuple(note for note in notes if note))
    return without_quotes(without_text_formulas(table))


def drop_spreadsheet_margins(records: Records, header: bool | None) -> tuple[Records, list[str]]:
    """Removes a line ``sep=;``, empty columns on the right, and lines above the header, with a note on each."""
    rows, notes, start = records.rows, [], 0
    if rows and records.lines[0] == 1 and rows[0][0].lower() == "sep=" and is_blank(rows[0][1:]):
        start = 1
    if len(rows) <= start:
        return records, []
    width = table_width(rows[start:])
    padded = [row[width:] for row in rows[start:] if len(row) > width and is_blank(row[width:])]
    if padded:
        rows = [row[:width] if is_blank(row[width:]) else row for row in rows]
        notes.append(f"{plural(max(map(len, padded)), 'empty column')} on the right left out.")
    above = lines_above_header(rows[start:], width) if header is not False else 0
    if above:
        title = clip(" ".join(filter(str.strip, rows[start])), 40)
        notes.append(f"{plural(above, 'line')} above the header left out: {title}.")
    return replace(records, rows=rows[start + above :], lines=records.lines[start + above :]), notes


@contextmanager
def any_field_size() -> Iterator[None]:
    """Lifts the csv module's limit of 131,072 characters a field, a setting of the whole process, for one file."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_records(text: str, delimiter: str) -> Records:
    """Reads the records, with the interpretation of quotes that fits the file.

    Strictly quoted text is read as quoted. TAB-separated files are often written without quoting: if quotes as plain characters
    give every line the same number of fields while quoting would merge lines, quotes are plain characters. Files that fit
    neither way are read line by line; lines with broken quotes are dropped and counted.
    """
    if '"' not in text:
        return parse(text, delimiter, csv.QUOTE_NONE)
    quoted = None
    with suppress(csv.Error):
        quoted = parse(text, delimiter, csv.QUOTE_MINIMAL)
        n_lines = quoted.end - quoted.lines[0] + 1 if quoted.lines else 0
        if delimiter != "\t" or n_lines <= len(quoted.lines) + quoted.blanks:
            return quoted
    plain = parse(text, delimiter, csv.QUOTE_NONE)
    if quoted is not None and not is_even(plain):
        return quoted
    if '\\"' in text:
        with suppress(csv.Error):
            escaped = parse(text, delimiter, csv.QUOTE_MINIMAL, escape="\\")
            return replace(escaped, note='Quotes inside fields are written \\" here.')
    n_fields, share = usual_fields(plain)
    if is_even(plain) or (delimiter == "\t" and n_fields > 1 and share >= 0.99):
        return replace(plain, note="Quotes are plain characters in this file: read as quoting they would merge or cut fields.")
    return recover(text, delimiter)


def parse(text: str, delimiter: str, quoting: int, escape: str | None = None) -> Records:
    """Parses all records of the text. Raises csv.Error if quoting is not strictly regular."""
    lines_in = io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogatepass")), "utf-8", "surrogatepass", newline="")
    dialect: dict[str, Any] = {"quoting": quoting, "escapechar": escape, "doublequote": escape is None}
    dialect["skipinitialspace"] = quoting == csv.QUOTE_MINIMAL and has_spaced_quotes(text, delimiter)
    reader = csv.reader(lines_in, delimiter=delimiter, strict=True, **dialect)
    rows: list[list[str]] = []
    lines: list[int] = []
    blanks, start = 0, 1
    for row in reader:
        if is_blank(row) and row != [""]:  # a line of "" is an empty cell of a table of one column
            blanks += 1
        else:
            rows.append(row)
            lines.append(start)
        start = reader.line_num + 1
    return Records(rows, lines, blanks=blanks, end=reader.line_num)


def usual_fields(records: Records) -> tuple[int, float]:
    """Returns the most frequent number of fields, and the share of the records with it."""
    n_fields, n_records = Counter(map(len, records.rows)).most_common(1)[0]
    return n_fields, n_records / len(records.rows)


def is_even(records: Records) -> bool:
    """Returns whether all records have the same number of fields, and more than one."""
    return len(set(map(len, records.rows))) == 1 and len(records.rows[0]) > 1


def recover(text: str, delimiter: str) -> Records:
    """Reads a file with broken quotes line by line, so that each broken quote costs only its line."""
    lines = io.StringIO(text, newline="").readlines()
    rows: list[list[str]] = []
    starts: list[int] = []
    broken: dict[int, str] = {}
    repaired: dict[int, str] = {}
    width, i, blanks = 0, 0, 0
    while i < len(lines):
        if not lines[i].strip():
            i, blanks = i + 1, blanks + 1
            continue
        row, used, was_repaired = record_at(lines, i, delimiter, width)
        if row is None:
            broken[i + 1] = "broken quotes"
        else:
            rows.append(row)
            starts.append(i + 1)
            width = width or len(row)
            if was_repaired:
                repaired[i + 1] = "broken quotes, taken as plain characters"
        i += used
    return Records(rows, starts, broken, repaired, blanks)


def record_at(lines: list[str], start: int, delimiter: str, width: int) -> tuple[list[str] | None, int, bool]:
    """Reads the record that starts on a line: its cells (None if broken), its lines, and whether its quotes are plain."""
    quotes, joined = 0, ""
    for end in range(start, min(start + MAX_FIELD_LINES, len(lines))):
        joined += lines[end]
        quotes += lines[end].count('"')
        if quotes % 2:
            continue
        row = parse_one(joined, delimiter, csv.QUOTE_MINIMAL)
        if row is not None and (not width or len(row) == width or end == start):
            return row, end - start + 1, False
        if end > start:
            break
    row = parse_one(lines[start], delimiter, csv.QUOTE_NONE)
    if row is not None and len(row) == width:
        return row, 1, True
    return None, 1, False


def parse_one(text: str, delimiter: str, quoting: int) -> list[str] | None:
    """Parses a text of one record; None if it is not strictly one record."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True))  # type: ignore[arg-type]
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def split_header(name: str, records: Records, header: bool | None) -> tuple[list[str], Records, bool, str]:
    """Returns the column names, the records without the header, whether there is a header, and the reason."""
    if not records.rows:
        remedy = "Check its quotes: each opening quote needs a closing one."
        raise DataError.one(name, "Not one line of the file could be read.", remedy)
    first = records.rows[0]
    reason = ""
    if header is None:
        header, reason = find_header(first, records.rows[1:1001])
    if not header:
        return [f"column_{i + 1}" for i in range(usual_fields(records)[0])], records, False, reason
    records = without_repeated_header(records)
    names = [cell.strip() or f"column_{i + 1}" for i, cell in enumerate(first)]
    repeated = sorted(key for key, count in Counter(names).items() if count > 1)
    if repeated:
        message = f"The header names a column more than once: {', '.join(repeated)}."
        raise DataError.one(f"{name}, line {records.lines[0]}", message, "Give each column its own name.")
    if len(records.rows) == 1 and not records.broken:
        raise DataError.one(name, f"The file has a header ({', '.join(names)}) and no rows.")
    return names, replace(records, rows=records.rows[1:], lines=records.lines[1:]), True, reason


def without_repeated_header(records: Records) -> Records:
    """Drops the lines that repeat the header, as in files that were put together."""
    first = records.rows[0]
    repeats = {line for row, line in zip(records.rows[1:], records.lines[1:], strict=True) if is_same_line(row, first)}
    if not repeats:
        return records
    kept = [(row, line) for row, line in zip(records.rows, records.lines, strict=True) if line not in repeats]
    broken = {**records.broken, **dict.fromkeys(repeats, "repeats the header")}
    return replace(records, rows=[row for row, _ in kept], lines=[line for _, line in kept], broken=broken)


def build_table(payload: Payload, names: list[str], records: Records, has_header: bool, notes: tuple[str, ...]) -> Table:
    width = len(names)
    rows, lines = records.rows, records.lines
    row_ids, bad = list(range(len(rows))), []
    if records.broken:
        order = {line: i for i, line in enumerate(sorted([*lines, *records.broken]))}
        row_ids = [order[line] for line in lines]
        bad = [BadRow(order[line], line, reason) for line, reason in records.broken.items()]
    ragged = [i for i, row in enumerate(rows) if len(row) != width]
    if ragged:
        reject_ragged(payload.name, names, records, has_header, ragged)
        bad += [BadRow(row_ids[i], lines[i], f"too {'few' if len(rows[i]) < width else 'many'} fields") for i in ragged]
        kept = sorted(set(range(len(rows))).difference(ragged))
        rows, row_ids, lines = [rows[i] for i in kept], [row_ids[i] for i in kept], [lines[i] for i in kept]
    repaired: dict[int, BadRow] = {}
    for line, reason in records.repaired.items():
        i = bisect_right(lines, line) - 1
        if i >= 0:  # not in the header
            repaired.setdefault(i, BadRow(row_ids[i], lines[i], reason, dropped=False))
    bad += repaired.values()
    cells = list(map(list, zip(*rows, strict=True))) or [[] for _ in names]
    return Table(
        source=payload.name,
        columns=dict(zip(names, cells, strict=True)),
        row_ids=row_ids,
        has_header=has_header,
        sha256=payload.sha256,
        rows_read=len(records.rows) + len(records.broken),
        bad_rows=tuple(sorted(bad, key=lambda row: row.row_id)),
        notes=notes,
        lines=lines,
    )


def without_text_formulas(table: Table) -> Table:
    """Reads cells such as ``="01"``, by which Excel is kept from reading a text as a number, as that text, with a note."""
    found = [cell for cells in table.columns.values() for cell in cells if cell.startswith('="') and TEXT_FORMULA.fullmatch(cell)]
    if not found:
        return table
    columns = {name: [text_of_formula(cell) for cell in cells] for name, cells in table.columns.items()}
    read_as = clip(text_of_formula(found[0]))
    note = f"Cells such as {clip(found[0])} are a spreadsheet's formulas for a text, and are read as {read_as}."
    return replace(table, columns=columns, notes=(*table.notes, note))


def text_of_formula(cell: str) -> str:
    """Returns the text of a cell such as ``="01"``; every other cell as it is."""
    return cell[2:-1].replace('""', '"') if TEXT_FORMULA.fullmatch(cell) else cell


def reject_ragged(name: str, names: list[str], records: Records, has_header: bool, ragged: list[int]) -> None:
    """Raises DataError if most rows are ragged: then the names are wrong, not the rows."""
    if len(ragged) * 2 <= len(records.rows):
        return
    usual, _ = usual_fields(records)
    header = f"the header names {plural(len(names), 'column')} ({', '.join(names)})"
    expected = header if has_header else f"{plural(len(names), 'field', 'was', 'were')} expected"
    message = (
        f"{len(ragged)} of {plural(len(records.rows), 'row')} do not fit: {expected}, most rows have {plural(usual, 'field')}."
    )
    remedy = "Quote the fields that contain the delimiter, or correct the header."
    raise DataError.one(f"{name}, line {records.lines[ragged[0]]}", message, remedy)
