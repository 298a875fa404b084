"""Reads, hashes and decompresses the bytes of a data file, and rejects binary formats."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.cells import plural
from tunesmith.errors import DataError

FORMATS = "csv, tsv, json, jsonl or parquet (each also .gz)"

MAX_UNPACKED_BYTES, MAX_RATIO, MOST_BYTES = 256_000_000, 100, 4_000_000_000
"""A gzip file may unpack to the larger of the first size and this multiple of its own (tables rarely shrink to a fiftieth), but
never to more than the last, which no table in memory survives."""

# First bytes -> kind of file, for the kinds that users do give as data.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
SIGNATURES = (
    (b"PK\x03\x04", "a zip archive (an Excel workbook is one)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ARROW1", "an Arrow or Feather file"),
    (b"\x1f\x8b", "a gzip file inside of a gzip file"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf", "a 7-zip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
    *((bytes((0x80, protocol)), "a Python pickle") for protocol in range(2, 6)),
)
# Bytes below 32 that occur in text files: tab, line feed, form feed, carriage return, escape.
TEXT_CONTROLS = frozenset(b"\t\n\x0c\r\x1b")
CONTROLS = bytes(b for b in range(1, 32) if b not in TEXT_CONTROLS)


@dataclass(frozen=True)
class Payload:
    """The content of one file.

    Attributes:
        name: the file as the user wrote it, for messages.
        data: the decompressed bytes.
        suffix: the format's suffix without .gz, lower case.
        sha256: hash of the bytes on disk.
        notes: assumptions, as sentences for the user.
    """

    name: str
    data: bytes
    suffix: str
    sha256: str
    notes: tuple[str, ...] = ()


def read_payload(path: Path, name: str) -> Payload:
    """Reads and decompresses a file. Raises DataError if it is missing, unreadable or empty, or a damaged gzip file."""
    packed = read_bytes(path, name)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    is_gzip = packed[:2] == b"\x1f\x8b"
    named_gzip = bool(suffixes) and suffixes[-1] == ".gz"
    if named_gzip:
        suffixes.pop()
    notes: tuple[str, ...] = ()
    if named_gzip and not is_gzip:
        remedy = "Remove .gz from its name if it is not compressed."
        raise DataError.one(name, "The file is named .gz but is no gzip file.", remedy)
    if is_gzip and not named_gzip:
        notes = ("The file is gzip-compressed although its name does not end in .gz; it was unpacked.",)
    try:
        data = unpack(packed, name) if is_gzip else packed
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        damage = "truncated: it ends before its own end mark" if isinstance(error, EOFError) else f"damaged: {error}"
        raise DataError.one(name, f"The gzip file is {damage}.", "Copy or download it again.") from None
    if data.startswith(LFS_POINTER):
        raise DataError.one(name, "The file is a pointer of Git LFS, and not the data.", "Download the data: git lfs pull.")
    if not data.strip(b" \t\r\n\xef\xbb\xbf"):
        raise DataError.one(name, "The file is empty." if not data else "The file holds nothing but white space.")
    return Payload(name, data, suffixes[-1] if suffixes else "", hashlib.sha256(packed).hexdigest(), notes)


def unpack(packed: bytes, name: str) -> bytes:
    """Decompresses the bytes of a gzip file. Raises DataError if they become more than any table would."""
    limit = min(max(MAX_UNPACKED_BYTES, MAX_RATIO * len(packed)), MOST_BYTES)
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        message = (
            f"The gzip file of {plural(len(packed), 'byte')} unpacks to more than {plural(limit, 'byte')}; a table does not."
        )
        raise DataError.one(name, message, "Unpack it yourself if it is a table after all.")
    return data


def also_tried(path: Path, name: str) -> str:
    """Names the place in the current folder that was tried after the one beside a recipe; empty where the two are one."""
    place, parts = os.path.abspath(name), Path(name).parts
    return "" if place == os.path.abspath(path) or path.parts[-len(parts) :] != parts else f", then for {place}"


def read_bytes(path: Path, name: str) -> bytes:
    """Reads a regular file. Raises DataError if there is none, with files of similar names, or it cannot be read."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            kind = "a pipe" if stat.S_ISFIFO(mode) else "a device" if not stat.S_ISSOCK(mode) else "a socket"
            raise DataError.one(name, f"This is {kind}, not a file, and it may never end.", "Save the rows as a file first.")
        return path.read_bytes()
    except FileNotFoundError:
        remedy = f"There is no folder {path.parent} either."
        if path.parent.is_dir():
            names = sorted(item.name for item in path.parent.iterdir())
            near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
            remedy = f"Did you mean {' or '.join(near)}?" if near else ""
        raise DataError.one(name, f"There is no such file (looked for {path}{also_tried(path, name)}).", remedy) from None
    except OSError as error:
        raise DataError.one(name, f"The file cannot be read: {error.strerror}.") from None


def reject_binary(payload: Payload) -> None:
    """Raises DataError if the bytes are a known binary format, or hold too many control bytes for a text."""
    for signature, kind in SIGNATURES:
        if payload.data.startswith(signature):
            message = f"The file is not text: it is {kind}, whatever its suffix."
            raise DataError.one(payload.name, message, f"Save the table as {FORMATS}.")
    head = payload.data[:1_000_000]
    odd = len(head) - len(head.translate(None, CONTROLS))
    nul = head.count(0)
    # A damaged text file holds a few NULs or control bytes; a binary file holds one in fifty or more.
    if odd * 50 > len(head) or nul * 20 > len(head):
        message = f"The file is not text: {odd + nul} of its first {plural(len(head), 'byte')} are control bytes."
        remedy = f"Save the table as {FORMATS}, and set data.encoding if it is text in a rare encoding."
        raise DataError.one(payload.name, message, remedy)
