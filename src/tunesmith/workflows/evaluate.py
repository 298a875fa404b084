"""Evaluates a finished classifier or regression on a labelled file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.cells import is_whole, listed
from tunesmith.data.columns import columns_of_training, detect_columns, replaced_columns
from tunesmith.data.labelled.class_numbers import aligned
from tunesmith.data.labelled.labels import MULTI, REGRESSION, label_cells, unknown_labels
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.readers.given import read_evaluated, source_name
from tunesmith.data.readers.hashes import hash_rows
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Columns, Examples, Labels, Table
from tunesmith.errors import DataError, InputError
from tunesmith.evaluation.metrics.predictions import Predictions, decide, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import TABLE
from tunesmith.evaluation.outputs import Outputs, SplitMetrics, metrics_of_outputs
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.given_labels import read_label_map
from tunesmith.recipe.sections import ColumnsSection, TaskName
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import Finding, Metric, RunResult
from tunesmith.tasks.classification.label_reading import with_labels_of_run
from tunesmith.tasks.classification.many_processes import open_for, predictor_in_processes
from tunesmith.tasks.classification.other_model import (
    ModelSettings,
    OtherPredictor,
    is_other_model,
    matched_to,
    note_columns,
)
from tunesmith.tasks.classification.own_metrics import metrics_of_run
from tunesmith.tasks.classification.predicted import text_columns, with_joined_text
from tunesmith.tasks.classification.predictor import Predictor
from tunesmith.tasks.finished import Run, folder_of, group_of_run
from tunesmith.tasks.seen_rows import with_seen_rows
from tunesmith.tasks.test_looks import with_look
from tunesmith.workflows.predict import columns_section

if TYPE_CHECKING:
    from tunesmith.data.arrays import Array

MAP_OPTIONS = "--labels '{LABEL: CLASS}', labels={...} in Python"


def evaluate(
    target: str | Path | Run,
    data: object,
    *,
    split_name: str = "test",
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    labels: str | Path | Mapping[Any, Any] | None = None,
    tokenizer: str | Path | None = None,
    n_resamples: int = 10_000,
    processes: int | str = 1,
    listener: Listener = silent,
) -> RunResult:
    """Computes the task's metrics, with intervals, of a classifier or regression on labelled rows: a run, or any other model.

    A label that training did not have counts as predicted wrong; metrics of probabilities leave its rows out. ``data`` of the
    result has the number of such rows by label (``unknown_labels``); ``training`` has tuned ``thresholds``. Class numbers are
    aligned as in training. Classes of a model that is no run are matched by their names; labels that it lacks are an error.

    Args:
        data: a table in memory, or the path of a file; of a folder or a hub data set the test split is read.
        columns: the columns by their role, such as ``{"label": "intent"}``, if they are not detected.
        labels: label of the file -> class of the run (see ``recipe.given_labels``), empty if the file holds the classes; default:
            the run's ``data.labels`` where it fits. Of other models: class of the model, or label of the file -> its name.
        tokenizer, processes: as for ``predict``.

    Raises InputError if there is no such run or file, the columns are not detected, or no row has a label of the run. Example::

        tunesmith.evaluate("runs/tickets", frame).metric("macro_f1").value
    """
    label_map = None if labels is None else read_label_map(labels)
    folder, table, name = folder_of(target), read_evaluated(data, listener), source_name(data)
    listener(Event("phase", "model"))
    is_run = isinstance(target, Run) or not is_other_model(folder)
    settings = ModelSettings.of(None if is_run else label_map, tokenizer)
    predictor = open_for(target, processes, settings, listener)
    task: TaskName = "regression" if predictor.config.labels.problem_type == REGRESSION else "classification"
    reading = LabelledReading(with_group(columns, folder, table, listener), task, split_name, label_map if is_run else None)
    predictor, examples, unknown = labelled_rows(table, predictor, reading, listener)
    listener(Event("phase", "predicting"))
    split, left_out = split_metrics_of(folder, examples, predictor, SplitMetrics(split_name, TASKS[task].metrics))
    with predictor_in_processes(predictor, target, settings, processes, len(examples)) as predictor:
        measured = tuple(metrics(predictor, examples, split, Resampling(n_resamples), listener))
    result = RunResult(
        task=task,
        metrics=measured,
        findings=(Finding("not_measured", left_out, flagged=1),) if left_out else (),
        training={"thresholds": predictor.config.thresholds} if predictor.config.thresholds else {},
        data={"source": name, "rows_read": table.rows_read, **rows_record(examples, predictor.config.labels, unknown)},
    )
    return with_look(with_seen_rows(result, hash_rows(table), name, [folder]), data, folder)


def with_group(
    columns: ColumnsSection | Mapping[str, Any] | None, folder: Path, table: Table, listener: Listener
) -> ColumnsSection:
    """Returns the requested columns by their role, with the group of the run's rows unless another one is requested."""
    requested = columns_section(columns)
    return requested.model_copy(update={"group": requested.group or group_of_run(folder, table, listener)})


def rows_record(examples: Examples, labels: Labels, unknown: Counter[str]) -> dict[str, Any]:
    """Returns the labels of the model and the counts of rows, measured and dropped, for result.json."""
    return {
        "labels": list(labels.names),
        "rows": len(examples),
        "dropped": examples.dropped,
        "unknown_labels": dict(unknown),
        "unknown_label_rows": len(examples) - int(known_rows(examples, labels).sum()),
    }


