"""Reads and writes proposed corrections of a data file: a csv with one row each, which a person can read, edit and apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tunesmith.data.cells import clip, csv_line, is_number, listed, unescape_formula
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.readers.payload import read_payload
from tunesmith.data.readers.read import READERS, find_format, parse_table
from tunesmith.data.table import Table
from tunesmith.disk import whole_file
from tunesmith.errors import DataError, Problem

COLUMNS = ("row_id", "split", "given", "proposed", "score", "diagnoses", "reason", "action", "source_sha256")
SOURCE = "source"
"""A further column, where a diagnosis is of several files."""
NEEDED = ("row_id", "given", "proposed")
RELABEL, REMOVE = "relabel", "remove"
SEPARATOR = "|"
MAX_DIGITS = 18
"""A longer number is no position in a file, and above 4,300 digits Python reads none."""
REMEDY = "Give a corrections.csv that a diagnosis or its review page wrote."


@dataclass(frozen=True)
class Correction:
    """The correction of one row of a data file.

    Attributes:
        row_id: 0-based position among the data rows of the source.
        score: in [0, 1], 0 is the worst row.
        diagnoses: the diagnoses that flag the row.
        action: ``relabel`` to ``proposed``, or ``remove``.
        source_sha256: hash of the file the correction was made for; empty if unknown.
        source: its name, where a diagnosis is of several files.
    """

    row_id: int
    split: str
    given: str
    proposed: str
    score: float
    diagnoses: tuple[str, ...] = ()
    reason: str = ""
    action: str = RELABEL
    source_sha256: str = ""
    source: str = ""


def write_corrections(corrections: Sequence[Correction], path: Path) -> None:
    """Writes the file, whole or not at all; with the names of the files only where there are several."""
    columns = (*COLUMNS, SOURCE) if any(c.source for c in corrections) else COLUMNS
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as out:
        out.write(csv_line(columns))
        for c in corrections:
            cells = asdict(c) | {"score": f"{c.score:.6g}", "diagnoses": SEPARATOR.join(c.diagnoses)}
            out.write(csv_line(cells[name] for name in columns))


def read_corrections(path: Path) -> list[Correction]:
    """Reads a file's corrections; only the columns of ``NEEDED`` must be there. Raises DataError with every unusable row."""
    payload = read_payload(path, str(path))
    text = decode(payload).text.strip()
    if not text.startswith(("{", "[")) and len(split_lines(text)) == 1:  # JSON has no header, so its only line is a row
        message = "The file has no corrections, only one line: no label is to be changed."
        raise DataError.one(str(path), message, "There is nothing to apply; the data stay as they are.")
    if payload.suffix not in READERS and find_format(payload) is None:
        raise DataError.one(str(path), "This is no corrections file: its content is no table.", REMEDY)
    return corrections_of(parse_table(payload, header=True))


def corrections_of(table: Table) -> list[Correction]:
    """Returns the corrections of a table's rows. Raises DataError as ``read_corrections`` does."""
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        message = f"The file has no column {listed(missing)}; a corrections file has {', '.join(COLUMNS)}."
        raise DataError.one(table.source, message, REMEDY)
    problems: list[Problem] = []
    corrections = [read_correction(table, i, problems) for i in range(len(table))]
    seen: dict[tuple[int, str, str], int] = {}  # rows of different files may have the same number
    for i, correction in enumerate(corrections):
        if correction is not None and seen.setdefault((correction.row_id, correction.source_sha256, correction.source), i) != i:
            problems.append(
                Problem("data", f"{table.source}, {table.place(i)}", f"corrects row {correction.row_id} a second time.")
            )
    if problems:
        raise DataError(problems)
    return [correction for correction in corrections if correction is not None]


def read_correction(table: Table, i: int, problems: list[Problem]) -> Correction | None:
    """Reads one row; if it is not a correction, returns None and adds a problem."""
    given = {name: table.columns[name][i] if name in table.columns else None for name in (*COLUMNS, SOURCE)}
    cells = {name: "" if cell is None else unescape_formula(str(cell).strip()) for name, cell in given.items()}
    action = cells["action"] or (RELABEL if cells["proposed"] else REMOVE)
    wrong = None
    if not cells["row_id"].isdecimal() or len(cells["row_id"]) > MAX_DIGITS:
        wrong = f"row_id is {clip(cells['row_id'])}, a whole number was expected."
    elif action not in (RELABEL, REMOVE):
        wrong = f"action is {clip(action)}; relabel or remove was expected."
    elif action == RELABEL and not cells["proposed"]:
        wrong = "proposes no label; write one, or the action remove."
    elif cells["score"] and not is_number(cells["score"]):
        wrong = f"score is {clip(cells['score'])}, a number was expected."
    if wrong is not None:
        problems.append(Problem("data", f"{table.source}, {table.place(i)}", wrong))
        return None
    diagnoses = tuple(filter(None, cells["diagnoses"].split(SEPARATOR)))
    texts = {name: cells[name] for name in ("split", "given", "proposed", "reason", "source_sha256", "source")}
    score = float(cells["score"] or 0)
    return Correction(row_id=int(cells["row_id"]), score=score, diagnoses=diagnoses, action=action, **texts)
