"""Counts how often each test set was evaluated, in a small file beside the runs.

Of several runs that are equally good, the best on one test set is better there by chance: the more looks, the more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

from tunesmith.disk import hash_file
from tunesmith.report.saved_run import read_predictions
from tunesmith.report.words import main_metric, part
from tunesmith.results import RunResult
from tunesmith.run_folder import PREDICTIONS, RESULT
from tunesmith.workflows.inputs import hash_table

LOOKS = "test_looks.jsonl"
JUDGED = frozenset({"test", "retrieval"})
"""Splits that select nothing."""
INTERVAL_WIDTH = 2 * NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Look:
    """One finished evaluation of a test set.

    Attributes:
        test: identifies its rows, see ``test_key``.
        run: the name of the run's folder.
        error: the standard error of the metric's value, a quarter of its interval; 0 without an interval.
    """

    test: str
    run: str
    metric: str
    value: float
    error: float
    date: str


def with_train_look(result: RunResult, work: Path, final: Path) -> RunResult:
    """Counts the evaluation at the end of a training; returns the result with the number of looks in ``data.test_looks``.

    Args:
        work: the folder that holds the run's predictions.
        final: the run folder; the file of looks is beside it.
    """
    metric = main_metric(result)
    return result if metric is None else add_look(result, test_key(result, metric.split, work), final)


def with_file_look(result: RunResult, data: object, run: str) -> RunResult:
    """Counts the evaluation of a run on a file or a table in memory.

    Other models than runs, and data that are neither, such as folders and hub data sets, are not counted.
    """
    folder = Path(run)
    if not (folder / RESULT).is_file():
        return result
    if not isinstance(data, str | Path):
        return add_look(result, hash_table(data), folder)
    return add_look(result, hash_file(Path(data)), folder) if Path(data).is_file() else result


def add_look(result: RunResult, test: str, run: Path) -> RunResult:
    """Appends a look to the file beside the run, and returns the result with their number so far."""
    metric = main_metric(result)
    if metric is None or metric.value is None or metric.split not in JUDGED:
        return result
    error = 0.0 if metric.low is None or metric.high is None else (metric.high - metric.low) / INTERVAL_WIDTH
    look = Look(test, run.name, metric.name, metric.value, error, datetime.now(UTC).isoformat(timespec="seconds"))
    path = run.absolute().parent / LOOKS
    is_cut_off = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * is_cut_off + json.dumps(asdict(look), ensure_ascii=False) + "\n")
    n_looks = sum(other.test == test for other in read_looks(path))
    looks = {"count": n_looks, "best_too_kind_by": expected_largest(n_looks) * error, "file": str(path)}
    return replace(result, data={**result.data, "test_looks": looks})


def read_looks(path: Path) -> list[Look]:
    """Reads the looks; lines that are none (of another version, or cut off) are left out."""
    looks = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            looks.append(Look(**json.loads(line)))
        except (json.JSONDecodeError, TypeError):
            continue
    return looks


def expected_largest(n: int) -> float:
    """Returns the expected largest of n independent standard normals (Blom 1958: the quantile of (n - 0.375) / (n + 0.25)).

    Looks at one test set share its rows, so that they differ by less: the result is an upper limit.
    """
    return max(0.0, NormalDist().inv_cdf((n - 0.375) / (n + 0.25))) if n > 1 else 0.0


def test_key(result: RunResult, split: str, work: Path) -> str:
    """Identifies the rows of a split: the sha256 of its file, or of a share's rows and texts."""
    record, source = part(result.data, "splits", split), part(result.recipe, "data").get(split)
    if record.get("sha256") and isinstance(source, str) and source != "auto":
        return str(record["sha256"])
    predictions = read_predictions(work / PREDICTIONS) or {}
    rows = zip(*(predictions.get(name, ()) for name in ("split", "row_id", "text")), strict=False)
    digest = hashlib.sha256(str(record.get("sha256", "")).encode())
    for name, row_id, text in rows:
        if name == split:
            digest.update(f"\n{row_id} {text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
