"""Changes small inputs in one or a few places: rows, text, bytes and recipes. Used by mutated_inputs.py.

Every mutation is a function of its subject and a random generator; it returns the changed subject, or None where it does not fit.
"""

# ruff: noqa: E501 - tables of inputs
from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from typing import Any

from input_seeds import Row, names_of

SURROGATE = "\ud83d"
LONG = "long " * 20_000
CELLS: tuple[Any, ...] = (
    None, "", " ", "\t", "null", "nan", "N/A", "-", True, False, 0, -1, 2**63, 2**64, 10**30, -(10**400), 1.5, -0.0, 1e308,
    float("nan"), float("inf"), -float("inf"), "NaN", "1e999", "0x1F", "１２", "1,5", "1.000,00", "50 %", [], [None], [[]], [[[1]]],
    ["a", 1, None], [0, 1, 0], [0.5, float("nan")], {}, {"a": None}, {"role": "user"}, {"role": 1, "content": []},
    {"from": None, "value": {}}, {"role": "assistant", "content": None}, {"": ""}, {"\x00": 1}, "{}", "[]", "[[", '{"a":', "['a', 'b']",
    '[{"role": "user", "content": "hi"}]', '[{"role": "tool"}]', SURROGATE, "a" + SURROGATE, "\x00", "a\x00b", "\x1b[31m", "\x07", "\u202e",
    "\u200b", "\ufeff", "\u2028", "e\u0301", "é", "\U0010ffff", "\ufffe", "line\nbreak", "a\r\nb", '"', '""', "'", '"quoted', "a,b\tc;d|e",
    "=1+1", "@SUM(A1)", "<script>", "[CLS] [SEP]", "<|im_end|>", "{{ 7 * 7 }}", "{% for %}", "%s %d {0}", "../../etc/passwd", "x" * 3_000,
    LONG, "😀" * 500, "ﷺ" * 50, "Z͑ͫ̓" * 40, "2024-01-01", "12:30", "#REF!", "train", "test", "other",
)  # fmt: skip
NAMES: tuple[str, ...] = (
    "", " ", "text", "label", "labels", "Text", "TEXT ", "\ufefftext", "pair", "score", "id", "group", "split", "messages", "prompt", "completion",
    "anchor", "positive", "negative", "negative_1", "_id", "0", "1.5", "nan", "a.b", "a\nb", "a\x00b", SURROGATE, "x" * 2_000, "row_id", "__class__",
    "column_1", "étiquette", "étiquette".encode().decode("latin-1"), "ID", "query-id", "tokens", "ner_tags", "conversations", "embedding",
    "entities", "answers", "context", "annotations", "prediction", "weight",
)  # fmt: skip

RowMutation = Callable[[list[Row], random.Random], list[Row] | None]


def some(rows: list[Row], draw: random.Random) -> list[Row]:
    """Draws one row, a few rows, or all."""
    return draw.choice([[draw.choice(rows)], draw.sample(rows, min(len(rows), 5)), rows])


def put_cell(rows: list[Row], draw: random.Random) -> list[Row]:
    name, cell = draw.choice(names_of(rows)), draw.choice(CELLS)
    for row in some(rows, draw):
        row[name] = copy.deepcopy(cell)
    return rows


def put_cells(rows: list[Row], draw: random.Random) -> list[Row]:
    """Puts different cells into some rows of a column, so that its types are mixed."""
    name = draw.choice(names_of(rows))
    for row in some(rows, draw):
        row[name] = copy.deepcopy(draw.choice(CELLS))
    return rows


def put_inside(rows: list[Row], draw: random.Random) -> list[Row] | None:
    """Changes a value inside of a list or an object: a message, its role, one of several negatives."""
    places = [(row, name) for row in rows for name, cell in row.items() if isinstance(cell, list | dict) and cell]
    if not places:
        return None
    row, name = draw.choice(places)
    for node in (
        [row[name]] if draw.random() < 0.7 else [r[name] for r in rows if isinstance(r.get(name), list | dict) and r[name]]
    ):
        while True:
            key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if not isinstance(node[key], list | dict) or not node[key] or draw.random() < 0.3:
                break
            node = node[key]
        if draw.random() < 0.3:
            del node[key]
        else:
            node[key] = copy.deepcopy(draw.choice(CELLS))
    return rows


