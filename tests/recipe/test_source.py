"""YAML to plain values with lines."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.recipe.source import MAX_DEPTH, RecipeDumper, parse

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2e+3", -2000.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("10_000", 10000),
        ("010", "010"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("no", False),
        ("On", True),
        ("y", "y"),
        ("'no'", "no"),
        ("~", None),
        ("", None),
        ("'3'", "3"),
        ("!!str 5", "5"),
        ("-.INF", -math.inf),
        ("e5", "e5"),
        ("1e", "1e"),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: object) -> None:
    parsed = parse(f"key: {text}")
    assert parsed.value == {"key": value}
    assert type(parsed.value["key"]) is type(value)
    assert not parsed.faults


def test_keys_are_text_as_written() -> None:
    assert parse("{no: 1, 0: 2, 1.50: 3, null: 4}").value == {"no": 1, "0": 2, "1.50": 3, "null": 4}


def test_lines_of_keys_and_items() -> None:
    lines = parse("a: 1\n\nb:\n  c: x\n  d:\n  - 1\n  - 2\n").lines
    assert lines[("a",)] == 1
    assert lines["b", "c"] == 4
    assert lines["b", "d", 1] == 7


def test_written_is_kept_for_plain_scalars_only() -> None:
    written = parse('a: no\nb: "no"\nc:\nd: [1e-4]\n').written
    assert written == {("a",): "no", ("c",): "", ("d", 0): "1e-4"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: b: c", 1, 'a ":" follows where no key can be'),
        ("a:\n\tb: 1", 2, "a tab is used where YAML allows only spaces"),
        ("a: [1\nb: 2", 2, "a list opened with [ is not closed"),
        ("{a: 1", 1, "a map opened with { is not closed"),
        ('a: 1\nb: "x', 2, "a quote is opened here and never closed"),
        ("a:\n  b: 1\n c: 2", 3, "the indentation does not match the lines above"),
        ("a: @x", 1, "a value begins with a character that has a special meaning in YAML"),
        ("a: 1\nb\n", 3, "a key without a colon"),
        ("a: 1\n---\nb: 2", 2, "a second document begins here (a line of ---)"),
        ('a: "\\q"', 1, "a backslash in double quotes begins no known escape"),
        ("a: &x 1\nb: *x", 2, "an alias (*name) is used, which recipes do not support"),
        ("a: &x {b: 1}\nc:\n  <<: *x", 3, "an alias (*name) is used, which recipes do not support"),
        ("a: !foo 1", 1, "the YAML tag !foo cannot be used here"),
        ("a: !!binary aGk=", 1, "the YAML tag !!binary cannot be used here"),
        ("a: !!int x", 1, "the YAML tag !!int cannot be used here"),
        ("a: !!set {b}", 1, "the YAML tag !!set cannot be used here"),
        ("a: !!python/object/apply:os.getcwd []", 1, "the YAML tag !!python/object/apply:os.getcwd cannot be used here"),
        ("? [a]\n: 1", 1, "a key is a list or a map; keys are plain text"),
        ("a: 1\nb: 2\na: 3", 3, "is given twice, first on line 1"),
        ("%YAML 9.1\n---\na: 1", 1, "this is not valid YAML: found incompatible YAML document (version 1.* is required)"),
        ("a: \x00", None, "the file contains the control character U+0000"),
        ("a: [" + "[" * 100, 1, f"lists and maps are nested more than {MAX_DEPTH} deep"),
    ],
)
def test_what_cannot_be_read_is_a_fault(text: str, line: int | None, message: str) -> None:
    (fault,) = parse(text).faults
    assert (fault.message, fault.line) == (message, line)


def test_escape_beyond_unicode_is_a_fault() -> None:
    (fault,) = parse('a: "\\UFFFFFFFF"').faults
    assert fault.message.startswith("this is not valid YAML")


def test_length_ends_before_a_comment() -> None:
    assert parse("abc # d").length == 3
    assert parse("{a: 1}").length == 6


@given(plain)
def test_reads_what_it_writes(value: object) -> None:
    parsed = parse(yaml.dump({"key": value}, Dumper=RecipeDumper))
    assert not parsed.faults
    assert parsed.value == {"key": value}


@given(st.text(max_size=60) | st.text(alphabet="ab:-[]{}#&*!|>'\"%@\\U \n\t0", max_size=60))
def test_no_text_raises(text: str) -> None:
    parsed = parse(text)
    assert parsed.faults or parsed.value is None or isinstance(parsed.value, dict | list | str | int | float | bool)
