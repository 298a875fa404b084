"""Prints the outcome of a verb: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from tunesmith.data.cells import plural
from tunesmith.errors import Problem
from tunesmith.progress import Listener, silent

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
PAINTED = re.compile(r"\x1b\[\d+m")
CONTROLS = re.compile(PAINTED.pattern + "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Colours, and characters that act on a terminal: controls, other line ends, directions of writing, halves of surrogate pairs."""
WORD_COLOURS = {"better": "green", "worse": "red", "cannot tell": "yellow"}


def written(what: str, path: str | Path, was_there: bool) -> str:
    """Says what was written where, and that it replaced a file."""
    return f"{what} written to {path}{', in place of the file that was there' if was_there else ''}"


@dataclass(frozen=True)
class Outcome:
    """The output of a verb.

    Attributes:
        json: the object that ``--json`` prints; None if a child process has printed it.
        lines: text for standard output.
        notes: text for standard error, so that standard output can be piped.
        is_data: the lines are data, which a pipe or a file gets unchanged.
    """

    json: dict[str, Any] | None
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    exit_code: int = 0
    is_data: bool = False


@dataclass(frozen=True)
class Terminal:
    """The output streams of a running verb.

    Attributes:
        as_json: standard output is reserved for one JSON object, so ``print`` writes to standard error.
        listener: receives the progress of long work.
    """

    out: TextIO
    err: TextIO
    as_json: bool = False
    listener: Listener = field(default=silent)

    def print(self, line: str = "") -> None:
        """Prints one line and flushes."""
        stream = self.err if self.as_json else self.out
        print(printable(line, stream), file=stream, flush=True)

    def paint(self, text: str, colour: str) -> str:
        """Colours the text if ``print`` writes to a terminal that shows colours."""
        return paint(text, colour, self.err if self.as_json else self.out)


def is_terminal(stream: TextIO) -> bool:
    """Returns whether the stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def printable(text: str, stream: TextIO) -> str:
    """Writes control characters, which text from data may hold, as escapes such as ``\\x1b``; the colours of ``paint`` stay."""
    has_colours = is_terminal(stream)
    return CONTROLS.sub(lambda found: found.group() if has_colours and PAINTED.fullmatch(found.group()) else escaped(found), text)


def escaped(found: re.Match[str]) -> str:
    """Writes the control characters of a match as escapes."""
    return "".join(letter if " " <= letter <= "~" else ascii(letter)[1:-1] for letter in found.group())


def paint(text: str, colour: str, stream: TextIO) -> str:
    """Colours the text; returns it unchanged if the stream is no terminal or NO_COLOR is set (no-color.org)."""
    if os.environ.get("NO_COLOR") or not is_terminal(stream):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def show(outcome: Outcome, terminal: Terminal) -> None:
    """Prints the outcome: only the JSON object, or the lines and notes."""
    if terminal.as_json:
        if outcome.json is not None:
            print_json(outcome.json, terminal.out)
        return
    for note in outcome.notes:
        print(printable(note, terminal.err), file=terminal.err)
    for line in outcome.lines:
        print(line if outcome.is_data and not terminal.out.isatty() else printable(line, terminal.out), file=terminal.out)
    terminal.out.flush()


def print_json(plain: dict[str, Any], stream: TextIO) -> None:
    """Prints the object on one line, escaped to ASCII if the stream's encoding is not Unicode."""
    is_unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    text = json.dumps(plain, ensure_ascii=not is_unicode, allow_nan=False)
    print(CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text), file=stream, flush=True)


def error_lines(message: str, problems: Sequence[Problem], stream: TextIO = sys.stderr) -> list[str]:
    """Formats an error for people: one line, or a count and one line per problem."""
    name = paint("tunesmith:", "red", stream)
    if len(problems) < 2:
        return [f"{name} {problems[0].line() if problems else message}"]
    return [f"{name} {plural(len(problems), 'problem')}", *(f"  - {problem.line()}" for problem in problems)]


def table(rows: Sequence[Sequence[str]], indent: int = 2) -> list[str]:
    """Formats rows as aligned columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    margin = " " * indent
    return [(margin + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip() for row in rows]
