"""Applies corrections to a data file: writes a new file, and checks by reading it that only the corrected rows differ."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tunesmith.data.cells import clip, listed
from tunesmith.data.corrections.changes import LabelChanges, find_changes, require_few
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.readers.declared_classes import classes_of_metadata
from tunesmith.data.readers.dialect import find_delimiter, is_blank
from tunesmith.data.readers.encoding import decode, has_mark
from tunesmith.data.readers.json_rows import is_rows
from tunesmith.data.readers.lines import LINE_END
from tunesmith.data.readers.payload import Payload, read_payload
from tunesmith.data.readers.plain_cells import SURROGATE
from tunesmith.data.readers.read import column_cells, parse_table
from tunesmith.data.readers.written import as_written, quoted_if_new
from tunesmith.data.table import Table
from tunesmith.disk import require_file_place, whole_file
from tunesmith.errors import DataError, OutputError, TunesmithError

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")
"""A line with its end."""
EXISTS = "the file exists; corrected rows are only written to a new one."
QUOTINGS = (csv.QUOTE_NONE, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


@dataclass(frozen=True)
class AppliedCorrections:
    """The written file, its counts, and the number of corrections that belong to other files."""

    path: Path
    n_relabelled: int
    n_removed: int
    n_rows: int
    n_of_other_files: int


@dataclass(frozen=True)
class CorrectedFile:
    """A corrected file in memory: the path to write, the old rows, the changes, and the bytes, compressed if so named."""

    target: Path
    table: Table
    changes: LabelChanges
    content: bytes
    n_of_other_files: int

    @property
    def is_written(self) -> bool:
        """Whether exactly this file exists already."""
        return self.target.is_file() and self.target.read_bytes() == self.content

    @property
    def applied(self) -> AppliedCorrections:
        n_removed, n_rows = len(self.changes.removed), len(self.table)
        return AppliedCorrections(self.target, len(self.changes.labels), n_removed, n_rows - n_removed, self.n_of_other_files)


def apply_corrections(
    corrections: Sequence[Correction],
    data: Path,
    output: Path | None = None,
    column: str | None = None,
    *,
    allow_many: bool = False,
    labels: Mapping[str, Any] | None = None,
) -> AppliedCorrections:
    """Writes the corrected data to ``output``, or beside the old file as ``NAME.corrected.SUFFIX``.

    Args:
        column: the label column; None finds it by the given labels of the corrections.
        allow_many: changes more than ``MANY`` of the labels, or every label of a class, as well.
        labels: the map by which the corrections' classes were made of the labels in the file (``data.labels``).

    Raises:
        DataError: a correction does not fit the file: another file's hash, a missing row, another given label; or they are many.
        OutputError: the output exists, or is the old file.
    """
    target = output_path(data, output)
    require_free(target)
    return write_corrected(correct_file(corrections, data, target, column, allow_many=allow_many, labels=labels))


def output_path(data: Path, output: Path | None) -> Path:
    """Returns the path of the new file. Raises OutputError if it is the old file, or its folder does not exist."""
    stem, dot, rest = data.name.partition(".")
    target = output or data.with_name(f"{stem}.corrected{dot}{rest}")
    if target.resolve() == data.resolve():
        raise OutputError.one(str(target), EXISTS, "Give another output path.")
    require_file_place(target)
    return target


def require_free(target: Path) -> None:
    if target.exists():
        raise OutputError.one(str(target), EXISTS, "Give another output path.")


def correct_file(
    corrections: Sequence[Correction],
    data: Path,
    target: Path,
    column: str | None = None,
    *,
    allow_many: bool = False,
    labels: Mapping[str, Any] | None = None,
) -> CorrectedFile:
    """Builds the corrected file in memory; writes nothing. Raises DataError as ``apply_corrections`` does."""
    payload = read_payload(data, str(data))
    table = parse_table(payload)
    changes, n_of_other_files = checked_changes(corrections, table, column, allow_many=allow_many, labels=labels)
    suffix = ".parquet" if payload.data.startswith(b"PAR1") else payload.suffix
    if suffix not in WRITERS:
        raise DataError.one(payload.name, f"its name does not tell its format; {listed(WRITERS)} can be corrected.", "Rename it.")
    if WRITERS[suffix] is write_delimited:
        changes = replace(changes, labels=quoted_if_new(changes.labels, table.columns[changes.column]))
    content = WRITERS[suffix](payload, table, changes)
    packed = gzip.compress(content, mtime=0) if target.suffix == ".gz" else content
    return CorrectedFile(target, table, changes, packed, n_of_other_files)


def checked_changes(
    corrections: Sequence[Correction],
    table: Table,
    column: str | None = None,
    *,
    allow_many: bool = False,
    labels: Mapping[str, Any] | None = None,
) -> tuple[LabelChanges, int]:
    """Computes the changes of a table, and counts the corrections that were made for other files.

    Raises DataError as ``apply_corrections`` does.
    """
    if not corrections:
        raise DataError.one(table.source, "The corrections file has no rows; there is nothing to apply.")
    own = [c for c in corrections if c.source_sha256 in ("", table.sha256)]
    if not own:
        other = corrections[0].source_sha256[:12]
        message = f"The corrections were made for another file (sha256 {other}..., this one has {table.sha256[:12]}...)."
        raise DataError.one(table.source, message, "Apply them to the file that was diagnosed, or diagnose this one.")
    changes = find_changes(own, table, column, labels or {})
    if not allow_many:
        require_few(changes, table)
    return changes, len(corrections) - len(own)


def write_corrected(new: CorrectedFile) -> AppliedCorrections:
    """Writes the file, whole or not at all. Raises TunesmithError if it does not read back as it should; nothing is left."""
    target, changes, table = new.target, new.changes, new.table
    with whole_file(target, len(new.content)) as part:
        part.write_bytes(new.content)
        written = parse_table(read_payload(part, str(target)))
        keep = [i for i, row_id in enumerate(table.row_ids) if row_id not in changes.removed]
        expected = {name: [cells[i] for i in keep] for name, cells in table.columns.items()}
        expected[changes.column] = [changes.labels.get(table.row_ids[i], table.columns[changes.column][i]) for i in keep]
        if written.columns.keys() != expected.keys() or not all(map(same_cells, written.columns.values(), expected.values())):
            raise TunesmithError(f"{table.source} could not be corrected: the new file does not read back as expected.")
    return new.applied


def same_cells(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Returns whether two columns hold the same cells; NaN equals NaN."""
    return len(first) == len(second) and all(a == b or (a != a and b != b) for a, b in zip(first, second, strict=True))


