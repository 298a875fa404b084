"""Computes numbers for many rows in parts that survive an interruption, and reads the parts again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.disk import require_file_place, take_lock, whole_file, write_text
from tunesmith.errors import Interrupted, OutputError
from tunesmith.progress import Event, Listener
from tunesmith.run_folder import LOCK

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STATE = "state.json"
Compute = Callable[[list[int], Callable[[int], None]], Array]
"""Positions of rows (n), and a function that takes the number of finished ones -> their numbers (n, D)."""


@dataclass(frozen=True)
class Work:
    """One output file that is computed in parts.

    Attributes:
        noun: names the work in messages: ``embedding``.
        suffixes: of the formats that the output can have.
        rows_per_part: rows of one part, which an interruption costs at most.
    """

    noun: str
    path: Path
    suffixes: tuple[str, ...]
    rows_per_part: int

    @property
    def parts(self) -> Path:
        """The folder of the finished parts."""
        return self.path.with_name(f"{self.path.name}.parts")

    def part(self, number: int) -> Path:
        return self.parts / f"part-{number:06d}.npy"

    def starts(self, n_rows: int) -> range:
        """Returns the first position of each part in the order of the rows."""
        return range(0, n_rows, self.rows_per_part)


def require_place(work: Work, data: object, resume: bool, overwrite: bool) -> None:
    """Raises OutputError if the output cannot be written there, or another file is in the way."""
    path, parts = work.path, work.parts
    if path.suffix not in work.suffixes:
        message = f"{work.noun}s cannot be written as {path.suffix or 'a file without a suffix'}."
        raise OutputError.one(str(path), message, f"Use one of {', '.join(work.suffixes)}.")
    require_file_place(path, data)
    if path.exists() and not overwrite:
        raise OutputError.one(str(path), "there is such a file.", "Choose another name, or replace it with --overwrite.")
    if parts.exists() and not (parts / STATE).exists() and set(os.listdir(parts)) - {LOCK}:
        message = f"this is no unfinished {work.noun}, and its name is needed."
        raise OutputError.one(str(parts), message, "Choose another output.")
    if (parts / LOCK).exists():
        take_lock(parts / LOCK).close()
    if parts.exists() and not (resume or overwrite):
        remedy = "Continue it with --resume, or start over with --overwrite."
        raise OutputError.one(str(path), f"an unfinished {work.noun} is at {parts}.", remedy)
    if resume and not (parts / STATE).exists():
        raise OutputError.one(str(path), f"there is no unfinished {work.noun} at {parts}.", "Start it without --resume.")


def begin(work: Work, settings: DataclassInstance, resume: bool) -> TextIO:
    """Makes the folder of parts, or checks that an unfinished one has these settings; returns its lock."""
    parts, plain = work.parts, json.loads(json.dumps(asdict(settings)))
    if resume:
        before = read_state(work)
        changed = [f"{key} was {before.get(key)!r} and is {plain[key]!r}" for key in plain if before.get(key) != plain[key]]
        if changed:
            message = f"the unfinished {work.noun} has other settings: {'; '.join(changed)}."
            raise OutputError.one(str(parts), message, "Set them back, or start over with --overwrite.")
        return take_lock(parts / LOCK)
    parts.mkdir(exist_ok=True)
    lock = take_lock(parts / LOCK)
    for old in (path for path in parts.iterdir() if path.name != LOCK):
        old.unlink()
    write_text(parts / STATE, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
    return lock


def read_state(work: Work) -> dict[str, Any]:
    """Reads the settings of an unfinished work. Raises OutputError if they are damaged."""
    place = work.parts / STATE
    try:
        state = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        state = error
    if not isinstance(state, dict):
        raise OutputError.one(str(place), f"the settings of the unfinished {work.noun} cannot be read.", "Use --overwrite.")
    return state


def longest_first(lengths: Sequence[int]) -> Array:
    """Returns positions of rows, the longest first (little padding, and a lack of memory shows at once); none below 0."""
    found = np.array(lengths)
    order = np.argsort(-found, kind="stable")
    return order[found[order] >= 0]


def write_parts(work: Work, order: Array, compute: Compute, listener: Listener) -> int:
    """Writes the missing parts; returns the number of rows in the others. Raises Interrupted on Ctrl-C; finished parts stay."""
    phase, n_kept = f"{work.noun}s", 0
    listener(Event("phase", phase))
    try:
        for number, start in enumerate(work.starts(len(order))):
            rows, place = order[start : start + work.rows_per_part], work.part(number)
            if place.exists():
                n_kept += len(rows)
                continue

            def progress(done: int, start: int = start) -> None:
                listener(Event("step", phase, start + done, len(order)))

            with whole_file(place) as part:
                np.save(part, compute(rows.tolist(), progress))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; the finished parts are kept in {work.parts}. Continue with --resume.") from None
    return n_kept


def fill(matrix: Array, work: Work, order: Array) -> None:
    """Puts the numbers of all parts into a matrix (N, D), in the order of the rows, in place."""
    for number, start in enumerate(work.starts(len(order))):
        matrix[order[start : start + work.rows_per_part]] = load_part(work.part(number))


def load_part(path: Path) -> Array:
    """Reads one part. Raises OutputError if the file is damaged."""
    try:
        part: Array = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise OutputError.one(str(path), f"the part cannot be read ({error}).", "Start over with --overwrite.") from error
    return part
