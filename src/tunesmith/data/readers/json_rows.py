"""Reads json and jsonl files, and reports the line of every row that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import clip, listed, plural
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.readers.payload import Payload
from tunesmith.data.table import BadRow, Table
from tunesmith.errors import DataError

BROKEN_SHARE = 0.01
"""From this share of broken lines on, the file is rejected; fewer are dropped and counted."""


def read_jsonl(payload: Payload, encoding: str | None = None) -> Table:
    """Reads a file with one JSON object (or one list of cells) a line.

    Broken lines are dropped and counted if they are fewer than 1 %.
    """
    decoded = decode(payload, encoding)
    rows: list[Any] = []
    row_ids: list[int] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    errors: list[str] = []
    position = 0
    for number, line in enumerate(split_lines(decoded.text), start=1):
        if not line or line.isspace():
            continue
        try:
            rows.append(parse_json(line))
            row_ids.append(position)
            lines.append(number)
            if number in decoded.repaired:
                bad.append(BadRow(position, number, decoded.repaired[number], dropped=False))
        except ValueError as error:
            bad.append(BadRow(position, number, "broken JSON"))
            errors.append(f"line {number}: {explain(error)}")
        position += 1
    if errors and len(errors) >= BROKEN_SHARE * position:
        shown = "; ".join(errors[:5]) + ("; ..." if len(errors) > 5 else "")
        message = f"{len(errors)} of {plural(position, 'line', 'is', 'are')} broken JSON ({shown})."
        remedy = "Each line has to be one complete JSON object. Fewer than 1 % broken lines would be dropped."
        raise DataError.one(payload.name, message, remedy)
    columns, has_header = columns_from_rows(payload.name, rows, lines)
    return Table(
        source=payload.name,
        columns=columns,
        row_ids=row_ids,
        has_header=has_header,
        sha256=payload.sha256,
        rows_read=position,
        bad_rows=tuple(bad),
        notes=(*payload.notes, *decoded.notes),
        lines=lines,
    )


def read_json(payload: Payload, encoding: str | None = None) -> Table:
    """Reads a JSON list, one list under a key, columns, or JSON Lines. Raises DataError for broken JSON (with its place)."""
    decoded = decode(payload, encoding)
    try:
        content = parse_json(decoded.text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            table = read_jsonl(payload, encoding)
            return replace(table, notes=(*table.notes, "The file holds one JSON object a line, as .jsonl files do."))
        # Most files that end too early are truncated; other errors are mostly quotes and commas.
        is_truncated = error.pos >= len(error.doc.rstrip())
        remedy = "Keys and strings need double quotes, and there is no comma after the last item."
        remedy = "The file ends too early; it may be truncated." if is_truncated else remedy
        raise DataError.one(f"{payload.name}, line {error.lineno}", f"The JSON is broken: {explain(error)}.", remedy) from None
    except ValueError as error:
        raise DataError.one(payload.name, f"The JSON is broken: {explain(error)}.") from None
    columns, has_header, note = columns_from_document(payload.name, content)
    notes = tuple(filter(None, (*payload.notes, *decoded.notes, note)))
    return Table.whole(payload.name, columns, notes=notes, sha256=payload.sha256, has_header=has_header)


def parse_json(text: str) -> Any:
    """Parses JSON. Raises ValueError for broken JSON, a key that occurs twice in one object, and too deep nesting."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in one object")
    return unique


def explain(error: ValueError) -> str:
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)


def columns_from_document(name: str, content: object) -> tuple[dict[str, list[Any]], bool, str]:
    """Returns the columns of a whole JSON document, whether they have names, and a note on its structure."""
    if isinstance(content, list):
        return *columns_from_rows(name, content), ""
    if not isinstance(content, dict) or not content:
        raise DataError.one(name, f"The JSON is {kind(content)}, not a table.", "Write a list of objects, one a row.")
    if {"columns", "data"} <= content.keys():
        names = [str(column) for column in content["columns"]]
        return columns_from_rows(name, [dict(zip(names, row, strict=False)) for row in content["data"]])[0], True, ""
    tables = {key: value for key, value in content.items() if is_rows(value)}
    if len(tables) == 1:
        key, rows = next(iter(tables.items()))
        return *columns_from_rows(name, rows), f"The rows are the list under the key {key!r}."
    if len(tables) > 1:
        raise DataError.one(name, f"The file holds several tables: {listed(tables)}.", "Save each as a file of its own.")
    return parse_columns(name, content), True, "The file is organised by columns."


def is_rows(value: object) -> bool:
    """Returns whether a value is a non-empty list of objects, or of lists of one length, two or more."""
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(item, dict) for item in value):
        return True
    return all(isinstance(item, list) and len(item) > 1 for item in value) and len({len(item) for item in value}) == 1


def parse_columns(name: str, content: dict[str, Any]) -> dict[str, list[Any]]:
    """Reads columns from ``{"text": [...], "label": [...]}``, or with ``{"0": ...}`` instead of lists or around rows."""
    if all(isinstance(value, dict) for value in content.values()):
        keys = list(next(iter(content.values())))
        if all(list(value) == keys for value in content.values()):
            if all(key.isdecimal() for key in content) and not all(key.isdecimal() for key in keys):
                return columns_from_rows(name, list(content.values()))[0]  # pandas' orient="index"
            content = {column: list(value.values()) for column, value in content.items()}
    sizes = {column: len(value) for column, value in content.items() if isinstance(value, list)}
    if len(sizes) < len(content) or len(set(sizes.values())) != 1:
        shown = listed(f"{key} ({kind(value)})" for key, value in content.items())
        message = f"The JSON object is no table; it holds {shown}."
        raise DataError.one(name, message, "Write a list of objects, one a row, or columns of equal length.")
    if not next(iter(sizes.values())):
        raise DataError.one(name, "The file has column names and no rows.")
    return content


def columns_from_rows(name: str, rows: Sequence[Any], lines: Sequence[int] | None = None) -> tuple[dict[str, list[Any]], bool]:
    """Returns the columns of rows, and whether they have names.

    Rows are objects (a missing key is None) or lists of one length (columns without names).
    """
    if not rows:
        raise DataError.one(name, "The file holds no rows.")
    row_type = dict if isinstance(rows[0], dict) else list
    for i, row in enumerate(rows):
        if not isinstance(row, row_type) or (row_type is list and len(row) != len(rows[0])):
            place = f", line {lines[i]}" if lines else f", row {i}"
            expected = f"a list of {plural(len(rows[0]), 'cell')}" if isinstance(rows[0], list) else "an object"
            raise DataError.one(f"{name}{place}", f"The row is {kind(row)} where {expected} was expected: {clip(row)}.")
    if row_type is list:
        if not rows[0]:
            raise DataError.one(name, "The rows are empty lists.")
        return {f"column_{i + 1}": list(cells) for i, cells in enumerate(zip(*rows, strict=True))}, False
    names = dict.fromkeys(key for row in rows for key in row)
    if not names:
        raise DataError.one(name, "The rows are empty objects.")
    return {key: [row.get(key) for row in rows] for key in names}, True


def kind(value: object) -> str:
    """Names the type of a JSON value in words."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {dict: "an object", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
