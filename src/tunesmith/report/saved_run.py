"""Reads a run folder for the reports: the result, the log, the predictions and the resolved recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.disk import read_json
from tunesmith.errors import InputError
from tunesmith.report.missing_run import require_there
from tunesmith.results import RunResult
from tunesmith.run_folder import require_finished


@dataclass(frozen=True)
class SavedRun:
    """The content of a run folder.

    Attributes:
        name: the name of the folder, without the suffix of an unfinished run.
        events: the log entries, oldest first; empty without a log.
        predictions: column name -> values, all of the same length; None without predictions.
        resolved: the resolved recipe as YAML text; empty if it was not saved.
        notes: messages about unreadable parts.
        heat_map: embedding runs: a few texts and their cosine similarities before and after training; None otherwise.
        answers: language models: supervised tokens of a few rows, and a few answers; None otherwise.
    """

    name: str
    result: RunResult
    events: tuple[dict[str, Any], ...] = ()
    predictions: dict[str, list[Any]] | None = None
    resolved: str = ""
    notes: tuple[str, ...] = ()
    heat_map: dict[str, Any] | None = None
    answers: dict[str, Any] | None = None

    def rows(self, split: str) -> dict[str, list[Any]]:
        """Selects the predictions of one split."""
        columns = self.predictions or {}
        selected = [i for i, name in enumerate(columns.get("split", ())) if name == split]
        return {name: [values[i] for i in selected] for name, values in columns.items()}


def load(run: Path) -> SavedRun:
    """Loads the finished run in a folder. Raises InputError if it is not finished, or a file of it is missing or damaged."""
    require_finished(run)
    return read(Path(run))


def read(run: Path) -> SavedRun:
    """Reads the files of a run folder, which may still be the working folder. Raises InputError for a damaged file."""
    events, notes = read_log(run / "metrics.jsonl")
    resolved = run / "resolved.yaml"
    return SavedRun(
        name=run.absolute().name.removesuffix(".partial"),
        result=read_result(run / "result.json"),
        events=events,
        notes=notes,
        predictions=read_predictions(run / "predictions.parquet"),
        resolved=resolved.read_text(encoding="utf-8", errors="replace") if resolved.exists() else "",
        heat_map=read_part(run / "heat_map.json", HeatMapShape),
        answers=read_part(run / "answers.json", AnswersShape),
    )


def read_result(path: Path) -> RunResult:
    """Reads the result. Raises InputError if it is missing or damaged."""
    if not path.is_file():
        require_there(path.parent)
        message = "there is no result.json here, so this is not a finished run."
        raise InputError.one(str(path.parent), message, "Name the folder of a finished run.")
    return RunResult.load(path)


def read_log(path: Path) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Reads the log entries; returns a note if some lines are not JSON objects, as after an interruption."""
    if not path.exists():
        return (), ()
    events, n_broken = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and isinstance(event.get("metrics") or {}, dict):
            events.append(event)
        elif line.strip():
            n_broken += 1
    note = f"{n_broken} line{'s' * (n_broken != 1)} of metrics.jsonl could not be read and are not in the curves."
    return tuple(events), (note,) if n_broken else ()


@dataclass(frozen=True)
class HeatMapShape:
    """The texts of a heat map and their cosine similarities, one row and one column a text."""

    split: str
    texts: list[str]
    before: list[list[float | int]]
    after: list[list[float | int]]

    def __post_init__(self) -> None:
        n = len(self.texts)
        for matrix in (self.before, self.after):
            if [len(row) for row in matrix] != [n] * n:
                raise ValueError(f"{n} texts need {n} rows of {n} similarities")


@dataclass(frozen=True)
class SeenShape:
    """The tokens of a row, each with whether it is supervised."""

    row_id: int
    runs: list[tuple[str, bool]]


@dataclass(frozen=True)
class AnswersShape:
    """The answers of every system to a few rows: system -> text, beside the row's own columns."""

    split: str
    seen: list[SeenShape]
    answers: list[dict[str, str | int | None]]

    def __post_init__(self) -> None:
        if any("row_id" not in answer for answer in self.answers):
            raise ValueError("an answer has no row_id")


def read_part(path: Path, shape: type) -> dict[str, Any] | None:
    """Reads a JSON file of this shape; None if there is none. Raises InputError if it is damaged."""
    part: dict[str, Any] | None = read_json(path, shape, "Remove it, or train the run again.") if path.is_file() else None
    return part


def read_predictions(path: Path) -> dict[str, list[Any]] | None:
    """Reads the predictions as column name -> values; None if there are none. Raises InputError if the file is damaged."""
    if not path.exists():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"the file is not readable as parquet ({error})."
        raise InputError.one(str(path), message, "Train the run again, or restore the file.") from error
    wrong = [
        name
        for name, kinds in COLUMN_TYPES.items()
        if name in columns and not str(table.schema.field(name).type).startswith(kinds)
    ]
    empty = [name for name in ("row_id", "split") if None in columns.get(name, ())]
    if wrong or empty:
        name = [*wrong, *empty][0]
        message = f"the column {name} has the type {table.schema.field(name).type}{' and empty cells' if name in empty else ''}."
        raise InputError.one(str(path), message, "Train the run again, or restore the file.")
    return columns


NUMBERS = ("double", "float", "halffloat", "int", "uint", "null")
COLUMN_TYPES: dict[str, tuple[str, ...]] = {
    "row_id": ("int", "uint"),
    "split": ("string", "large_string"),
    "loss": NUMBERS,
    "score": NUMBERS,
    "n_tokens": NUMBERS,
    "n_bytes": NUMBERS,
    "pred_probs": ("list", "large_list", "fixed_size_list", "null"),
    "text": ("string", "large_string", "null"),
    "pair": ("string", "large_string", "null"),
}
"""Column -> how the names of its possible types begin."""