def wrap_cells(rows: list[Row], draw: random.Random) -> list[Row]:
    """Nests cells in a list, in an object, or as deep as a parser hardly follows."""
    name = draw.choice(names_of(rows))
    wrap = draw.choice([lambda cell: [cell], lambda cell: {"value": cell}, lambda cell: [cell, cell], deep])
    for row in some(rows, draw):
        row[name] = wrap(row.get(name))
    return rows


def deep(cell: Any) -> Any:
    for _ in range(60):
        cell = [cell]
    return cell


def rename_column(rows: list[Row], draw: random.Random) -> list[Row]:
    old, new = draw.choice(names_of(rows)), draw.choice(NAMES)
    return [{new if name == old else name: cell for name, cell in row.items()} for row in rows]


def swap_columns(rows: list[Row], draw: random.Random) -> list[Row] | None:
    if len(names_of(rows)) < 2:
        return None
    a, b = draw.sample(names_of(rows), 2)
    return [{**row, a: row.get(b), b: row.get(a)} for row in rows]


def reverse_columns(rows: list[Row], draw: random.Random) -> list[Row]:
    return [dict(reversed(row.items())) for row in rows]


def drop_key(rows: list[Row], draw: random.Random) -> list[Row]:
    name = draw.choice(names_of(rows))
    for row in some(rows, draw):
        row.pop(name, None)
    return rows


def add_column(rows: list[Row], draw: random.Random) -> list[Row]:
    name, cells = draw.choice(NAMES), draw.choice([list(CELLS), [draw.choice(CELLS)], ["a", "b"], [0, 1]])
    return [{**row, name: copy.deepcopy(cells[i % len(cells)])} for i, row in enumerate(rows)]


def add_many_columns(rows: list[Row], draw: random.Random) -> list[Row]:
    return [{**row, **{f"c{k}": draw.choice(("", "1", "a b c")) for k in range(400)}} for row in rows]


def repeat_rows(rows: list[Row], draw: random.Random) -> list[Row]:
    return [copy.deepcopy(row) for row in draw.choice([[draw.choice(rows)] * len(rows), rows * 3, [*rows, rows[0]]])]


def few_rows(rows: list[Row], draw: random.Random) -> list[Row]:
    return rows[: draw.choice((0, 1, 2, 3, 5, 11))]


def empty_rows(rows: list[Row], draw: random.Random) -> list[Row]:
    empty: Row = draw.choice([{}, dict.fromkeys(names_of(rows)), dict.fromkeys(names_of(rows), "")])
    return [dict(empty) if draw.random() < 0.3 else row for row in rows]


def one_value(rows: list[Row], draw: random.Random) -> list[Row]:
    """Makes a column constant, or all of its values different."""
    name, cell = draw.choice(names_of(rows)), draw.choice(rows).get(draw.choice(names_of(rows)))
    constant = draw.random() < 0.5
    return [{**row, name: copy.deepcopy(cell) if constant else f"value {i}"} for i, row in enumerate(rows)]


ROWS: tuple[RowMutation, ...] = (
    put_cell, put_cell, put_cell, put_cells, put_cells, put_inside, put_inside, put_inside, wrap_cells, rename_column, rename_column,
    swap_columns, reverse_columns, drop_key, add_column, add_many_columns, repeat_rows, few_rows, empty_rows, one_value,
)  # fmt: skip


# --- text and bytes ------------------------------------------------------------------------------------------------------------

ENCODINGS = (
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "latin-1",
    "cp1252",
    "cp1251",
    "shift_jis",
    "gb18030",
    "utf-8-sig",
    "utf-7",
    "cp037",
)
PIECES = ('"', "'", ",", "\t", ";", "\\", "\x00", "\ufeff", "\n", "\r", "\r\n", "\n\n\n", "\u2028", "\x85", "\x1a", "{", "}", "[", "]", "null", "#", "é", '""', "&amp;", "NaN", "Infinity")  # fmt: skip


