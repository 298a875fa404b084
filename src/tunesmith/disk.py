"""Reads JSON of a known shape, writes files whole or not at all, locks and hashes them, and explains what a full disk lacks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from tunesmith.errors import InputError, OutputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_TEXTS = ("No space left", "File too large", "Disk quota exceeded", "inline_container.cc", "PytorchStreamWriter failed")
"""Parts of the messages of safetensors and torch, which raise no OSError when a disk is full."""
PART = ".part-"
"""How the name of an unfinished file begins."""
FREE_SOME = "Free some space, or choose another output."


@contextmanager
def whole_file(path: Path, n_bytes: int | None = None) -> Iterator[Path]:
    """Yields a new path beside a file to write to, and renames it to the file at the end; after an error nothing is left of it.

    A link stays a link: the file that it leads to is replaced. A device such as /dev/stdout is written directly.

    Args:
        n_bytes: size of the content, if it is known.

    Raises OutputError: there is no space, or the place cannot be written to. The earlier file is then unchanged.
    """
    require_file_place(path)
    if path.exists() and not path.is_file():
        yield path
        return
    target = Path(os.path.realpath(path))
    part = target.with_name(f"{PART}{os.getpid()}{''.join(target.suffixes)[-40:]}")
    try:
        yield part
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except OSError as error:
        raise output_error(path, error, part, n_bytes) from error
    finally:
        part.unlink(missing_ok=True)


def require_file_place(path: Path, *sources: object) -> None:
    """Raises OutputError if no file can be written at a path, so that this is known before the work.

    Args:
        sources: files that are read, which are never replaced; other values are ignored.
    """
    files = [source for source in sources if isinstance(source, str | os.PathLike) and os.path.exists(source)]
    if path.exists() and any(os.path.samefile(path, file) for file in files):
        raise OutputError.one(str(path), "this is the file that is read, and it would be lost.", "Choose another output.")
    if path.is_dir():
        raise OutputError.one(str(path), "this is a folder; a file is written here.", "Give the name of a file.")
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OutputError.one(str(path), "this is a link that leads to itself.", "Remove it, or choose another place.")
    parent, link = real.parent, f"this is a link to {real}, and " if path.is_symlink() else ""
    if not parent.is_dir():
        folder = parent if link else path.parent
        message = f"{link}the folder {folder} does not exist."
        raise OutputError.one(str(path), message, "Create it first, or choose another place.")
    if not os.access(path if path.exists() else parent, os.W_OK):
        raise OutputError.one(str(path), "this place cannot be written to.", "Choose another place.")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; raises as ``whole_file``."""
    with whole_file(path, len(content)) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8 whole or not at all; raises as ``whole_file``."""
    write_bytes(path, text.encode("utf-8"))


def write_lines(path: Path, events: list[dict[str, Any]]) -> None:
    """Replaces a JSON-lines file by these objects."""
    write_text(path, "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))


def remove_all_but(folder: Path, names: Sequence[str]) -> None:
    """Removes every file and folder in a folder whose name is not listed."""
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def output_error(path: Path, error: BaseException, part: Path | None = None, n_bytes: int | None = None) -> OutputError:
    """Makes the error about a file that could not be written: the file and the reason; for a full disk also need and free space.

    Args:
        part: the unfinished file, whose space counts as free.
    """
    if not is_full(error):
        reason = getattr(error, "strerror", None) or str(error)
        made = OutputError.one(str(path), f"it cannot be written: {reason}.", "Choose another place.")
    else:
        written = part.stat().st_size if part is not None and part.exists() else 0
        need = f"more than {megabytes(written)}" if n_bytes is None else megabytes(n_bytes)
        free = megabytes(free_bytes(path.absolute().parent) + written)
        limit = " (a limit of the size of files)" if getattr(error, "errno", None) == errno.EFBIG else ""
        made = OutputError.one(str(path), f"no space left{limit}: it needs {need}, {free} are free.", FREE_SOME)
    assert isinstance(made, OutputError)
    return made


def is_full(error: BaseException) -> bool:
    """Tells whether an error of any library says that the disk is full."""
    return getattr(error, "errno", None) in FULL or any(text in str(error) for text in FULL_TEXTS)


@contextmanager
def disk_errors(folder: Path, remedy: str = FREE_SOME, needed: int | None = None) -> Iterator[None]:
    """Turns the error of a full disk, raised by any library that writes into the folder, into OutputError with this remedy.

    Args:
        needed: bytes of all that is written, if they are known.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error) or isinstance(error, OutputError):
            raise
        place = getattr(error, "filename", None) or folder
        need = "" if needed is None else f"about {megabytes(needed)} are needed in all, "
        message = f"no space left: {need}{megabytes(free_bytes(folder))} are free."
        raise OutputError.one(str(place), message, remedy) from error