def write_delimited(payload: Payload, table: Table, changes: LabelChanges) -> bytes:
    """Rewrites the lines of changed rows with their old quoting and line ends; keeps every other line as it is."""
    assert table.lines is not None
    text = decode(payload).text
    delimiter = find_delimiter(text, "," if payload.suffix == ".csv" else "\t")
    lines, names = LINE.findall(text), [*table.columns]
    touched = [i for i, row_id in enumerate(table.row_ids) if row_id in changes.labels or row_id in changes.removed]
    for i in reversed(touched):
        cells = dict(zip(names, as_written([table.columns[name][i] for name in names], names), strict=True))
        start = table.lines[i] - 1
        end = start + 1 + sum(len(LINE_END.findall(cell)) for cell in cells.values())
        old = "".join(lines[start:end])
        content = old.rstrip("\r\n")
        quoting, margin = written_as(list(cells.values()), delimiter, content)
        if table.row_ids[i] in changes.removed:
            lines[start:end] = []
            continue
        (label,) = as_written([changes.labels[table.row_ids[i]]], names)
        changed = list((cells | {changes.column: label}).values())
        new = record(changed, delimiter, quoting) or record(changed, delimiter, csv.QUOTE_MINIMAL)
        lines[start:end] = [f"{new}{margin}{old[len(content) :]}"]
    mark = "\ufeff" if has_mark(payload.data) else ""  # without it a spreadsheet takes UTF-8 for another encoding
    return (mark + "".join(lines)).encode("utf-8", "surrogatepass")


def written_as(cells: Sequence[str], delimiter: str, content: str) -> tuple[int, str]:
    """Returns the quoting of a record's text, and the empty cells of a spreadsheet's margin that follow it."""
    for quoting in QUOTINGS:
        text = record(cells, delimiter, quoting)
        if text is not None and content.startswith(text) and is_blank(content[len(text) :].split(delimiter)):
            return quoting, content[len(text) :]
    return csv.QUOTE_MINIMAL, ""


