"""Reads a run folder for the reports: the result, the log, the predictions and the resolved recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import InputError
from tunesmith.results import RunResult


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
    """Loads the run in a folder.

    Raises:
        InputError: ``result.json`` is missing or unreadable, or ``predictions.parquet`` is unreadable.
    """
    run = Path(run)
    events, notes = read_log(run / "metrics.jsonl")
    resolved = run / "resolved.yaml"
    return SavedRun(
        name=run.absolute().name.removesuffix(".partial"),
        result=read_result(run / "result.json"),
        events=events,
        notes=notes,
        predictions=read_predictions(run / "predictions.parquet"),
        resolved=resolved.read_text(encoding="utf-8", errors="replace") if resolved.exists() else "",
        heat_map=read_part(run / "heat_map.json", {"texts", "before", "after", "split"}),
        answers=read_part(run / "answers.json", {"seen", "answers", "split"}),
    )


def read_result(path: Path) -> RunResult:
    """Reads the result; null values count as absent."""
    if not path.is_file():
        message = "there is no result.json here, so this is not a finished run."
        raise InputError.one(str(path.parent), message, "Name the folder of a finished run.")
    plain = read_json(path, "Train the run again, or restore the file.")
    if not isinstance(plain, dict):
        raise InputError.one(str(path), "the file is JSON, but not the result of a run.", "Name the folder of a finished run.")
    return RunResult.from_json({"task": "", **{key: value for key, value in plain.items() if value is not None}})


def read_json(path: Path, remedy: str) -> Any:
    """Parses a JSON file. Raises InputError with the remedy if it is invalid."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError.one(str(path), f"the file is not JSON ({error}).", remedy) from error


def read_log(path: Path) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Reads the log entries; returns a note if some lines are not JSON objects, as after an interruption."""
    if not path.exists():
        return (), ()
    events, n_broken = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            event = None
        if isinstance(event, dict):
            events.append(event)
        elif line.strip():
            n_broken += 1
    note = f"{n_broken} line{'s' * (n_broken != 1)} of metrics.jsonl could not be read and are not in the curves."
    return tuple(events), (note,) if n_broken else ()


def read_part(path: Path, keys: set[str]) -> dict[str, Any] | None:
    """Reads a JSON object with these keys; None if the file or a key is missing."""
    part = read_json(path, "Remove it, or train the run again.") if path.is_file() else None
    return part if isinstance(part, dict) and keys <= part.keys() else None


def read_predictions(path: Path) -> dict[str, list[Any]] | None:
    """Reads the predictions as column name -> values; None if there are none."""
    if not path.exists():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        message = f"the file is not readable as parquet ({error})."
        raise InputError.one(str(path), message, "Train the run again, or restore the file.") from error
    return {name: table.column(name).to_pylist() for name in table.column_names}