def change_text(text: str, draw: random.Random) -> tuple[bytes, str]:
    """Changes line ends, quotes, delimiters, single lines, or the encoding."""
    lines = text.split("\n")
    at, piece = draw.randrange(len(text) + 1), draw.choice(PIECES)
    line = draw.randrange(len(lines))
    action = draw.choice(
        (
            "insert",
            "insert",
            "insert",
            "ends",
            "encoding",
            "delimiter",
            "cut line",
            "repeat line",
            "blank",
            "header",
            "drop",
            "quotes",
            "join",
        )
    )
    if action == "insert":
        return as_utf8(text[:at] + piece + text[at:]), f"{piece!r} inserted at {at}"
    if action == "encoding":
        name = draw.choice(ENCODINGS)
        return text.encode(name, "replace"), f"encoded as {name}"
    if action == "ends":
        ends = draw.choice([["\r\n"], ["\r"], ["\n", "\r\n"], ["\n", "\r", "\r\n"], ["\u2028"], ["\n\r"]])
        return as_utf8("".join(part + draw.choice(ends) for part in lines)), f"lines end with {ends}"
    if action == "delimiter":
        old, new = draw.choice([(",", ";"), (",", "\t"), ("\t", ","), (",", "|"), (",", ", "), (":", "="), ('"', "'")])
        return as_utf8(text.replace(old, new)), f"{old!r} replaced by {new!r}"
    if action == "quotes":
        return as_utf8(re.sub('"', lambda _: draw.choice(('"', "", "“")), text)), "quotes changed"
    edits = {
        "cut line": [lines[line][: len(lines[line]) // 2]],
        "repeat line": [lines[line]] * draw.choice((2, 40)),
        "blank": ["", "   ", "\t", lines[line]],
        "header": [lines[0]],
        "drop": [],
        "join": [lines[line] + lines[line]],
    }
    return as_utf8("\n".join([*lines[:line], *edits[action], *lines[line + 1 :]])), f"{action}: line {line + 1}"


def as_utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def change_bytes(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Flips, inserts, deletes, repeats or overwrites bytes, or cuts the content."""
    at, n = draw.randrange(len(content) + 1), draw.choice((1, 1, 2, 7, 40, 300))
    action = draw.choice(("flip", "flip", "insert", "delete", "cut", "zero", "repeat", "empty", "random", "swap"))
    if action == "flip":
        changed = bytearray(content)
        for _ in range(n):
            if changed:
                changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        return bytes(changed), f"{n} bits flipped"
    middle = {
        "insert": draw.randbytes(n) + content[at : at + n],
        "delete": b"",
        "zero": bytes(n),
        "repeat": content[at : at + n] * 30,
        "random": draw.randbytes(n),
        "swap": content[at : at + n][::-1],
    }
    if action in middle:
        return content[:at] + middle[action] + content[at + n :], f"{action}: {n} bytes at {at}"
    return (content[:at], f"cut at {at}") if action == "cut" else (b"", "emptied")


# --- recipes -------------------------------------------------------------------------------------------------------------------

PATHS = (
    ".", "..", "/", "", " ", "~", "~nobody/x", "missing.csv", "folder", "empty", "loop", "dangling", "pipe", "/dev/null", "/dev/zero", "recipe.yaml",
    "train.csv/", "train.csv/x", "a\x00b", "x" * 300, "x/" * 3_000, "hub:", "hub:no/such", "hub:a/b/c:d:e", "builtin:", "builtin:nothing",
    "builtin:minilm", "builtin:handbook", "builtin:support_train", "file:///etc/passwd", "http://localhost/x.csv", "*.csv", "auto", "\ud83d", "é.csv",
    "table in memory", "none", "null",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 1.5, 0.0, -0.0, 1e-300, 1e308, 10**12, 10**30, -(10**30), float("nan"), float("inf"), -float("inf"), "", " ", "x",
    "1e-4", "0.5", "-1", "True", "none", "auto", "balanced", "last 2", "last 0", "last -1", "last 10000000000000000000000", "head", "((", "[", "(a+)+$", "\\", "*", "a\x00b",
    "\ud83d", "\u2028", "é", "text", "label", "tickets" * 300, [], {}, [[]], [None], ["text"], ["text", "text"], ["text", 1], [1, 2], [-1], [0.0, 1.0], [1.0, 0.0],
    [float("nan"), 1.0], {"a": 1}, {"a": {"b": {}}}, {1: 2}, {None: 1}, {"": ""}, {"praise": -1}, {"praise": 1e308, "complaint": 0, "question": 1}, "train", "validation", "test",
)  # fmt: skip
KEYS = (
    "",
    " ",
    "x",
    "Train",
    "lr",
    "epochs",
    "batch_size",
    "data",
    "train",
    "text",
    "\ud83d",
    "a\x00b",
    "a.b",
    "x" * 500,
    "tasks",
    "seed",
)
YAML_PIECES = (
    "\t", ": ", "- ", "&a ", "*a", "!!python/object/apply:os.system ['true']", "!!binary x", "!!set {a}", "? ", "---\n", "...\n", "%YAML 1.1\n", "<<: *a\n",
    "# ", "'", '"', "|\n", ">\n", "{", "}", "[", "]", "\x00", "\x07", "\x85", "\ufeff", "\u2028", "@", "`", "task: sft\n", "data: 3\n", "2024-01-01", "0o17",
    "1_000", "~", "=", "yes", ".inf", "12:30:45", "a: &b [*b]\n", "x: &x {y: *x}\n",
)  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for path in [path] if path] + [place for key, value in items for place in places(value, (*path, key))]


def change_recipe(recipe: Row, draw: random.Random, all_keys: list[tuple[str, ...]]) -> str:
    """Replaces, removes, renames or adds one key of a recipe, in place. Returns what was done."""
    action = draw.choice(("add", "add", "add", "replace", "replace", "path", "path", "remove", "rename", "unknown"))
    path = draw.choice([place for place in places(recipe) if action != "rename" or isinstance(place[-1], str)] or [("task",)])
    if action == "add":
        path = draw.choice(all_keys)
    elif action == "path":
        path = draw.choice((("data", "train"), ("data", "validation"), ("data", "test"), ("data", "also"), ("model", "name"), ("output",), ("evaluate", "retrieval"), ("evaluate", "general"), ("sft", "chat_template")))  # fmt: skip
    parent = recipe
    for key in path[:-1]:
        if isinstance(parent, dict) and not isinstance(parent.get(key), dict | list):
            parent[key] = {}
        parent = parent[key]
    last, value = path[-1], copy.deepcopy(draw.choice(PATHS if action == "path" else VALUES))
    if action == "remove":
        del parent[last]
    elif action == "rename" and isinstance(parent, dict):
        last = draw.choice(KEYS)
        parent[last] = parent.pop(path[-1], None)
    elif action == "unknown" and isinstance(parent, dict):
        parent[draw.choice(KEYS)] = value
    elif isinstance(parent, dict) or (isinstance(last, int) and last < len(parent)):
        parent[last] = [value] if last == "also" and action == "path" else value
    return f"recipe: {action} {'.'.join(map(str, path))[:80]} {str(value)[:40]!r}"


def change_yaml(text: str, draw: random.Random) -> tuple[bytes, str]:
    """Inserts a piece of YAML at a line or anywhere."""
    lines, piece = text.splitlines(keepends=True), draw.choice(YAML_PIECES)
    if draw.random() < 0.5:
        at = draw.randrange(len(lines) + 1)
        return as_utf8("".join([*lines[:at], piece, *lines[at:]])), f"recipe: {piece!r} before line {at + 1}"
    at = draw.randrange(len(text) + 1)
    return as_utf8(text[:at] + piece + text[at:]), f"recipe: {piece!r} at {at}"
