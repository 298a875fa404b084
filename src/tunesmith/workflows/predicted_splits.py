"""Predicts rows for ``compare``, in the form of saved predictions: of models without any, or of runs on another file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Examples, Labels, Table
from tunesmith.diagnosis.rows import recipe_of_run
from tunesmith.errors import InputError
from tunesmith.evaluation.metrics.predictions import decide
from tunesmith.evaluation.metrics.resample import cluster_numbers
from tunesmith.progress import Event, Listener
from tunesmith.recipe.sections import ColumnsSection, TaskName
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import TEXT_CHARACTERS, RunResult
from tunesmith.tasks.classification.other_model import ModelSettings, matched_to_labels, open_predictor
from tunesmith.tasks.classification.outputs import label_names
from tunesmith.tasks.classification.predictor import Predictor
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.tasks.saved_recipe import result_of_model
from tunesmith.workflows.evaluate import LabelledReading, known_rows, labelled_rows

LABELLED = "labelled"
"""The family of the tasks whose models predict labels."""
OF_RUN = ("base", "label_type", "positive_class")
"""Entries of a run's ``data`` that its metrics need."""


@dataclass(frozen=True)
class PredictedSplit:
    """The predictions of one model on rows.

    Attributes:
        columns: as in predictions.parquet.
        record: ``labels`` and ``problem_type``, as in the result of a run.
    """

    columns: dict[str, list[Any]]
    record: dict[str, Any]

    def as_run(self, name: str | Path) -> Run:
        """Returns a run that names the model in messages, with its labels; the metrics are those of the run that it is of."""
        task = "regression" if self.record["problem_type"] == REGRESSION else "classification"
        of_run = result_of_model(Path(name))
        if of_run is None:
            return Run(Path(name), RunResult(task=task, data=self.record))
        data = {key: of_run.data[key] for key in OF_RUN if key in of_run.data}
        return Run(Path(name), RunResult(task=task, metrics=of_run.metrics, recipe=of_run.recipe, data={**data, **self.record}))


def predict_table(
    target: str | Path | Run, table: Table, columns: ColumnsSection, settings: ModelSettings, listener: Listener
) -> PredictedSplit:
    """Predicts the labelled rows of a table. Raises InputError where the model does not have one of their labels."""
    predictor = open_predictor(target, settings, listener)
    task: TaskName = "regression" if predictor.config.labels.problem_type == REGRESSION else "classification"
    reading = LabelledReading(columns, task, "test")
    predictor, examples, unknown = labelled_rows(table, predictor, reading, listener)
    is_known = known_rows(examples, predictor.config.labels)
    if not is_known.all():
        shown = listed((f"{name} ({count})" for name, count in unknown.items()), 5)
        message = f"it does not have the label of {plural(int((~is_known).sum()), 'row')} of {table.source}: {shown}."
        remedy = f"Its labels are {listed(predictor.config.labels.names)}. Leave these rows out, or use tunesmith evaluate."
        raise InputError.one(str(folder_of(target)), message, remedy)
    for reason, count in examples.dropped.items():
        listener(Event("note", f"{plural(count, 'row')} of {examples.source} not compared: {reason}."))
    return predicted(predictor, examples, predictor.config.labels, listener)


def predict_split_of(
    run: Run, split: str, row_ids: Sequence[int], target: str | Path, settings: ModelSettings, listener: Listener
) -> PredictedSplit:
    """Predicts the rows of a finished run's split, read again by its recipe, by a model that another program trained.

    Raises InputError if the rows are not there any more, or the model's labels are not those of the run.
    """
    if TASKS[run.result.task].family != LABELLED:
        message = f"{run.folder} is no classifier and no regression, and {target} has no saved predictions."
        raise InputError.one("compare", message, f"Use: tunesmith evaluate {run.folder} DATA --against {target}")
    splits = read_splits(run)
    rows = splits.named().get(split)
    if rows is None or not set(row_ids) <= set(rows.row_ids):
        message = f"its {split} rows cannot be read again: the data are not those that it was trained with."
        raise InputError.one(str(run.folder), message, "Give the rows: --data FILE.")
    place = {row_id: i for i, row_id in enumerate(rows.row_ids)}
    rows = rows.take([place[row_id] for row_id in row_ids], split)
    predictor = open_predictor(target, settings, listener)
    predictor, notes = matched_to_labels(predictor, splits.labels, rows.source)
    for note in notes:
        listener(Event("note", note))
    return predicted(predictor, rows, splits.labels, listener)


def read_splits(run: Run) -> LabelledData:
    """Reads the rows of a finished run again, by its recipe."""
    loaded = recipe_of_run(run.folder)
    return load_labelled_data(loaded.recipe, loaded.base)


def predicted(predictor: Predictor, rows: Examples, labels: Labels, listener: Listener) -> PredictedSplit:
    """Predicts rows whose labels are encoded by ``labels``, the same classes as the predictor's in any order."""
    own, kind = predictor.config.labels, predictor.config.labels.problem_type
    scores = predictor.scores(rows.texts, rows.pairs, listener)
    decisions = decide(kind, scores, predictor.config.thresholds)
    truth = label_names(np.asarray(rows.labels), labels)
    columns: dict[str, list[Any]] = {
        "row_id": list(rows.row_ids),
        "label": truth,
        "prediction": label_names(decisions, own),
        "score" if kind == REGRESSION else "pred_probs": scores.tolist(),
        "text": [text[:TEXT_CHARACTERS] for text in rows.texts],
    }
    if rows.pairs is not None:
        columns["pair"] = [text[:TEXT_CHARACTERS] for text in rows.pairs]
    clusters = cluster_numbers(example_clusters(rows))
    if clusters is not None:
        columns["cluster"] = clusters.tolist()
    return PredictedSplit(columns, {"labels": [] if kind == REGRESSION else list(own.names), "problem_type": kind})
