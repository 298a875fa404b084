"""Using finished runs: predict new rows, measure on a file, compare runs, follow one row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from tunesmith.data.columns import detect_columns
from tunesmith.data.labelled.examples import make_examples
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Columns, Examples, Labels, Table
from tunesmith.errors import DataError, InputError, ModelError, OutputError
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, Predictions, from_scores
from tunesmith.evaluation.metrics.verdict import verdict
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.language_rules import LANGUAGE_TASKS
from tunesmith.recipe.metric_names import METRICS, primary_metric
from tunesmith.recipe.sections import ColumnsSection, Recipe, TaskName
from tunesmith.results import RunResult, Verdict
from tunesmith.tasks.embedding.compare import against as embedding_verdict
from tunesmith.tasks.finished import ModelInUse, Run, load_for_use
from tunesmith.tasks.language.compare import against as language_verdict

WRITERS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True)
class PredictionTable:
    """Predictions for the rows of a file.

    Attributes:
        rows: in the order of the source: ``row_id``, ``prediction``, and ``probability`` and ``pred_probs`` or ``score``.
        labels: the order of ``pred_probs``.
        dropped: rows that could not be predicted, by reason.
    """

    rows: list[dict[str, Any]]
    labels: tuple[str, ...]
    dropped: dict[str, int]

    def write(self, path: Path) -> None:
        """Write the rows in the format the suffix names, whole or not at all.

        Raises:
            OutputError: a suffix that is none of the formats.
        """
        if path.suffix not in WRITERS:
            raise OutputError.one(
                str(path),
                f"predictions cannot be written as {path.suffix or 'a file without a suffix'}.",
                f"Use one of {', '.join(WRITERS)}.",
            )
        if not path.parent.is_dir():
            raise OutputError.one(str(path), f"the folder {path.parent} does not exist.")
        part = path.with_name(f".{path.name}.part")
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(self.rows), part)
        else:
            part.write_text(self.text(path.suffix), encoding="utf-8")
        part.replace(path)

    def text(self, suffix: str = ".csv") -> str:
        """The rows as csv, tsv, json or jsonl text."""
        if suffix == ".json":
            return json.dumps(self.rows, ensure_ascii=False, indent=1) + "\n"
        if suffix == ".jsonl":
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        out = io.StringIO()
        names = [name for name in (self.rows[0] if self.rows else {"row_id": 0, "prediction": 0}) if name != "pred_probs"]
        writer = csv.DictWriter(
            out, names, delimiter="\t" if suffix == ".tsv" else ",", extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows({**row, "prediction": flat(row["prediction"])} for row in self.rows)
        return out.getvalue()


def flat(value: Any) -> Any:
    """A list of labels as one cell."""
    return "|".join(value) if isinstance(value, list) else value


def predict(
    target: str | Path,
    data: str | TextIO,
    *,
    output: Path | None = None,
    columns: ColumnsSection | None = None,
    listener: Listener = silent,
) -> PredictionTable:
    """Predictions of a finished run for every row of a file, or of a text stream (one text a line, csv or jsonl).

    Raises:
        InputError: no such run or file, or the text column cannot be found.
    """
    if output is not None and output.suffix not in WRITERS:
        raise OutputError.one(str(output), "the format is not known from the suffix.", f"Use one of {', '.join(WRITERS)}.")
    table = read_table(data) if isinstance(data, str) else table_from_stream(data)
    listener(Event("phase", "model"))
    in_use = load_for_use(Path(target))
    found = text_columns(table, in_use, columns or ColumnsSection())
    examples, dropped = unlabelled(table, found)
    listener(Event("phase", "predicting"))
    rows = in_use.rows(in_use.scores(examples.texts, examples.pairs))
    names: list[str] | list[None] = examples.ids or [None] * len(rows)
    whole = [
        {"row_id": row_id, **({"id": name} if name is not None else {}), **row}
        for row_id, name, row in zip(examples.row_ids, names, rows, strict=True)
    ]
    made = PredictionTable(whole, in_use.record.labels.names, dropped)
    if output is not None:
        made.write(output)
    return made


def table_from_stream(stream: TextIO) -> Table:
    """A table from piped text: JSON lines, csv with a header that names a text column, or else one text a line."""
    lines = stream.read().splitlines()
    if not any(line.strip() for line in lines):
        raise DataError.one(
            "standard input", "there is nothing on it.", "Pipe one text a line, csv with a header, or JSON lines."
        )
    first = lines[0].lstrip("\ufeff").strip()
    if first.startswith("{"):
        return table_from_frame(
            [json_object(line, number) for number, line in enumerate(lines, 1) if line.strip()], "standard input"
        )
    header = next(csv.reader([first]))
    if "," in first and any(name.strip().lower() in {"text", "message", "sentence"} for name in header):
        return table_from_frame(list(csv.DictReader(lines)), "standard input")
    return table_from_frame({"text": lines}, "standard input")


def json_object(line: str, number: int) -> dict[str, Any]:
    """One JSON line as a dictionary. Raises DataError that names the line."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError.one(f"standard input:{number}", f"this line is no JSON: {error.msg}.") from None
    if not isinstance(value, dict):
        raise DataError.one(f"standard input:{number}", "this line is no JSON object.")
    return value


