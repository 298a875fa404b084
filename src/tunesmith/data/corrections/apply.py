"""Corrections applied to a data file: a new file in which only the corrected rows differ, proven by reading it again."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.corrections.corrections_csv import RELABEL, REMOVE, Correction
from tunesmith.data.labelled.labels import class_name, marker
from tunesmith.data.readers.dialect import find_delimiter
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.json_rows import is_rows
from tunesmith.data.readers.payload import Payload, read_payload
from tunesmith.data.readers.read import table_of
from tunesmith.data.table import Table
from tunesmith.errors import DataError, OutputError, Problem, TunesmithError

LINE_BREAK = re.compile(r"\r\n|\r|\n")
SHOWN = 5
ONLY_NEW = "the file exists; corrected rows are only written to a new one."
QUOTINGS = (csv.QUOTE_NONE, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


@dataclass(frozen=True)
class Applied:
    """What was written, and how many corrections were left out because they are of other files."""

    path: Path
    n_relabelled: int
    n_removed: int
    n_rows: int
    n_of_other_files: int


@dataclass(frozen=True)
class Changes:
    """The new label cell of each row that gets one, and the rows that go; both by row id."""

    column: str
    labels: Mapping[int, Any]
    removed: frozenset[int]


@dataclass(frozen=True)
class Corrected:
    """A corrected file before it is written.

    Attributes:
        target: where it goes.
        table: the old rows.
        content: the bytes of the new file, packed where its name says so.
    """

    target: Path
    table: Table
    changes: Changes
    content: bytes
    n_of_other_files: int

    @property
    def is_written(self) -> bool:
        """Whether exactly this file is there already."""
        return self.target.is_file() and self.target.read_bytes() == self.content

    @property
    def applied(self) -> Applied:
        """What is written once it is there."""
        n_removed = len(self.changes.removed)
        return Applied(
            self.target, len(self.changes.labels), n_removed, len(self.table) - n_removed, self.n_of_other_files
        )  # fmt: skip


def apply_corrections(
    corrections: Sequence[Correction], data: Path, output: Path | None = None, column: str | None = None
) -> Applied:
    """Write the corrected data beside the old file, as ``NAME.corrected.SUFFIX`` where no name is given.

    Args:
        column: the label column; found by the given labels of the corrections when None.

    Raises:
        DataError: a correction does not fit the file: another file's hash, a row that is not there, another given label.
        OutputError: the output exists, or is the old file.
    """
    target = target_of(data, output)
    require_free(target)
    return write_corrected(corrected(corrections, data, target, column))


def target_of(data: Path, output: Path | None) -> Path:
    """The path of the new file. Raises OutputError where that is the old file or has no folder."""
    target = output or corrected_name(data)
    if target.resolve() == data.resolve():
        raise OutputError.one(str(target), ONLY_NEW, "Give --output.")
    if not target.parent.is_dir():
        raise OutputError.one(str(target), f"the folder {target.parent} does not exist.")
    return target


def require_free(target: Path) -> None:
    """Raise OutputError where the path is taken."""
    if target.exists():
        raise OutputError.one(str(target), ONLY_NEW, "Give --output.")


def corrected(corrections: Sequence[Correction], data: Path, target: Path, column: str | None = None) -> Corrected:
    """The file with its corrections, in memory; nothing is written.

    Raises:
        DataError: see ``apply_corrections``.
    """
    payload = read_payload(data, str(data))
    table = table_of(payload)
    own = of_this_file(corrections, table)
    changes = changes_of(own, table, column)
    content = WRITERS[suffix_of(payload)](payload, table, changes)
    packed = gzip.compress(content, mtime=0) if target.suffix == ".gz" else content
    return Corrected(target, table, changes, packed, len(corrections) - len(own))


def write_corrected(new: Corrected) -> Applied:
    """Write the file, whole or not at all, and prove by reading it that only the corrected rows differ.

    Raises:
        TunesmithError: it does not read back as it should; nothing is left.
    """
    target, changes, table = new.target, new.changes, new.table
    part = target.with_name(f".{target.name}.part{''.join(target.suffixes)}")
    try:
        part.write_bytes(new.content)
        prove(table_of(read_payload(part, str(target))), table, changes)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return new.applied


def corrected_name(data: Path) -> Path:
    """``tickets.csv.gz`` becomes ``tickets.corrected.csv.gz``."""
    stem, dot, rest = data.name.partition(".")
    return data.with_name(f"{stem}.corrected{dot}{rest}")


def suffix_of(payload: Payload) -> str:
    """The format the file is in. Raises DataError where its name does not say."""
    suffix = ".parquet" if payload.data.startswith(b"PAR1") else payload.suffix
    if suffix not in WRITERS:
        raise DataError.one(payload.name, f"its name does not tell its format; {listed(WRITERS)} can be corrected.", "Rename it.")
    return suffix


def of_this_file(corrections: Sequence[Correction], table: Table) -> list[Correction]:
    """The corrections of this file; a diagnosis of several files has theirs in one list.

    Raises:
        DataError: there are none, since all were made for other files.
    """
    if not corrections:
        raise DataError.one(table.source, "The corrections file has no rows; there is nothing to apply.")
    own = [c for c in corrections if c.source_sha256 in ("", table.sha256)]
    if not own:
        other = corrections[0].source_sha256[:12]
        message = f"The corrections were made for another file (sha256 {other}..., this one has {table.sha256[:12]}...)."
        raise DataError.one(table.source, message, "Apply them to the file that was diagnosed, or diagnose this one.")
    return own


def changes_of(corrections: Sequence[Correction], table: Table, column: str | None) -> Changes:
    """What changes in the table. Raises DataError with the first rows that do not fit."""
    twice = [row_id for row_id, n in Counter(c.row_id for c in corrections).items() if n > 1]
    if twice:
        raise DataError.one(table.source, f"{len(twice)} rows are corrected twice: {listed(map(str, twice), SHOWN)}.")
    position = {row_id: i for i, row_id in enumerate(table.row_ids)}
    absent = [c.row_id for c in corrections if c.row_id not in position]
    if absent:
        shown = listed(map(str, absent), SHOWN)
        message = f"{len(absent)} corrections name rows that the file does not have: {shown}."
        raise DataError.one(table.source, message, "Apply them to the file that was diagnosed.")
    if column is not None and column not in table.columns:
        raise DataError.one(table.source, f"There is no column {column!r}, only {listed(table.columns)}.")
    names = [column] if column is not None else list(table.columns)
    misfits = {name: [c for c in corrections if not fits(table.columns[name][position[c.row_id]], c.given)] for name in names}
    fitting = [name for name in names if not misfits[name]]
    if len(fitting) != 1:
        refuse_column(table, corrections, misfits, fitting, position)
    cells = table.columns[fitting[0]]
    usual = next((cell for cell in cells if marker(cell) is None), None)
    old = {c.row_id: cells[position[c.row_id]] for c in corrections}
    like_what = {row_id: cell if marker(cell) is None else usual for row_id, cell in old.items()}
    relabelled = {c.row_id: like(like_what[c.row_id], c.proposed) for c in corrections if c.action == RELABEL}
    return Changes(fitting[0], relabelled, frozenset(c.row_id for c in corrections if c.action == REMOVE))


def name_of(cell: Any) -> str:
    """A cell as the name of a class; a list of classes as they are joined in a corrections file."""
    if isinstance(cell, list | tuple):
        return ", ".join(map(class_name, cell))
    return "" if marker(cell) is not None else class_name(cell)


def fits(cell: Any, given: str) -> bool:
    """Whether a cell holds the given label; where none is given, whether it says so: empty, or the -1 of unlabelled rows."""
    found = name_of(cell)
    return found == given or (not given and found == "-1")


def like(cell: Any, proposed: str) -> Any:
    """The proposed label as a cell of the type of the old one."""
    for kind in (bool, int, float):
        if isinstance(cell, kind):
            return proposed.lower() in ("true", "1") if kind is bool else kind(float(proposed))
    return proposed


def refuse_column(
    table: Table,
    corrections: Sequence[Correction],
    misfits: Mapping[str, list[Correction]],
    fitting: Sequence[str],
    position: Mapping[int, int],
) -> None:
    """Raise DataError: no column, or more than one, holds the labels that the corrections expect."""
    if fitting:
        message = f"The columns {listed(fitting)} both hold the given labels of the corrections."
        raise DataError.one(table.source, message, "Name one with --label.")
    nearest = min(misfits, key=lambda name: len(misfits[name]))
    problems = [
        Problem("data", f"{table.source}, {table.place(position[c.row_id])}",
                f"{nearest} is {name_of(table.columns[nearest][position[c.row_id]])!r}, the correction expects {c.given!r}.")
        for c in misfits[nearest][:SHOWN]
    ]  # fmt: skip
    message = f"{len(misfits[nearest])} of {len(corrections)} corrections do not fit the labels in the file."
    raise DataError([Problem("data", table.source, message, "Apply them to the file that was diagnosed."), *problems])


def prove(written: Table, table: Table, changes: Changes) -> None:
    """Raise TunesmithError where the written file is not the old one with exactly these changes."""
    keep = [i for i, row_id in enumerate(table.row_ids) if row_id not in changes.removed]
    expected = {name: [cells[i] for i in keep] for name, cells in table.columns.items()}
    expected[changes.column] = [changes.labels.get(table.row_ids[i], table.columns[changes.column][i]) for i in keep]
    if written.columns != expected:
        raise TunesmithError(f"{table.source} could not be corrected: what was written does not read back as it should.")


def delimited(payload: Payload, table: Table, changes: Changes) -> bytes:
    """The text with the lines of changed rows written anew, and every other line as it was."""
    assert table.lines is not None
    text = decode(payload).text
    delimiter = find_delimiter(text, "," if payload.suffix == ".csv" else "\t")
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
    touched = [i for i, row_id in enumerate(table.row_ids) if row_id in changes.labels or row_id in changes.removed]
    for i in reversed(touched):
        cells = {name: column[i] for name, column in table.columns.items()}
        start = table.lines[i] - 1
        end = start + 1 + sum(len(LINE_BREAK.findall(cell)) for cell in cells.values())
        old = "".join(lines[start:end])
        new = cells | {changes.column: changes.labels.get(table.row_ids[i])}
        removed = table.row_ids[i] in changes.removed
        lines[start:end] = [] if removed else [written_like(old, list(cells.values()), list(new.values()), delimiter)]
    return "".join(lines).encode("utf-8", "surrogatepass")


def written_like(old: str, before: Sequence[str], after: Sequence[str], delimiter: str) -> str:
    """A record with other cells, quoted in the way the old one was, with its line end."""
    content = old.rstrip("\r\n")
    for quoting in QUOTINGS:
        if record(before, delimiter, quoting) == content:
            return str(record(after, delimiter, quoting)) + old[len(content) :]
    return str(record(after, delimiter, csv.QUOTE_MINIMAL)) + old[len(content) :]


def record(cells: Sequence[str], delimiter: str, quoting: int) -> str | None:
    """The cells as one record; None where they cannot be written without quotes."""
    if quoting == csv.QUOTE_NONE:
        return None if any(delimiter in cell for cell in cells) else delimiter.join(cells)
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerow(cells)  # type: ignore[arg-type]
    return out.getvalue().removesuffix("\r\n")


def json_lines(payload: Payload, table: Table, changes: Changes) -> bytes:
    """The text with the changed lines written anew."""
    assert table.lines is not None
    lines = decode(payload).text.split("\n")
    line_of = dict(zip(table.row_ids, table.lines, strict=True))
    for row_id, label in changes.labels.items():
        row = json.loads(lines[line_of[row_id] - 1])
        lines[line_of[row_id] - 1] = json.dumps(with_label(row, table, changes.column, label), ensure_ascii=False)
    gone = {line_of[row_id] - 1 for row_id in changes.removed}
    return "\n".join(line for i, line in enumerate(lines) if i not in gone).encode("utf-8", "surrogatepass")


def with_label(row: Any, table: Table, column: str, label: Any) -> Any:
    """A row of JSON with its label replaced, by name or, in a list, by place."""
    if isinstance(row, dict):
        return row | {column: label}
    place = list(table.columns).index(column)
    return [*row[:place], label, *row[place + 1 :]]


def json_document(payload: Payload, table: Table, changes: Changes) -> bytes:
    """The document with the rows of its list changed. Raises DataError for documents organised by columns."""
    content = json.loads(decode(payload).text)
    keys = [key for key, value in content.items() if is_rows(value)] if isinstance(content, dict) else []
    if not isinstance(content, list) and len(keys) != 1:
        message = "A JSON file organised by columns cannot be corrected."
        raise DataError.one(payload.name, message, "Write it as a list of objects, or as JSON Lines.")
    rows = content if isinstance(content, list) else content[keys[0]]
    new = [
        with_label(row, table, changes.column, changes.labels[i]) if i in changes.labels else row
        for i, row in enumerate(rows) if i not in changes.removed
    ]  # fmt: skip
    whole = new if isinstance(content, list) else content | {keys[0]: new}
    return (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "surrogatepass")


def parquet(payload: Payload, table: Table, changes: Changes) -> bytes:
    """The table with its label column replaced, all types as they were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = pq.read_table(pa.BufferReader(payload.data))
    place = found.column_names.index(changes.column)
    field = found.schema.field(place)
    cells = [changes.labels.get(i, cell) for i, cell in enumerate(table.columns[changes.column])]
    found = found.set_column(place, field, pa.array(cells, type=field.type))
    found = found.take([i for i in range(found.num_rows) if i not in changes.removed])
    out = pa.BufferOutputStream()
    pq.write_table(found, out)
    return bytes(out.getvalue().to_pybytes())


WRITERS: dict[str, Callable[[Payload, Table, Changes], bytes]] = {
    ".csv": delimited,
    ".tsv": delimited,
    ".tab": delimited,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_document,
    ".parquet": parquet,
}
