"""Counts how often each test set was evaluated, in a small file beside the runs.

Of several runs that are equally good, the best on one test set is better there by chance: the more looks, the more.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist
from typing import Any

from tunesmith.data.readers.hashes import hash_given
from tunesmith.data.run_rows import run_of_model
from tunesmith.recipe.sections import AUTO
from tunesmith.report.saved_run import read_predictions
from tunesmith.report.words import RETRIEVAL, main_metric, main_split, part
from tunesmith.results import Metric, RunResult
from tunesmith.run_folder import PREDICTIONS
from tunesmith.tasks.finished import Run, folder_of

LOOKS = "test_looks.jsonl"
JUDGED = frozenset({"test", RETRIEVAL})
"""Splits that select nothing."""
INTERVAL_WIDTH = 2 * NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Look:
    """One finished evaluation of a test set.

    Attributes:
        test: identifies its rows, see ``test_key``.
        run: the name of the run's folder, with the path of a model that it kept.
        error: the standard error of the metric's value, a quarter of its interval; 0 without an interval.
    """

    test: str
    run: str
    metric: str
    value: float
    error: float
    date: str


def with_train_look(
    result: RunResult, work: Path, final: Path, inputs: Mapping[str, str], *, is_resumed: bool = False
) -> RunResult:
    """Counts the evaluation at the end of a training on each of its test sets; ``data.test_looks`` is that of the primary one.

    Args:
        work: the folder that holds the run's predictions.
        final: the run folder; the file of looks is beside it.
        inputs: recipe key -> sha256, see ``workflows.inputs``.
        is_resumed: the training was resumed, and may have been killed after its look was counted.
    """
    splits = dict.fromkeys(metric.split for metric in result.metrics)
    records = {split: look_at(result, split, test_key(result, split, work, inputs), final, is_resumed) for split in splits}
    return with_record(result, records.get(main_split(result)))


def with_look(result: RunResult, data: object, *models: object) -> RunResult:
    """Counts an evaluation on a file, a folder or a table in memory beside the first of the models that is a run.

    Other models than runs are not counted, nor are hub data.
    """
    folder = next((path for path in map(run_path, models) if path is not None), None)
    key = "" if folder is None else hash_given(data)
    return with_record(result, look_at(result, main_split(result), key, folder)) if folder is not None and key else result


def count_compared(metric: Metric, data: object, model: object) -> dict[str, Any] | None:
    """Counts the value of one compared model on a file or a table in memory; None if it is not counted, as in ``with_look``."""
    folder = run_path(model)
    key = "" if folder is None or metric.value is None else hash_given(data)
    return count_look(metric, key, *place_of(folder)) if folder is not None and key else None


def with_record(result: RunResult, looks: Mapping[str, Any] | None) -> RunResult:
    """Returns the result with the number of looks in ``data.test_looks``; the same result without one."""
    return result if looks is None else replace(result, data={**result.data, "test_looks": looks})


def run_path(model: object) -> Path | None:
    """Returns the folder of a run, or of a model that one kept; None for every other model."""
    path = folder_of(model) if isinstance(model, Run | str | Path) else None
    return None if path is None or run_of_model(path) is None else path


def place_of(model: Path) -> tuple[str, Path]:
    """Returns the name in the folder of runs, of a run or a model that it kept (``RUN/checkpoints/step-4``), and that folder."""
    folder = (run_of_model(model) or model).absolute().parent
    return os.path.relpath(model.absolute(), folder), folder


def look_at(result: RunResult, split: str, test: str, run: Path, is_resumed: bool = False) -> dict[str, Any] | None:
    """Appends a look to the file beside the run, and returns the number of looks at this test set so far.

    None, and nothing is written, if the split selects something or nothing was measured on it.
    """
    metric = main_metric(result, split)
    if metric is None or metric.value is None or split not in JUDGED:
        return None
    return count_look(metric, test, *place_of(run), is_resumed)


def count_look(metric: Metric, test: str, run: str, folder: Path, is_resumed: bool = False) -> dict[str, Any]:
    """Appends a look to the file in a folder of runs, and returns the number of looks at this test set so far.

    Without a number, and with a ``problem``, if the file cannot be read or written: the evaluation itself is whole.

    Args:
        metric: a value on the test set.
        test: identifies its rows, see ``test_key``.
        run: the name of the run.
        is_resumed: a look of the same run with the same value is the same look.
    """
    error = 0.0 if metric.low is None or metric.high is None else (metric.high - metric.low) / INTERVAL_WIDTH
    look = Look(test, run, metric.name, metric.value or 0.0, error, datetime.now(UTC).isoformat(timespec="seconds"))
    path = folder / LOOKS
    try:
        earlier = read_looks(path) if path.exists() else []
        if not (is_resumed and any(replace(other, date=look.date) == look for other in earlier)):
            is_cut_off = path.exists() and not path.read_bytes().endswith(b"\n")
            with path.open("a", encoding="utf-8") as file:
                file.write("\n" * is_cut_off + json.dumps(asdict(look)) + "\n")
            earlier.append(look)
    except OSError as problem:
        return {"file": str(path), "problem": problem.strerror}
    n_looks = sum(other.test == test for other in earlier)
    return {"count": n_looks, "best_too_kind_by": expected_largest(n_looks) * error, "file": str(path)}


def read_looks(path: Path) -> list[Look]:
    """Reads the looks; lines that are none (of another version, damaged, or cut off) are left out."""
    looks = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            looks.append(Look(**json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            continue
    return looks


def expected_largest(n: int) -> float:
    """Returns the expected largest of n independent standard normals (Blom 1958: the quantile of (n - 0.375) / (n + 0.25)).

    Looks at one test set share its rows, so that they differ by less: the result is an upper limit.
    """
    return max(0.0, NormalDist().inv_cdf((n - 0.375) / (n + 0.25))) if n > 1 else 0.0


def test_key(result: RunResult, split: str, work: Path, inputs: Mapping[str, str]) -> str:
    """Identifies the rows that a training was evaluated on, as ``hash_given`` does; a share of rows by their texts."""
    section = "evaluate" if split == RETRIEVAL else "data"
    source, record = part(result.recipe, section).get(split), part(result.data, "splits", split)
    if isinstance(source, str) and source != AUTO:
        known = record.get("sha256") or inputs.get(f"{section}.{split}") or hash_given(source)
        if known:
            return str(known)
    predictions = read_predictions(work / PREDICTIONS) or {}
    rows = zip(*(predictions.get(name, ()) for name in ("split", "row_id", "text")), strict=False)
    return share_key(str(record.get("sha256", "")), ((row_id, text) for name, row_id, text in rows if name == split))


def share_key(sha256: str, rows: Iterable[tuple[object, object]]) -> str:
    """Identifies a share of a file's rows by the sha256 of the file, and by their numbers and texts as predictions hold them."""
    digest = hashlib.sha256(sha256.encode())
    for row_id, text in rows:
        digest.update(f"\n{row_id} {text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