def text_columns(table: Table, in_use: ModelInUse, given: ColumnsSection) -> Columns:
    """The text columns of a file: those that were said, those the run was trained with, or those that are found."""
    trained = in_use.record.columns
    text = given.text or (trained["text"] if trained["text"] in table.columns else None)
    pair = given.pair or (trained["pair"] if trained["pair"] in table.columns else None)
    if text is None and len(table.columns) == 1:
        text = next(iter(table.columns))
    if trained["pair"] and pair is None and given.text is None and text is not None:
        raise DataError.one(
            table.source,
            f"the run was trained on pairs ({trained['text']}, {trained['pair']}); the second column is not here.",
            f"Columns: {', '.join(table.columns)}. Say which with --pair.",
        )
    return detect_columns(table, "classification", given.model_copy(update={"text": text, "pair": pair}), need_label=False)


def unlabelled(table: Table, columns: Columns) -> tuple[Examples, dict[str, int]]:
    """The rows with a text, and how many were dropped, by reason."""
    examples = make_examples(table, columns, None, "predict")
    dropped: dict[str, int] = {}
    for bad in examples.bad_rows:
        if bad.dropped:
            dropped[bad.reason] = dropped.get(bad.reason, 0) + 1
    return examples, dropped


def evaluate(
    target: str | Path,
    data: str,
    *,
    split_name: str = "test",
    columns: ColumnsSection | None = None,
    n_resamples: int = 10_000,
    listener: Listener = silent,
) -> RunResult:
    """The task's metrics, with intervals, of a finished run on a labelled file.

    Raises:
        InputError: no such run or file, columns that cannot be found, labels the run does not know.
    """
    table = read_table(data)
    listener(Event("phase", "model"))
    in_use = load_for_use(Path(target))
    labels, given = in_use.record.labels, columns or ColumnsSection()
    task: TaskName = "regression" if labels.problem_type == REGRESSION else "classification"
    text = text_columns(table, in_use, given)
    found = detect_columns(table, task, given.model_copy(update={"text": text.text, "pair": text.pair}))
    examples = make_examples(table, found, labels, split_name)
    if not len(examples):
        raise DataError.one(
            data, "no row is left to measure on.", "See the labels the run knows: " + ", ".join(labels.names[:20])
        )
    listener(Event("phase", "predicting"))
    said = from_scores(
        labels.problem_type, examples.labels, in_use.scores(examples.texts, examples.pairs), in_use.record.thresholds
    )
    metrics = metric_intervals(labels.problem_type, [said], split_name, tuple(METRICS[task]), n_resamples=n_resamples, seed=0)
    return RunResult(task=task, metrics=metrics, data={"source": data, "rows": len(examples), "rows_read": table.rows_read})


