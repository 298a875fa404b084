"""json and jsonl: rows out of objects, with the line of every row that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import clip, listed
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.payload import Payload
from tunesmith.data.table import BadRow, Table
from tunesmith.errors import DataError

# A file with fewer broken lines than this is used without them; more are an error, since the file is then not what it claims.
BROKEN_SHARE = 0.01


def read_jsonl(payload: Payload, encoding: str | None = None) -> Table:
    """The table of a file with one JSON object (or one list of cells) a line.

    Lines that are no JSON are dropped and counted where they are fewer than 1 %.

    Raises:
        DataError: 1 % of the lines or more are broken (the first five are named), or lines are neither objects nor lists.
    """
    decoded = decode(payload, encoding)
    rows: list[Any] = []
    row_ids: list[int] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    errors: list[str] = []
    position = 0
    for number, line in enumerate(decoded.text.split("\n"), start=1):
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
        refuse_broken(payload.name, errors, position)
    columns, has_header = columns_of(payload.name, rows, lines)
    return Table(
        source=payload.name, columns=columns, row_ids=row_ids, has_header=has_header, sha256=payload.sha256, rows_read=position,
        bad_rows=tuple(bad), notes=(*payload.notes, *decoded.notes), lines=lines,
    )  # fmt: skip


def read_json(payload: Payload, encoding: str | None = None) -> Table:
    """The table of a JSON file: a list of objects, a list of lists, one list under a key, columns, or JSON Lines.

    Raises:
        DataError: broken JSON (with line and column), or a shape that is no table.
    """
    decoded = decode(payload, encoding)
    try:
        content = parse_json(decoded.text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            table = read_jsonl(payload, encoding)
            note = "The file holds one JSON object a line, as .jsonl files do."
            return replace(table, notes=(*table.notes, note))
        raise DataError.one(
            f"{payload.name}, line {error.lineno}", f"The JSON is broken: {explain(error)}.", hint(error)
        ) from None
    except ValueError as error:
        raise DataError.one(payload.name, f"The JSON is broken: {explain(error)}.") from None
    columns, has_header, note = table_of(payload.name, content)
    size = len(next(iter(columns.values())))
    return Table(
        source=payload.name, columns=columns, row_ids=list(range(size)), has_header=has_header, sha256=payload.sha256,
        rows_read=size, notes=tuple(filter(None, (*payload.notes, *decoded.notes, note))),
    )  # fmt: skip


def parse_json(text: str) -> Any:
    """The value. Raises ValueError for broken JSON, for a key that occurs twice in one object and for too deep nesting."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in one object")
    return found


def explain(error: ValueError) -> str:
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)


def hint(error: json.JSONDecodeError) -> str:
    """What usually causes a broken file of this kind."""
    if error.pos >= len(error.doc.rstrip()):
        return "The file ends too early; it may be truncated."
    return "Keys and strings need double quotes, and there is no comma after the last item."


def refuse_broken(name: str, errors: list[str], lines: int) -> None:
    shown = "; ".join(errors[:5]) + ("; ..." if len(errors) > 5 else "")
    message = f"{len(errors)} of {lines} lines are broken JSON ({shown})."
    raise DataError.one(
        name, message, "Each line has to be one complete JSON object. Fewer than 1 % broken lines would be dropped."
    )


def table_of(name: str, content: Any) -> tuple[dict[str, list[Any]], bool, str]:
    """The columns of a whole JSON document, whether they have names, and a note on the shape."""
    if isinstance(content, list):
        return *columns_of(name, content), ""
    if not isinstance(content, dict) or not content:
        raise DataError.one(name, f"The JSON is {kind(content)}, not a table.", "Write a list of objects, one a row.")
    if {"columns", "data"} <= content.keys():
        names = [str(column) for column in content["columns"]]
        return columns_of(name, [dict(zip(names, row, strict=False)) for row in content["data"]])[0], True, ""
    tables = {key: value for key, value in content.items() if is_rows(value)}
    if len(tables) == 1:
        key, rows = next(iter(tables.items()))
        return *columns_of(name, rows), f"The rows are the list under the key {key!r}."
    if len(tables) > 1:
        message = f"The file holds several tables: {listed(tables)}."
        raise DataError.one(name, message, "Save each as a file of its own.")
    return by_columns(name, content), True, "The file is organised by columns."


def is_rows(value: Any) -> bool:
    """True for a non-empty list of objects or of lists that are rows (of the same length, with a string in them)."""
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(item, dict) for item in value):
        return True
    return all(isinstance(item, list) and len(item) > 1 for item in value) and len({len(item) for item in value}) == 1


def by_columns(name: str, content: dict[str, Any]) -> dict[str, list[Any]]:
    """Columns out of ``{"text": [...], "label": [...]}``, or of the same with ``{"0": ..., "1": ...}`` instead of lists."""
    if all(isinstance(value, dict) for value in content.values()):
        keys = list(next(iter(content.values())))
        if all(list(value) == keys for value in content.values()):
            content = {column: list(value.values()) for column, value in content.items()}
    sizes = {column: len(value) for column, value in content.items() if isinstance(value, list)}
    if len(sizes) < len(content) or len(set(sizes.values())) != 1:
        found = listed(f"{key} ({kind(value)})" for key, value in content.items())
        message = f"The JSON object is no table; it holds {found}."
        raise DataError.one(name, message, "Write a list of objects, one a row, or columns of equal length.")
    if not next(iter(sizes.values())):
        raise DataError.one(name, "The file has column names and no rows.")
    return content


def columns_of(name: str, rows: Sequence[Any], lines: Sequence[int] | None = None) -> tuple[dict[str, list[Any]], bool]:
    """The columns of rows that are objects (a missing key is None) or lists of one length (columns without names)."""
    if not rows:
        raise DataError.one(name, "The file holds no rows.")
    wanted = dict if isinstance(rows[0], dict) else list
    for i, row in enumerate(rows):
        if not isinstance(row, wanted) or (wanted is list and len(row) != len(rows[0])):
            place = f", line {lines[i]}" if lines else f", row {i}"
            expected = (
                "an object" if wanted is dict else f"a list of {len(rows[0])} cells" if isinstance(rows[0], list) else "an object"
            )
            raise DataError.one(f"{name}{place}", f"The row is {kind(row)} where {expected} was expected: {clip(row)}.")
    if wanted is list:
        if not rows[0]:
            raise DataError.one(name, "The rows are empty lists.")
        return {f"column_{i + 1}": list(cells) for i, cells in enumerate(zip(*rows, strict=True))}, False
    names = dict.fromkeys(key for row in rows for key in row)
    if not names:
        raise DataError.one(name, "The rows are empty objects.")
    return {key: [row.get(key) for row in rows] for key in names}, True


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {dict: "an object", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