def record(cells: Sequence[str], delimiter: str, quoting: int) -> str | None:
    """Writes the cells as one record; None if they cannot be written without quotes."""
    if quoting == csv.QUOTE_NONE:
        return None if any(delimiter in cell for cell in cells) else delimiter.join(cells)
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerow(cells)  # type: ignore[arg-type]
    return out.getvalue().removesuffix("\r\n")


def write_json_lines(payload: Payload, table: Table, changes: LabelChanges) -> bytes:
    """Rewrites the changed lines and keeps every other line as it is."""
    assert table.lines is not None
    lines = LINE.findall(decode(payload).text)
    line_of = dict(zip(table.row_ids, table.lines, strict=True))
    for row_id, label in changes.labels.items():
        old = lines[line_of[row_id] - 1]
        new = json_text(with_label(json.loads(old), table, changes.column, label))
        lines[line_of[row_id] - 1] = new + old[len(old.rstrip("\r\n")) :]
    gone = {line_of[row_id] - 1 for row_id in changes.removed}
    return "".join(line for i, line in enumerate(lines) if i not in gone).encode()


def json_text(content: Any, indent: int | None = None) -> str:
    """Formats JSON with characters as they are, or with escapes where a text holds half a surrogate pair."""
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    return json.dumps(content, indent=indent) if SURROGATE.search(text) else text


def with_label(row: dict[str, Any] | list[Any], table: Table, column: str, label: object) -> dict[str, Any] | list[Any]:
    """Replaces the label of a JSON row: by name in an object, by position in a list."""
    if isinstance(row, dict):
        return row | {column: label}
    i = list(table.columns).index(column)
    return [*row[:i], label, *row[i + 1 :]]


def write_json_document(payload: Payload, table: Table, changes: LabelChanges) -> bytes:
    """Changes the rows of the document's list. Raises DataError for documents organised by columns."""
    content = json.loads(decode(payload).text)
    keys = [key for key, value in content.items() if is_rows(value)] if isinstance(content, dict) else []
    if not isinstance(content, list) and len(keys) != 1:
        message = "A JSON file organised by columns cannot be corrected."
        raise DataError.one(payload.name, message, "Write it as a list of objects, or as JSON Lines.")
    rows = content if isinstance(content, list) else content[keys[0]]
    new = [
        with_label(row, table, changes.column, changes.labels[i]) if i in changes.labels else row
        for i, row in enumerate(rows)
        if i not in changes.removed
    ]
    whole = new if isinstance(content, list) else content | {keys[0]: new}
    return f"{json_text(whole, indent=1)}\n".encode()


def write_parquet(payload: Payload, table: Table, changes: LabelChanges) -> bytes:
    """Replaces the label column and keeps all types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pq.read_table(pa.BufferReader(payload.data))
    position = content.column_names.index(changes.column)
    field = content.schema.field(position)
    names = classes_of_metadata(content.schema.metadata).get(changes.column, [])
    cells = column_cells(content.column(position), payload.name)
    for i, label in changes.labels.items():
        cells[i] = stored_label(label, field.type, names, payload.name)
    content = content.set_column(position, field, pa.array(cells, type=field.type))
    content = content.take([i for i in range(content.num_rows) if i not in changes.removed])
    out = pa.BufferOutputStream()
    pq.write_table(content, out)
    return bytes(out.getvalue().to_pybytes())


def stored_label(label: Any, kind: Any, names: Sequence[str], source: str) -> Any:
    """Converts a label to the type of its parquet column: the number of a declared class, bytes, or a decimal number."""
    import pyarrow as pa

    if names:
        if label not in names:
            message = f"The file declares the classes {listed(names)}, and a correction proposes {clip(label)}."
            raise DataError.one(source, message, "Correct the proposed label.")
        return names.index(label)
    if pa.types.is_decimal(kind):
        return Decimal(str(label))
    return label.encode() if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else label


WRITERS: dict[str, Callable[[Payload, Table, LabelChanges], bytes]] = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), write_delimited),
    **dict.fromkeys((".jsonl", ".ndjson"), write_json_lines),
    ".json": write_json_document,
    ".parquet": write_parquet,
}