def compare(runs: Sequence[str | Path], *, metric: str | None = None, split: str = "test") -> list[Verdict]:
    """The verdict of the first run against each other one, on the rows both predicted.

    Raises:
        InputError: fewer than two runs, runs of different tasks or labels, or no rows in common.
    """
    if len(runs) < 2:
        raise InputError.one("compare", "two runs are needed.", "tunesmith compare RUN RUN")
    loaded = [Run.load(run) for run in runs]
    first = loaded[0]
    if first.result.task == "embedding":
        return [embedding_verdict(first, other, metric, split) for other in loaded[1:]]
    if any(run.result.task in LANGUAGE_TASKS for run in loaded):
        return [language_verdict(first, other, metric, split) for other in loaded[1:]]
    recipe = Recipe.model_validate(first.result.recipe)
    name = metric or primary_metric(recipe)
    if name not in METRICS[recipe.task]:
        raise InputError.one(
            "--metric", f"{first.result.task} has no metric {name!r}.", f"Known: {', '.join(METRICS[recipe.task])}."
        )
    return [against(first, other, name, split) for other in loaded[1:]]


def against(ours: Run, other: Run, metric: str, split: str) -> Verdict:
    """The verdict between two runs on the rows both predicted."""
    if ours.result.data.get("problem_type") != other.result.data.get("problem_type") or ours.result.data.get(
        "labels"
    ) != other.result.data.get("labels"):
        raise InputError.one(str(other.folder), f"its labels are not those of {ours.folder}; the two cannot be compared.")
    labels = Labels(ours.result.data["problem_type"], tuple(ours.result.data["labels"]))
    mine, theirs = (saved_predictions(run, split, labels) for run in (ours, other))
    assert mine.row_ids is not None
    assert theirs.row_ids is not None
    common = np.intersect1d(mine.row_ids, theirs.row_ids)
    if not len(common) or not same_source(ours, other, split):
        raise InputError.one(
            str(other.folder),
            f"it did not predict the same {split} rows as {ours.folder}.",
            "Train both on the same split, or give both the same test file.",
        )
    mine, theirs = mine.take(np.searchsorted(mine.row_ids, common)), theirs.take(np.searchsorted(theirs.row_ids, common))
    if not np.array_equal(mine.labels, theirs.labels):
        raise InputError.one(
            str(other.folder),
            f"its {split} rows have other labels than those of {ours.folder}.",
            "The file was changed between the runs.",
        )
    return verdict(metric, [mine], [theirs], against=str(other.folder), split=split)


def same_source(ours: Run, other: Run, split: str) -> bool:
    """Whether both runs read that split from a file with the same bytes."""
    one, two = (run.result.data.get("splits", {}).get(split, {}).get("sha256") for run in (ours, other))
    return bool(one == two)


def saved_predictions(run: Run, split: str, labels: Labels) -> Predictions:
    """A run's predictions for one split as arrays, sorted by row id."""
    import pyarrow.parquet as pq

    path = run.folder / "predictions.parquet"
    if not path.exists():
        raise ModelError.one(str(run.folder), "it has no predictions.parquet.")
    rows = sorted((row for row in pq.read_table(path).to_pylist() if row["split"] == split), key=lambda row: row["row_id"])
    if not rows:
        raise InputError.one(
            str(run.folder), f"it has no predictions for {split}.", "Choose another --split: validation or test."
        )
    ids = np.array([row["row_id"] for row in rows])
    if labels.problem_type == REGRESSION:
        return from_scores(REGRESSION, [row["label"] for row in rows], [row["score"] for row in rows], row_ids=ids)
    scores = np.array([row["pred_probs"] for row in rows])
    truth, decided = (encoded([row[part] for row in rows], labels) for part in ("label", "prediction"))
    return Predictions(truth, scores, decided, ids)


def encoded(names: list[Any], labels: Labels) -> np.ndarray:
    """Label names as class ids (N), or as 0/1 rows (N, K)."""
    index = {name: i for i, name in enumerate(labels.names)}
    if labels.problem_type == MULTI:
        return np.array([[int(name in row) for name in labels.names] for row in names], dtype=np.int64)
    return np.array([index[name] for name in names], dtype=np.int64)
