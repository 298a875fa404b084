"""Reads files of plain text, and finds the boundaries of their texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tunesmith.data.cells import plural
from tunesmith.data.column_names import SPLIT_WORDS
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.lines import LINE_END
from tunesmith.data.readers.payload import read_payload
from tunesmith.data.table import Table
from tunesmith.errors import DataError

END_MARK = "<|endoftext|>"
HEADING = re.compile(r"(?m)^ ?= [^=\n](?:.*[^=\n])? = ?\n(?=[ \t]*\n)")
"""A heading of the first level as WikiText writes it, with a blank line after it; lower levels have more signs."""
BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*\s*$")
MAX_CHARACTERS = 2_000
"""Paragraphs of a file without boundaries are joined up to this length: about the context of a small model."""


def is_plain_text(name: str | Path) -> bool:
    """Returns whether a file is plain text by its name: ``.txt`` or ``.txt.gz``."""
    return str(name).casefold().removesuffix(".gz").endswith(".txt")


def plain_text_splits(folder: Path) -> dict[str, Path]:
    """Finds a folder's ``.txt`` files by split; empty without a train file. Raises DataError if two files fit one split."""
    files: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and is_plain_text(path)):
        split = SPLIT_WORDS.get(path.name.split(".", 1)[0].casefold())
        if split in files:
            message = f"{files[split].name} and {path.name} are both {split}."
            raise DataError.one(str(folder), message, "Give the files themselves in the recipe.")
        if split is not None:
            files[split] = path
    return files if "train" in files else {}


def read_plain_texts(path: Path, name: str, encoding: str | None = None) -> Table:
    """Reads the texts of a file into the column ``text``, stripped of outer white space and otherwise unchanged.

    The boundaries are, in this order and with a note: the mark ``<|endoftext|>``; WikiText's headings of the first level, each
    of which begins an article; each line, in a file without blank lines whose lines mostly end a sentence. In any other file,
    paragraphs (lines, without blank ones) are joined to texts of about 2,000 characters; none is cut.

    Args:
        name: the file's name in messages and results.
    """
    payload = read_payload(path, name)
    decoded = decode(payload, encoding)
    text = LINE_END.sub("\n", decoded.text)
    pieces, note = divide_text(text)
    pieces = [(start, piece.strip()) for start, piece in pieces if piece.strip()]
    if not pieces:
        raise DataError.one(name, "The file holds no text.", f"It has nothing but white space and the mark {END_MARK}.")
    notes = (*payload.notes, *decoded.notes, f"{note} ({plural(len(pieces), 'text')}).")
    table = Table.whole(name, {"text": [piece for _, piece in pieces]}, notes=notes, sha256=payload.sha256)
    lines, number, at = [], 1, 0  # the 1-based first line of each text
    for start, piece in pieces:
        begin = text.index(piece, start)
        number += text.count("\n", at, begin)
        at = begin
        lines.append(number)
    return replace(table, lines=lines)


Piece = tuple[int, str]
"""The start of a piece in the file's text, and the piece."""


def divide_text(text: str) -> tuple[list[Piece], str]:
    """Divides a file's text into pieces, with a note on their boundaries.

    Without boundaries, paragraphs are joined; one that would make a piece longer than the limit begins the next.
    """
    for fits, divide, note in BOUNDARIES:
        if fits(text):
            return list(divide(text)), note
    separator = BLANK if BLANK.search(text) else re.compile(r"\n")
    pieces: list[Piece] = []
    start = end = 0
    for at, paragraph in between(text, separator):
        if at + len(paragraph) - start > MAX_CHARACTERS and end > start:
            pieces.append((start, text[start:end]))
            start = at
        end = at + len(paragraph)
    kind = "paragraphs" if separator is BLANK else "lines"
    return [*pieces, (start, text[start:end])], (
        f"Nothing marks where its texts end, so its {kind} are joined to texts of about {MAX_CHARACTERS:,} characters; "
        f"write {END_MARK} between texts, or each on a line without blank lines, to divide it otherwise"
    )


def has_text_lines(text: str) -> bool:
    """Returns whether each line is a text: no blank lines, and three in four lines end a sentence."""
    if BLANK.search(text.strip()):
        return False
    lines = text.strip().split("\n")
    return len(lines) > 1 and sum(bool(SENTENCE_END.search(line)) for line in lines) >= 0.75 * len(lines)


def between(text: str, separator: re.Pattern[str]) -> Iterator[Piece]:
    start = 0
    for match in separator.finditer(text):
        yield start, text[start : match.start()]
        start = match.end()
    yield start, text[start:]


def articles(text: str) -> Iterator[Piece]:
    """Yields the pieces from each heading to the next, and the piece before the first."""
    starts = [0, *(match.start() for match in HEADING.finditer(text))]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield start, text[start:end]


BOUNDARIES: tuple[tuple[Callable[[str], bool], Callable[[str], Iterator[Piece]], str], ...] = (
    (lambda text: END_MARK in text, lambda text: between(text, re.compile(re.escape(END_MARK))), f"Texts end at {END_MARK}"),
    (lambda text: len(HEADING.findall(text)) >= 2, articles, "Each heading of the first level begins a text, as WikiText has it"),
    (has_text_lines, lambda text: between(text, re.compile(r"\n")), "Each line is a text"),
)
