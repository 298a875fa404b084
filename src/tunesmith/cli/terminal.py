"""What a verb hands back, and where it goes: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from tunesmith.errors import InputError, Problem
from tunesmith.progress import Listener, silent

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
WORD_COLOURS = {"better": "green", "worse": "red", "cannot tell": "yellow"}


@dataclass(frozen=True)
class Outcome:
    """What a verb hands back.

    Attributes:
        json: the object that ``--json`` prints; None where a child process has printed it.
        lines: what a person sees on standard output.
        notes: what a person sees on standard error, so that standard output can be piped on.
    """

    json: dict[str, Any] | None
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    exit_code: int = 0


@dataclass(frozen=True)
class Terminal:
    """Where a verb may speak while it works.

    Attributes:
        as_json: standard output belongs to one JSON object, so ``say`` goes to standard error.
        listener: what long work reports to.
    """

    out: TextIO
    err: TextIO
    as_json: bool = False
    listener: Listener = field(default=silent)

    def say(self, line: str = "") -> None:
        """One line for the person who watches, at once."""
        print(line, file=self.err if self.as_json else self.out, flush=True)

    def paint(self, text: str, colour: str) -> str:
        """The text in that colour where ``say`` writes to a terminal that shows colours."""
        return paint(text, colour, self.err if self.as_json else self.out)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person watches this stream on a screen that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in that colour; unchanged off a terminal and where NO_COLOR is set (no-color.org)."""
    if os.environ.get("NO_COLOR") or not is_terminal(stream):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def show(outcome: Outcome, terminal: Terminal) -> None:
    """Print the outcome: the JSON object alone, or its lines."""
    if terminal.as_json:
        if outcome.json is not None:
            print_json(outcome.json, terminal.out)
        return
    for note in outcome.notes:
        print(note, file=terminal.err)
    for line in outcome.lines:
        print(line, file=terminal.out)
    terminal.out.flush()


def print_json(plain: dict[str, Any], stream: TextIO) -> None:
    """The object on one line; escaped to ASCII where the stream's encoding could not write it."""
    is_unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    print(json.dumps(plain, ensure_ascii=not is_unicode, allow_nan=False), file=stream, flush=True)


def show_error(error: BaseException, exit_code: int, message: str, terminal: Terminal) -> None:
    """Say what went wrong on standard error, and with ``--json`` as an object on standard output."""
    problems = error.problems if isinstance(error, InputError) else ()
    print("\n".join(error_lines(message, problems, terminal.err)), file=terminal.err)
    if not terminal.as_json:
        return
    found: dict[str, Any] = {"exit_code": exit_code}
    if problems:
        found["problems"] = [problem.to_json() for problem in problems]
    else:
        found["message"] = message
    print_json({"error": found}, terminal.out)


def error_lines(message: str, problems: Sequence[Problem], stream: TextIO = sys.stderr) -> list[str]:
    """The error as a person reads it: one line, or a count and one line a problem."""
    name = paint("tunesmith:", "red", stream)
    if len(problems) < 2:
        return [f"{name} {problems[0].line() if problems else message}"]
    return [f"{name} {len(problems)} problems", *(f"  - {problem.line()}" for problem in problems)]


def table(rows: Sequence[Sequence[str]], indent: int = 2) -> list[str]:
    """The rows with their columns lined up."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    margin = " " * indent
    return [(margin + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip() for row in rows]
