"""Evaluates a finished classifier or regression on a labelled file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.data.columns import columns_of_training, detect_columns, replaced_columns
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.readers.given import read_given, source_name
from tunesmith.data.row_clusters import row_clusters
from tunesmith.errors import DataError
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.outputs import Outputs, SplitMetrics, metrics_of_outputs
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.sections import ColumnsSection, TaskName
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import RunResult
from tunesmith.tasks.classification.predicted import text_columns
from tunesmith.tasks.classification.predictor import load_predictor
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.workflows.predict import columns_section


def evaluate(
    target: str | Path | Run,
    data: object,
    *,
    split_name: str = "test",
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    n_resamples: int = 10_000,
    listener: Listener = silent,
) -> RunResult:
    """Computes the task's metrics, with intervals, of a finished classifier or regression on labelled rows.

    Args:
        data: a table in memory, or the path of a file.
        columns: the columns by their role, such as ``{"label": "intent"}``, if they are not detected.

    Raises InputError if there is no such run or file, the columns are not detected, or the labels are not the run's.

    Example::

        tunesmith.evaluate("runs/tickets", frame).metric("macro_f1").value
    """
    folder, table, name = folder_of(target), read_given(data), source_name(data)
    listener(Event("phase", "model"))
    predictor = target.predictor if isinstance(target, Run) else load_predictor(folder)
    labels, requested = predictor.config.labels, columns_section(columns)
    task: TaskName = "regression" if labels.problem_type == REGRESSION else "classification"
    text = text_columns(table, predictor, requested)
    trained = predictor.config.columns
    known = columns_of_training(table, trained, requested).model_copy(update={"text": text.text, "pair": text.pair})
    labelled_columns = detect_columns(table, task, known)
    for note in replaced_columns(table, trained, requested, labelled_columns):
        listener(Event("note", note))
    examples = make_examples(table, labelled_columns, labels, split_name)
    if not len(examples):
        raise DataError.one(name, "no row is left to measure on.", "The labels of the run: " + ", ".join(labels.names[:20]))
    listener(Event("phase", "predicting"))
    predictions = from_scores(
        labels.problem_type, examples.labels, predictor.scores(examples.texts, examples.pairs), predictor.config.thresholds
    )
    clusters = {"predictions": row_clusters(examples.texts, examples.pairs, examples.groups)}
    outputs, split = Outputs(labels.problem_type, predictions), SplitMetrics(split_name, TASKS[task].metrics, clusters=clusters)
    metrics = metrics_of_outputs([outputs], split, Resampling(n_resamples))
    return RunResult(
        task=task,
        metrics=tuple(metrics),
        data={"source": name, "rows": len(examples), "rows_read": table.rows_read, "dropped": examples.dropped},
    )
