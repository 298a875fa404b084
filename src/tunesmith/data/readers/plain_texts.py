"""Files of plain text: where one text ends and the next begins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tunesmith.data.column_names import SPLIT_WORDS
from tunesmith.data.readers.encoding import decode
from tunesmith.data.readers.payload import read_payload
from tunesmith.data.table import Table
from tunesmith.errors import DataError

END_MARK = "<|endoftext|>"
HEADING = re.compile(r"(?m)^ ?= [^=\n](?:.*[^=\n])? = ?\n(?=[ \t]*\n)")
"""A heading of the first level as WikiText writes it, with a blank line after it; those of lower levels have more signs."""
BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*\s*$")
GATHERED_CHARACTERS = 2_000
"""Paragraphs of a file that does not say where texts end are gathered up to this: about the context of a small model."""


def is_plain_text(name: str | Path) -> bool:
    """Whether a file's name says that it is plain text: ``.txt``, also ``.txt.gz``."""
    return str(name).casefold().removesuffix(".gz").endswith(".txt")


def plain_text_splits(folder: Path) -> dict[str, Path]:
    """train, validation, test -> the folder's ``.txt`` file of that name; empty where there is no train among them.

    Raises:
        DataError: two files for one split.
    """
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and is_plain_text(path)):
        split = SPLIT_WORDS.get(path.name.split(".", 1)[0].casefold())
        if split in found:
            message = f"{found[split].name} and {path.name} are both {split}."
            raise DataError.one(str(folder), message, "Give the files themselves in the recipe.")
        if split is not None:
            found[split] = path
    return found if "train" in found else {}


def read_plain_texts(path: Path, name: str, encoding: str | None = None) -> Table:
    """The texts of a file as the column ``text``, each as it stands in the file but for white space around it.

    Where texts end is found in this order, and said in a note: the mark ``<|endoftext|>``; WikiText's headings of the first
    level, each of which begins an article; in a file without blank lines whose lines mostly end a sentence, each line.
    A file that shows none of these is one text with paragraphs (lines, where it has no blank ones), which are gathered into
    texts of about 2,000 characters; none is cut.

    Args:
        name: how messages and results call the file.

    Raises:
        DataError: the file cannot be read or holds no text.
    """
    payload = read_payload(path, name)
    decoded = decode(payload, encoding)
    text = decoded.text.replace("\r\n", "\n")
    pieces, note = divided_text(text)
    found = [(start, piece.strip()) for start, piece in pieces if piece.strip()]
    if not found:
        raise DataError.one(name, "The file holds no text.", f"It has nothing but white space and the mark {END_MARK}.")
    texts = [piece for _, piece in found]
    return Table(
        source=name, columns={"text": list(texts)}, row_ids=list(range(len(texts))), sha256=payload.sha256, rows_read=len(texts),
        notes=(*payload.notes, *decoded.notes, f"{note} ({len(texts):,} texts)."), lines=line_numbers(text, found),
    )  # fmt: skip


Piece = tuple[int, str]
"""Where a piece begins in the file's text, and the piece."""


def divided_text(text: str) -> tuple[list[Piece], str]:
    """The pieces of a file's text, and how they were found."""
    for fits, divide, note in WAYS:
        if fits(text):
            return list(divide(text)), note
    separator = BLANK if BLANK.search(text) else re.compile(r"\n")
    kind = "paragraphs" if separator is BLANK else "lines"
    return gathered(text, separator), (
        f"Nothing marks where its texts end, so its {kind} are gathered into texts of about {GATHERED_CHARACTERS:,} characters; "
        f"write {END_MARK} between texts, or each on a line without blank lines, to divide it otherwise"
    )


def has_headings(text: str) -> bool:
    return len(HEADING.findall(text)) >= 2


def has_text_lines(text: str) -> bool:
    """No blank lines, and three in four lines end as a sentence does: each line is a text."""
    if BLANK.search(text.strip()):
        return False
    lines = text.strip().split("\n")
    return len(lines) > 1 and sum(bool(SENTENCE_END.search(line)) for line in lines) >= 0.75 * len(lines)


def between(text: str, separator: re.Pattern[str]) -> Iterator[Piece]:
    start = 0
    for found in separator.finditer(text):
        yield start, text[start : found.start()]
        start = found.end()
    yield start, text[start:]


def articles(text: str) -> Iterator[Piece]:
    """From each heading to the next; what stands before the first is a piece as well."""
    starts = [0, *(found.start() for found in HEADING.finditer(text))]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield start, text[start:end]


def gathered(text: str, separator: re.Pattern[str]) -> list[Piece]:
    """Paragraphs in a row as one piece, which ends where the next paragraph would make it longer than the limit."""
    found: list[Piece] = []
    start = end = 0
    for at, paragraph in between(text, separator):
        if at + len(paragraph) - start > GATHERED_CHARACTERS and end > start:
            found.append((start, text[start:end]))
            start = at
        end = at + len(paragraph)
    return [*found, (start, text[start:end])]


def line_numbers(text: str, found: list[Piece]) -> list[int]:
    """The 1-based line on which each text begins."""
    lines, number, at = [], 1, 0
    for start, piece in found:
        begin = text.index(piece, start)
        number += text.count("\n", at, begin)
        at = begin
        lines.append(number)
    return lines


WAYS: tuple[tuple[Callable[[str], bool], Callable[[str], Iterator[Piece]], str], ...] = (
    (lambda text: END_MARK in text, lambda text: between(text, re.compile(re.escape(END_MARK))), f"Texts end at {END_MARK}"),
    (has_headings, articles, "Each heading of the first level begins a text, as WikiText has it"),
    (has_text_lines, lambda text: between(text, re.compile(r"\n")), "Each line is a text"),
)