@dataclass(frozen=True)
class LabelledReading:
    """How labelled rows are read: the requested columns, the task, the name of the split, and a map of labels (or None)."""

    columns: ColumnsSection
    task: TaskName
    split: str
    label_map: Mapping[str, Any] | None = None


def labelled_rows(
    table: Table, predictor: Predictor, reading: LabelledReading, listener: Listener
) -> tuple[Predictor, Examples, Counter[str]]:
    """Builds the rows of the table, with its labels in the notation of the run.

    Returns:
        The predictor, whose classes have the names of the data if it is a model that another program trained. The rows; a label
        that the run does not have gets a further class id. And the number of rows with each such label.
    """
    trained, separator = predictor.config.columns, predictor.config.label_separator
    table, requested = with_joined_text(table, predictor, reading.columns)
    text = text_columns(table, predictor, requested)
    known = columns_of_training(table, trained, requested).model_copy(update={"text": text.text, "pair": text.pair})
    columns = detect_columns(table, reading.task, known)
    notes = replaced_columns(table, trained, requested, columns)
    if not isinstance(predictor, OtherPredictor):
        table = with_labels_of_run(table, columns, predictor.config, reading.label_map, notes)
    predictor, table = matched_to(predictor, table, columns, listener)
    labels = predictor.config.labels
    table = aligned(table, columns, labels, notes)
    for note in notes:
        listener(Event("note", note))
    note_columns(predictor, table, columns, listener)
    unknown = unknown_labels(label_cells(table, columns), labels, separator)
    every = replace(labels, names=(*labels.names, *unknown))
    examples = make_examples(table, columns, every, reading.split, separator)
    if not known_rows(examples, labels).any():
        raise no_known_label(table, columns, labels, unknown)
    return predictor, examples, unknown


def split_metrics_of(folder: Path, examples: Examples, predictor: Predictor, of_task: SplitMetrics) -> tuple[SplitMetrics, str]:
    """Returns the metrics of the rows with those of the run's recipe, and why those of its function are left out."""
    labels = predictor.config.labels
    known = examples.take(np.flatnonzero(known_rows(examples, labels)).tolist(), examples.split)
    return metrics_of_run(folder, of_task, known, labels)


def known_rows(examples: Examples, labels: Labels) -> Array:
    """Returns (N) bool: the rows whose labels are all among those of the run."""
    classes = np.asarray(examples.labels)
    if labels.problem_type == REGRESSION:
        return np.ones(len(classes), dtype=bool)
    unknown = classes[:, labels.n :].any(axis=1) if labels.problem_type == MULTI else classes >= labels.n
    return np.asarray(~unknown)


def no_known_label(table: Table, columns: Columns, labels: Labels, unknown: Counter[str]) -> InputError:
    """Returns the error about a file without any label of the run, with both sets of labels."""
    shown, column = listed((f"{name} ({count})" for name, count in unknown.items()), 5), listed(columns.label)
    remedy = f"Name the right column: --label, columns={{'label': NAME}} in Python. Or say what the labels mean: {MAP_OPTIONS}."
    if all(map(is_whole, unknown)) != all(map(is_whole, labels.names)):
        remedy = f"One has class numbers and the other names, and no file gives their order. Say it: {MAP_OPTIONS}."
    message = f"no row of the column {column} has a label of the run: it holds {shown}; those of the run are"
    return DataError.one(table.source, f"{message} {listed(labels.names, 20)}.", remedy)


def metrics(
    predictor: Predictor, examples: Examples, split: SplitMetrics, resampling: Resampling, listener: Listener = silent
) -> list[Metric]:
    """Predicts the rows and computes the metrics of the split, in its order.

    Metrics of probabilities, and those of the user's function, are of the rows with known labels.
    """
    config, classes = predictor.config, np.asarray(examples.labels)
    kind, n_classes, thresholds = config.labels.problem_type, config.labels.n, config.thresholds
    scores = predictor.scores(examples.texts, examples.pairs, listener)
    is_known, clusters = known_rows(examples, config.labels), example_clusters(examples)
    of_model = classes[is_known, :n_classes] if kind == MULTI else classes[is_known]
    measured = [(split, is_known, from_scores(kind, of_model, scores[is_known], thresholds))]
    if not is_known.all():
        decided = tuple(name for name in split.of_predictions if TABLE[kind][name].of_decisions)
        others = tuple(name for name in split.of_predictions if name not in decided)
        every_row = np.ones_like(is_known), with_absent_classes(kind, classes, scores, thresholds)
        of_known = replace(split, of_predictions=others), *measured[0][1:]
        measured = [(replace(split, of_predictions=decided, own=None), *every_row), of_known]
    computed: list[Metric] = []
    for of_rows, rows, predictions in measured:
        clustered = replace(of_rows, clusters=dict.fromkeys(("predictions", "own"), clusters[rows]))
        computed += metrics_of_outputs([Outputs(kind, predictions)], clustered, resampling)
    places = {name: place for place, name in enumerate(split.of_predictions)}
    return sorted(computed, key=lambda metric: places.get(metric.name, len(places)))


def with_absent_classes(kind: str, classes: Array, scores: Array, thresholds: Sequence[float] | None) -> Predictions:
    """Returns predictions in which the classes that the model does not have get the probability 0 and no decision."""
    n_classes = classes.shape[1] if kind == MULTI else classes.max() + 1
    absent = ((0, 0), (0, n_classes - scores.shape[1]))
    decisions = decide(kind, scores, thresholds)
    every = from_scores(kind, classes, np.pad(scores, absent))
    return replace(every, decisions=np.pad(decisions, absent) if kind == MULTI else decisions)
