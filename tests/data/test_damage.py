"""Every kind of damaged file: what is read all the same, and the exact message where nothing can be read."""

from __future__ import annotations

import codecs
import gzip
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.readers.read import read_table
from tunesmith.errors import DataError

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.csv", b"", "a.csv: The file is empty."),
    "blank": ("a.csv", b" \n\n", "a.csv: The file holds nothing but white space."),
    "header only": ("a.csv", b"text,label\n", "a.csv: The file has a header (text, label) and no rows."),
    "excel": (
        "a.csv", b"PK\x03\x04" + b"\x00" * 50,
        "a.csv: The file is not text: it is a zip archive (an Excel workbook is one), whatever its suffix. "
        "Save the table as csv, tsv, json, jsonl or parquet (each also .gz).",
    ),
    "binary": (
        "a.csv", bytes(range(256)) * 4,
        "a.csv: The file is not text: 108 of its first 1,024 bytes are control bytes. "
        "Save the table as csv, tsv, json, jsonl or parquet (each also .gz), "
        "and set data.encoding if it is text in a rare encoding.",
    ),
    "truncated gzip": (
        "a.csv.gz", gzip.compress(b"text,label\n" + os.urandom(500).hex().encode() + b",1\n")[:-20],
        "a.csv.gz: The gzip file is truncated: it ends before its own end mark. Copy or download it again.",
    ),
    "no gzip": (
        "a.csv.gz", b"text,label\na,b\n",
        "a.csv.gz: The file is named .gz but is no gzip file. Remove .gz from its name if it is not compressed.",
    ),
    "duplicate columns": (
        "a.csv", b"text,label,text\na b,1,c d\n",
        "a.csv, line 1: The header names a column more than once: text. Give each column its own name.",
    ),
    "mostly ragged": (
        "a.csv", b"text,label\na,b,c\nd,e,f\ng,h,i\n",
        "a.csv, line 2: 3 of 3 rows do not fit: the header names 2 columns (text, label), most rows have 3 fields. "
        "Quote the fields that contain the delimiter, or correct the header.",
    ),
    "russian": (
        "a.csv", "text,label\nпривет как дела,1\nхорошо спасибо,0\n".encode("cp1251"),
        "a.csv: The file is neither UTF-8 nor Western European text: 100 % of the letters on such lines are not Latin. "
        "Save it as UTF-8, or set its encoding in the recipe (data.encoding), for instance cp1252, cp1251, gb18030 or shift_jis.",
    ),
    "broken jsonl": (
        "a.jsonl", b'{"text": "a"}\n{"text": "b"\nnot json\n',
        "a.jsonl: 2 of 3 lines are broken JSON "
        "(line 2: Expecting ',' delimiter at column 13; line 3: Expecting value at column 1). "
        "Each line has to be one complete JSON object. Fewer than 1 % broken lines would be dropped.",
    ),
    "key twice": (
        "a.jsonl", b'{"text": "a", "text": "b"}\n',
        "a.jsonl: 1 of 1 line is broken JSON (line 1: the key 'text' occurs twice in one object). "
        "Each line has to be one complete JSON object. Fewer than 1 % broken lines would be dropped.",
    ),
    "strings in jsonl": ("a.jsonl", b'"a"\n"b"\n', "a.jsonl, line 1: The row is a string where an object was expected: 'a'."),
    "mixed jsonl": (
        "a.jsonl", b'{"text": "a"}\n[1, 2]\n',
        "a.jsonl, line 2: The row is a list of 2 where an object was expected: '[1, 2]'.",
    ),
    "truncated json": (
        "a.json", b'[{"text": "a"},\n {"text": "b"',
        "a.json, line 2: The JSON is broken: Expecting ',' delimiter at column 14. The file ends too early; it may be truncated.",
    ),
    "single quotes": (
        "a.json", b"[{'text': 'a'}]",
        "a.json, line 1: The JSON is broken: Expecting property name enclosed in double quotes at column 3. "
        "Keys and strings need double quotes, and there is no comma after the last item.",
    ),
    "a number": ("a.json", b"3", "a.json: The JSON is a number, not a table. Write a list of objects, one a row."),
    "empty list": ("a.json", b"[]", "a.json: The file holds no rows."),
    "several tables": (
        "a.json", b'{"train": [{"t": 1}], "test": [{"t": 2}]}',
        "a.json: The file holds several tables: train, test. Save each as a file of its own.",
    ),
    "no table": (
        "a.json", b'{"text": "a", "label": [1, 2]}',
        "a.json: The JSON object is no table; it holds text (a string), label (a list of 2). "
        "Write a list of objects, one a row, or columns of equal length.",
    ),
    "no parquet": (
        "a.parquet", b"text,label\na,b\n",
        "a.parquet: The file is not readable as parquet: Parquet magic bytes not found in footer. "
        "Either the file is corrupted or this is not a parquet file. Write or download it again.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_exact_reason(case: str, tmp_path: Path) -> None:
    name, data, message = REFUSED[case]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_table(name, base=tmp_path)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


LINES = [f"row number {i} of a file,{'ab'[i % 2]}" for i in range(200)]


def lines_with(position: int, line: str) -> bytes:
    return ("text,label\n" + "\n".join([*LINES[:position], line, *LINES[position:]]) + "\n").encode()


# name -> (file, options, number of rows read, reasons of bad rows, the cell of row 2, a piece of a note)
REPAIRED: dict[str, tuple[str, bytes, dict[str, Any], int, dict[str, int], str, str]] = {
    "byte-order mark": ("a.csv", codecs.BOM_UTF8 + "text,label\na b,1\nc d,0\né f,1\n".encode(), {}, 3, {}, "é f", ""),
    "utf-16": ("a.csv", "text,label\na b,1\nc d,0\né f,1\n".encode("utf-16"), {}, 3, {}, "é f", "UTF-16 by its byte-order mark"),
    "utf-16 unmarked": ("a.csv", "text,label\na b,1\nc d,0\né f,1\n".encode("utf-16-le"), {}, 3, {}, "é f", "UTF-16-LE without"),
    "cp1252": (
        "a.csv", "text,label\na b,1\nc d,0\né “f”,1\n".encode("cp1252"), {}, 3,
        {"not UTF-8, read as cp1252": 1}, "é “f”", "1 line is not UTF-8 and read as cp1252, a guess.",
    ),
    "mixed": (
        "a.csv", "text,label\nü b,1\nc d,0\n".encode() + "é f,1\n".encode("cp1252"), {}, 3,
        {"not UTF-8, read as cp1252": 1}, "é f", "The other lines are UTF-8.",
    ),
    "encoding given": (
        "a.csv", "text,label\nпривет,1\nc d,0\nж ф,1\n".encode("cp1251"), {"encoding": "cp1251"}, 3, {}, "ж ф", "",
    ),
    "nul": ("a.csv", lines_with(2, "a\0 b,a"), {}, 201, {"NUL bytes removed": 1}, "a b", ""),
    "crlf": ("a.csv", b"text,label\r\na b,1\r\nc d,0\r\ne f,1\r\n", {}, 3, {}, "e f", ""),
    "old mac": ("a.csv", b"text,label\ra b,1\rc d,0\re f,1\r", {}, 3, {}, "e f", ""),
    "too many": ("a.csv", lines_with(3, "one, two,a"), {}, 201, {"too many fields": 1}, LINES[2][:-2], ""),
    "too few": ("a.csv", lines_with(3, "one"), {}, 201, {"too few fields": 1}, LINES[2][:-2], ""),
    "lone quote": ("a.csv", lines_with(3, '"unclosed,a'), {}, 201, {}, LINES[2][:-2], "Quotes are plain characters"),
    "lone quote among quoted": (
        "a.csv", lines_with(3, '"unclosed,a') + b'"one, two",a\n', {}, 202,
        {"broken quotes, taken as plain characters": 1}, LINES[2][:-2], "",
    ),
    "quote after quote": ("a.csv", lines_with(3, '"x" y, z,a'), {}, 201, {"broken quotes": 1}, LINES[2][:-2], ""),
    "escaped quotes": (
        "a.csv", lines_with(2, r'"he said \"hi\", then",a'), {}, 201, {}, 'he said "hi", then', 'written \\" here',
    ),
    "tsv lone quotes": ("a.tsv", b'a b\t0\n"c d\t1\n"e" f\t0\ng" h\t1\n', {}, 4, {}, '"e" f', "plain characters"),
    "tsv quotes that pair up": ("a.tsv", b'a b c\t0\n"c d e\t1\ne f g"\t0\nend\t1\n', {}, 4, {}, 'e f g"', "plain characters"),
    "tab and comma in every row": ("a.csv", b"a, b\t1\nc, d\t0\ne, f\t1\n", {}, 3, {}, "e, f", "separated by TAB, not by comma"),
    "tab in csv": ("a.csv", b"text\tlabel\na, b\t1\nc, d\t0\ne, f\t1\n", {}, 3, {}, "e, f", "separated by TAB, not by comma"),
    "semicolon": ("a.csv", b"text;label\na b;1,5\nc d;0,5\ne f;1,0\n", {}, 3, {}, "e f", "separated by semicolon"),
    "bad json line": (
        "a.jsonl", b'{"text": "a"}\n{"text": "b"}\n{"text": "c"}\nbroken\n' + b'{"text": "d"}\n' * 200,
        {}, 204, {"broken JSON": 1}, "c", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REPAIRED)
def test_read_all_the_same_and_counted(case: str, tmp_path: Path) -> None:
    name, data, options, rows, reasons, cell, note = REPAIRED[case]
    (tmp_path / name).write_bytes(data)
    found = read_table(name, base=tmp_path, **options)
    assert found.rows_read == rows
    assert Counter(row.reason for row in found.bad_rows) == reasons
    assert next(iter(found.columns.values()))[2] == cell
    assert note in " ".join(found.notes)
    assert len(found) + sum(row.dropped for row in found.bad_rows) == rows


def test_dropped_rows_keep_their_place_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(lines_with(3, "one, two,a"))
    found = read_table("a.csv", base=tmp_path)
    (bad,) = found.bad_rows
    assert (bad.row_id, bad.line, bad.dropped) == (3, 5, True)
    assert found.row_ids == [0, 1, 2, *range(4, 201)]
    assert found.place(3) == "row 4 (line 6)"


def test_a_broken_quote_costs_one_row_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(lines_with(100, '"x" y, z,a') + b'"two\nlines",b\n"quoted, text",a\n')
    found = read_table("a.csv", base=tmp_path)
    assert [row.row_id for row in found.bad_rows] == [100]
    assert found.columns["text"][-2:] == ["two\nlines", "quoted, text"]
    assert found.row_ids[-1] == 202


def test_wrong_encoding_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\na b,1\né f,1\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"a\.csv, line 3: The file is not ascii: byte 0xe9 at position 17 cannot be read"):
        read_table("a.csv", base=tmp_path, encoding="ascii")
    with pytest.raises(DataError, match="The encoding 'utf-9' is not known"):
        read_table("a.csv", base=tmp_path, encoding="utf-9")


def test_a_folder_instead_of_rights(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match="The folder has no train file; it holds nothing"):
        read_table("a.csv", base=tmp_path)


def test_a_field_of_a_megabyte(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"' + "word " * 200_000 + '",a\nshort text,b\n')
    found = read_table("a.csv", base=tmp_path)
    assert [len(cell) for cell in found.columns["text"]] == [1_000_000, 10]


HEADERS: dict[str, tuple[bytes, bool]] = {
    "usual names": (b"text,label\ngood film,pos\nbad film,neg\n", True),
    "numbers below": (b"Kommentar,Punkte\nsehr gut gemacht,5\nnicht gut,1\n", True),
    "numbers at once": (b"sehr gut gemacht,5\nnicht gut,1\nganz gut,3\n", False),
    "classes repeat": (b"gut,sehr gut gemacht heute\nschlecht,das war nicht gut\ngut,das war wirklich gut\n" * 3, False),
    "short classes repeat": (b"gut,prima\nschlecht,mies\ngut,toll\nschlecht,nein\ngut,oho\nschlecht,naja\n", False),
    "new word over classes": (b"Klasse,Kommentar\n" + b"gut,sehr gut gemacht heute\nschlecht,das war nicht gut\n" * 9, True),
    "index column": (b",Kommentar,Note\n0,gut gemacht,1\n1,nicht gut,2\n", True),
    "one row of data": (b"this is a sentence,pos\n", False),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header_is_found_by_content(case: str, tmp_path: Path) -> None:
    data, expected = HEADERS[case]
    (tmp_path / "a.csv").write_bytes(data)
    found = read_table("a.csv", base=tmp_path)
    assert found.has_header is expected
    assert len(found) == data.count(b"\n") - expected


@pytest.mark.parametrize(("header", "rows"), [(True, 2), (False, 3)])
def test_the_header_given_in_the_recipe_wins(header: bool, rows: int, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\na b,1\nc d,0\n")
    found = read_table("a.csv", base=tmp_path, header=header)
    assert (len(found), found.has_header) == (rows, header)
    assert list(found.columns) == (["text", "label"] if header else ["column_1", "column_2"])


JSON_SHAPES: dict[str, bytes] = {
    "objects": b'[{"text": "a", "label": 1}, {"text": "b"}]',
    "data": b'{"version": 1, "data": [{"text": "a", "label": 1}, {"text": "b"}]}',
    "columns": b'{"text": ["a", "b"], "label": [1, null]}',
    "pandas columns": b'{"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": null}}',
    "pandas split": b'{"columns": ["text", "label"], "index": [0, 1], "data": [["a", 1], ["b", null]]}',
    "lines": b'{"text": "a", "label": 1}\n{"text": "b"}\n',
}


@pytest.mark.parametrize("case", JSON_SHAPES)
def test_shapes_of_json(case: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(JSON_SHAPES[case])
    assert read_table("a.json", base=tmp_path).columns == {"text": ["a", "b"], "label": [1, None]}


def test_json_lists_have_no_names_and_nested_cells_stay(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'[["a", {"x": [1]}], ["b", {}]]')
    found = read_table("a.json", base=tmp_path)
    assert (found.columns, found.has_header) == ({"column_1": ["a", "b"], "column_2": [{"x": [1]}, {}]}, False)
