from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.cli.terminal import Outcome, Terminal, error_lines, paint, printable, show, table
from tunesmith.errors import Problem


def shown(outcome: Outcome, as_json: bool) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    show(outcome, Terminal(out, err, as_json))
    return out.getvalue(), err.getvalue()


def test_lines_or_json_never_both() -> None:
    outcome = Outcome({"a": 1}, lines=["text"], notes=["aside"])
    assert shown(outcome, as_json=False) == ("text\n", "aside\n")
    assert shown(outcome, as_json=True) == ('{"a": 1}\n', "")
    assert shown(Outcome(None), as_json=True) == ("", "")


def test_json_is_one_line_that_any_stream_can_hold() -> None:
    raw = io.BytesIO()
    latin = io.TextIOWrapper(raw, encoding="latin-1", write_through=True)
    show(Outcome({"text": "naïve 日本 \n"}), Terminal(latin, io.StringIO(), as_json=True))
    assert raw.getvalue().count(b"\n") == 1
    assert json.loads(raw.getvalue()) == {"text": "naïve 日本 \n"}


def test_notes_leave_standard_output_to_the_json() -> None:
    for as_json, expected in ((False, ("hello\n", "")), (True, ("", "hello\n"))):
        out, err = io.StringIO(), io.StringIO()
        Terminal(out, err, as_json).print("hello")
        assert (out.getvalue(), err.getvalue()) == expected


def test_no_colours_off_a_terminal() -> None:
    assert paint("worse", "red", io.StringIO()) == "worse"


def test_one_problem_is_one_line_and_several_are_a_list() -> None:
    one, two = Problem("data", "a.csv", "is empty.", "Fill it."), Problem("recipe", "", "no task.")
    stream = io.StringIO()
    assert error_lines("", [one], stream) == ["tunesmith: a.csv: is empty. Fill it."]
    assert error_lines("", [one, two], stream) == ["tunesmith: 2 problems", "  - a.csv: is empty. Fill it.", "  - no task."]


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=8), min_size=3, max_size=3), min_size=1
    )
)
def test_table_columns_begin_at_the_same_place(rows: list[list[str]]) -> None:
    lines = table(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    starts = [2, 2 + widths[0] + 2, 2 + widths[0] + 2 + widths[1] + 2]
    for line, row in zip(lines, rows, strict=True):
        for start, cell in zip(starts, row, strict=True):
            assert line[start : start + len(cell)] == cell


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_control_characters_reach_no_terminal_and_data_reach_a_pipe_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    line = "a\x1b[2J\u202e\ud83d\r\x9b ok\tend"
    shown = "a\\x1b[2J\\u202e\\ud83d\\r\\x9b ok\tend"
    for is_data, stream, expected in ((True, io.StringIO(), line), (True, Screen(), shown), (False, io.StringIO(), shown)):
        show(Outcome(None, lines=[line], notes=[line], is_data=is_data), Terminal(stream, err := io.StringIO()))
        assert (stream.getvalue(), err.getvalue()) == (f"{expected}\n", f"{shown}\n")
    painted = paint("worse", "red", Screen())
    assert printable(painted, Screen()) == painted
    assert "\x1b" not in printable(painted, io.StringIO())
    show(Outcome({"label": line}), Terminal(out := io.StringIO(), io.StringIO(), as_json=True))
    assert json.loads(out.getvalue()) == {"label": line}
    assert not set("\x1b\u202e\x9b") & set(out.getvalue())
