"""A run folder as a report reads it: the result, the log, the predictions and the resolved recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import InputError
from tunesmith.results import RunResult


@dataclass(frozen=True)
class SavedRun:
    """What a finished run left.

    Attributes:
        name: the folder's name, without the mark of a folder that is still being written.
        events: the log, oldest first; empty where there is none.
        predictions: column name -> values, all of the same length; empty where there are none.
        resolved: the resolved recipe as YAML text; empty where it was not saved.
        notes: what could not be read, as sentences for the reader.
        heat_map: of an embedding run: a few texts and their cosines before and after; None where there is none.
        answers: of a language model: what its loss sees of a few rows, and a few answers; None where there are none.
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
        """The columns of the predictions, with the rows of that split only."""
        columns = self.predictions or {}
        chosen = [i for i, name in enumerate(columns.get("split", ())) if name == split]
        return {name: [values[i] for i in chosen] for name, values in columns.items()}


def load(run: Path) -> SavedRun:
    """The run saved in a folder.

    Raises:
        InputError: the folder holds no readable ``result.json`` or an unreadable ``predictions.parquet``.
    """
    run = Path(run)
    events, notes = read_log(run / "metrics.jsonl")
    resolved = run / "resolved.yaml"
    return SavedRun(
        name=run.absolute().name.removesuffix(".partial"), result=read_result(run / "result.json"), events=events, notes=notes,
        predictions=read_predictions(run / "predictions.parquet"),
        resolved=resolved.read_text(encoding="utf-8", errors="replace") if resolved.exists() else "",
        heat_map=read_part(run / "heat_map.json", {"texts", "before", "after", "split"}),
        answers=read_part(run / "answers.json", {"seen", "answers", "split"}),
    )  # fmt: skip


def read_result(path: Path) -> RunResult:
    """The result; parts that are null count as absent."""
    if not path.is_file():
        raise InputError.one(
            str(path.parent), "there is no result.json here, so this is not a finished run.", "Name the folder of a finished run."
        )
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError.one(
            str(path), f"the file is not JSON ({error}).", "Train the run again, or restore the file."
        ) from error
    if not isinstance(plain, dict):
        raise InputError.one(str(path), "the file is JSON but no run result.", "Name the folder of a finished run.")
    return RunResult.from_json({"task": "", **{key: value for key, value in plain.items() if value is not None}})


def read_log(path: Path) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The events of a log and notes on lines that are no JSON object, as a stopped process leaves them."""
    if not path.exists():
        return (), ()
    events, broken = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        event = parse_line(line)
        if event is not None:
            events.append(event)
        elif line.strip():
            broken += 1
    notes = (
        (f"{broken} line{'s' * (broken != 1)} of metrics.jsonl could not be read and are not in the curves.",) if broken else ()
    )
    return tuple(events), notes


def parse_line(line: str) -> dict[str, Any] | None:
    """The JSON object of one line, or None where it holds none."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def read_part(path: Path, keys: set[str]) -> dict[str, Any] | None:
    """A JSON object of the run folder; None where none with these keys was saved."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError.one(str(path), f"the file is not JSON ({error}).", "Remove it, or train the run again.") from error
    return found if isinstance(found, dict) and keys <= found.keys() else None


def read_predictions(path: Path) -> dict[str, list[Any]] | None:
    """The columns of the predictions as plain lists, or None where none were saved."""
    if not path.exists():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError.one(
            str(path), f"the file is no readable parquet ({error}).", "Write it again with `tunesmith evaluate`."
        ) from error
    return {name: table.column(name).to_pylist() for name in table.column_names}