def require_space(folder: Path, n_bytes: int, purpose: str) -> None:
    """Raises OutputError if the disk has less than that many free bytes."""
    free = free_bytes(folder)
    if free < n_bytes:
        message = f"{purpose} needs {megabytes(n_bytes)} of disk, {megabytes(free)} are free."
        raise OutputError.one(str(folder), message, FREE_SOME)


def free_bytes(folder: Path) -> int:
    """Returns the free bytes on the disk that holds ``folder`` or its nearest existing parent."""
    return shutil.disk_usage(nearest_folder(Path(os.path.realpath(folder)))).free


def nearest_folder(path: Path) -> Path:
    """Returns the folder itself or its nearest parent that exists."""
    while not path.is_dir():
        path = path.absolute().parent
    return path


def megabytes(n_bytes: int) -> str:
    """Formats a size in MB of 1,000,000 bytes: whole ones, and tenths below ten."""
    return f"{n_bytes / 1e6:,.0f} MB" if n_bytes >= 10_000_000 else f"{n_bytes / 1e6:.1f} MB"


@contextmanager
def uninterrupted() -> Iterator[list[str]]:
    """Holds Ctrl-C and SIGTERM back while files get their final names; yields the list that receives the names of the signals.

    Handlers can only be set in the main thread; elsewhere no signal arrives.
    """
    received: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def take_lock(path: Path) -> TextIO:
    """Locks a file, which is made, and writes into it who holds it; returns it open.

    It is free again when it is closed, or the process ends.

    Raises OutputError if another process has it. A process on another host counts as running: only its record is known.
    """
    own = socket.gethostname()
    while True:
        file = path.open("a+", encoding="utf-8", errors="replace")
        file.seek(0)
        holder = read_holder(file.read())
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise locked_error(path, holder, "Wait for it or stop it, or choose another output.") from None
        if is_same_file(file, path):  # else the earlier holder has just removed it
            break
        file.close()
    if holder.get("host", own) != own:
        file.close()
        raise locked_error(path, holder, f"If that process has ended, remove {path}.")
    file.truncate(0)
    file.write(json.dumps({"host": own, "pid": os.getpid(), "started": time.strftime("%Y-%m-%d %H:%M:%S")}))
    file.flush()
    return file


def read_holder(text: str) -> dict[str, Any]:
    """Parses the record in a lock; empty if the process was killed before it was written."""
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def locked_error(path: Path, holder: dict[str, Any], remedy: str) -> InputError:
    pid, host, started = (holder.get(key, "unknown") for key in ("pid", "host", "started"))
    message = f"another process is writing here: process {pid} on {host}, started {started}."
    return OutputError.one(str(path.parent), message, remedy)


def is_same_file(file: TextIO, path: Path) -> bool:
    """Tells whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path, patterns: Sequence[str], suffixes: Sequence[str]) -> str:
    """Returns the sha256 of the names and contents of the files below a folder that match a pattern and have a suffix.

    Hidden files are left out.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        if path.is_file() and not path.name.startswith(".") and path.suffix in suffixes:
            digest.update(f"{path.relative_to(folder)}\0{hash_file(path)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_json(path: Path, shape: type, remedy: str = "Restore the file, or train the run again.") -> Any:
    """Reads a JSON file of this shape (a dataclass) as plain types.

    Raises InputError with file, place and reason if it cannot be read, is not JSON, has another shape, or holds a number that
    is not finite.
    """
    from pydantic import ValidationError

    try:
        content = path.read_bytes()
        plain = json.loads(content)
        adapter(shape).validate_json(json.dumps(plain), strict=True)
        wrong = next(not_finite(plain), None)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = f"the file is damaged, or of another kind: {f'{place}: ' if place else ''}{first['msg']}."
        raise InputError.one(str(path), message, remedy) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError.one(str(path), f"the file is not JSON ({error}).", remedy) from error
    if wrong is not None:
        raise InputError.one(str(path), f"the file is damaged, or of another kind: {wrong}: no finite number.", remedy)
    return plain


@cache
def adapter(shape: type) -> Any:
    """Returns pydantic's validator of a dataclass."""
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def not_finite(value: object, place: str = "") -> Iterator[str]:
    """Yields the place of every number that is NaN, infinite or too large for a float: ``data.splits.test.rows``."""
    if isinstance(value, dict | list):
        items: Iterable[tuple[object, object]] = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from not_finite(item, f"{place}.{key}" if place else str(key))
    elif not is_finite(value):
        yield place


def is_finite(value: object) -> bool:
    """Returns whether a value is no number, or one that a float can hold."""
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:
        return False
