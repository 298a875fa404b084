"""Decodes bytes to text: by byte-order mark, as UTF-8, or by a reported guess."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

from tunesmith.data.cells import plural
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.readers.payload import Payload, reject_binary
from tunesmith.errors import DataError

# UTF-32 first: its little-endian mark begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
LATIN_LETTER = re.compile(rb"[A-Za-z]")
LINE_WITH_END = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
HIGH_BYTE = re.compile(rb"[\x80-\xff]")
REMEDY = "Save it as UTF-8, or set its encoding in the recipe (data.encoding), for instance cp1252, cp1251, gb18030 or shift_jis."


@dataclass(frozen=True)
class Decoded:
    """The text of a file, its repairs (1-based line -> repair), and assumptions as sentences for the user."""

    text: str
    repaired: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def decode(payload: Payload, encoding: str | None = None) -> Decoded:
    """Decodes the file and removes NUL characters.

    Tries, in this order: the encoding given; a byte-order mark; UTF-16 without a mark; UTF-8; cp1252 (Western European), as a
    guess that is reported with its lines. A file that is mostly valid UTF-8 stays so, and only the other lines are guessed.
    """
    if encoding is not None:
        return without_nul(Decoded(decode_as(payload, encoding)))
    for mark, codec, title in MARKS:
        if payload.data.startswith(mark):
            note = () if codec == "utf-8-sig" else (f"The file is {title} by its byte-order mark.",)
            return without_nul(Decoded(decode_as(payload, codec).removeprefix("\ufeff"), notes=note))
    wide = wide_encoding(payload.data[:4000])
    if wide:
        return Decoded(decode_as(payload, wide), notes=(f"The file is {wide.upper()} without a byte-order mark.",))
    reject_binary(payload)
    try:
        return without_nul(Decoded(payload.data.decode("utf-8")))
    except UnicodeDecodeError:
        return without_nul(guess(payload))


def has_mark(data: bytes) -> bool:
    """Tells whether a file begins with a byte-order mark."""
    return data.startswith(tuple(mark for mark, *_ in MARKS))


def decode_as(payload: Payload, encoding: str) -> str:
    try:
        return payload.data.decode(encoding)
    except LookupError:
        message = f"The encoding {encoding!r} is not known. Use one of Python's codec names, for instance utf-8, cp1252, utf-16."
        raise DataError.one(payload.name, message, "Change data.encoding.") from None
    except UnicodeDecodeError as error:
        line = payload.data[: error.start].count(b"\n") + 1
        bad = payload.data[error.start : error.start + 1].hex()
        message = f"The file is not {encoding}: byte 0x{bad} at position {error.start} cannot be read ({error.reason})."
        raise DataError.one(f"{payload.name}, line {line}", message, REMEDY) from None
    except UnicodeError as error:  # codecs of domain names and the like
        raise DataError.one(payload.name, f"The encoding {encoding!r} reads no texts ({error}).", REMEDY) from None


def wide_encoding(head: bytes) -> str | None:
    """Detects UTF-16 without a byte-order mark by NUL in every other byte, as in Western text."""
    even, odd = head[0::2], head[1::2]
    if len(head) < 8:
        return None
    if odd.count(0) > 0.6 * len(odd) and even.count(0) < 0.05 * len(even):
        return "utf-16-le"
    if even.count(0) > 0.6 * len(even) and odd.count(0) < 0.05 * len(odd):
        return "utf-16-be"
    return None


def guess(payload: Payload) -> Decoded:
    """Decodes a file that is not UTF-8: if most lines beyond ASCII are valid UTF-8, they stay so; the others are cp1252."""
    lines = LINE_WITH_END.findall(payload.data)
    valid, broken = 0, []  # number and positions of the lines beyond ASCII that are UTF-8, and that are not
    for i, line in enumerate(lines):
        try:
            line.decode("utf-8")
            valid += not line.isascii()
        except UnicodeDecodeError:
            broken.append(i)
    reject_other_scripts(payload, [lines[i] for i in broken])
    keeps_utf8 = valid >= len(broken)
    guessed = broken if keeps_utf8 else [i for i, line in enumerate(lines) if not line.isascii()]
    try:
        b"".join(lines[i] for i in guessed).decode("cp1252")
        codec = "cp1252"
    except UnicodeDecodeError:  # cp1252 does not define every byte
        codec = "latin-1"
    chosen = set(guessed)
    text = "".join(line.decode(codec if i in chosen else "utf-8") for i, line in enumerate(lines))
    rest = " The other lines are UTF-8." if keeps_utf8 and valid else ""
    lines_are = plural(len(guessed), "line", "is", "are")
    note = f"{lines_are} not UTF-8 and read as {codec}, a guess.{rest} Set data.encoding if they look wrong."
    return Decoded(text, {i + 1: f"not UTF-8, read as {codec}" for i in guessed}, (note,))


def reject_other_scripts(payload: Payload, lines: list[bytes]) -> None:
    """Raises DataError if most letters are not Latin: decoded as cp1252 they would be noise."""
    sample = b"".join(lines)[:200_000]
    high, latin = len(HIGH_BYTE.findall(sample)), len(LATIN_LETTER.findall(sample))
    if high > 8 and high > 0.4 * (high + latin):
        share = round(100 * high / (high + latin))
        message = f"The file is neither UTF-8 nor Western European text: {share} % of the letters on such lines are not Latin."
        raise DataError.one(payload.name, message, REMEDY)


def without_nul(decoded: Decoded) -> Decoded:
    """Removes NUL characters and reports their lines as repaired."""
    if "\0" not in decoded.text:
        return decoded
    repaired = dict(decoded.repaired)
    for number, line in enumerate(split_lines(decoded.text), start=1):
        if "\0" in line:
            repaired.setdefault(number, "NUL bytes removed")
    return Decoded(decoded.text.replace("\0", ""), repaired, decoded.notes)
