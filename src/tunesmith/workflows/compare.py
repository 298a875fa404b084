"""Compares finished runs on the rows that they were all evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.readers.given import read_evaluated
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import InputError
from tunesmith.evaluation.embedding_tests import PROBLEM
from tunesmith.evaluation.metrics.own_function import MeasuredRows, own_function
from tunesmith.evaluation.metrics.predictions import CLUSTERING, Predictions, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import TABLE
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.evaluation.outputs import Outputs, SplitMetrics, TokenLosses, metrics_of_outputs, whole_verdicts
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.metric_names import (
    BINARY_METRICS,
    DEFAULT_LABEL_METRIC,
    DIRECTIONS,
    LABEL_METRICS,
    LOSS_METRICS,
    TEXT_METRICS,
    at_dimension,
    split_dimension,
)
from tunesmith.recipe.sections import ColumnsSection, Recipe
from tunesmith.report.saved_run import load, read_predictions
from tunesmith.report.words import looks_words, main_metric, main_split, most_candidates, notes_on_comparison, part
from tunesmith.results import TEXT_CHARACTERS, RunResult, Verdict
from tunesmith.run_folder import PREDICTIONS_OF_SEEDS
from tunesmith.tasks.classification.other_model import AS_SAVED, ModelSettings, is_other_model
from tunesmith.tasks.classification.own_metrics import measured_rows, parameters_of
from tunesmith.tasks.finished import Run, folder_of, group_of_run
from tunesmith.tasks.test_looks import count_compared
from tunesmith.workflows.predict import columns_section
from tunesmith.workflows.predicted_splits import PredictedSplit, predict_split_of, predict_table

BITS = "bits_per_byte"
Columns = dict[str, list[Any]]
"""Column name -> cells, as in predictions.parquet."""


@dataclass(frozen=True)
class SavedSplit:
    """The saved predictions of one run on one split, sorted by row.

    Attributes:
        labels: class names in the order of ``pred_probs``; empty without classes.
        problem_type: of the predictions; empty where the rows have none.
    """

    run: Run
    split: str
    rows: Columns
    labels: tuple[str, ...]
    problem_type: str

    @property
    def result(self) -> RunResult:
        return self.run.result

    def at(self, row_ids: Sequence[int]) -> SavedSplit:
        """Returns the rows with those ids, in their order."""
        place = {row_id: i for i, row_id in enumerate(self.rows["row_id"])}
        chosen = [place[row_id] for row_id in row_ids]
        return replace(self, rows={name: [cells[i] for i in chosen] for name, cells in self.rows.items()})


def compare(
    runs: str | Path | Run | Sequence[str | Path | Run],
    *others: str | Path | Run,
    metric: str | None = None,
    split: str | None = None,
    data: object = None,
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    labels: Mapping[Any, Any] | None = None,
    tokenizer: str | Path | None = None,
    listener: Listener = silent,
) -> list[Verdict]:
    """Returns the verdict of the first run or model against each other one, on the rows that both predict.

    Runs have saved predictions. A classifier or regression that another program trained predicts the rows of the first run among
    the others, or those of ``data``.

    Args:
        runs: runs, their folders or other models as for ``predict``, in a list or one after the other.
        metric: default: the first run's main metric.
        split: default: the split that the first run is evaluated on: test, else a search, else validation.
        data: labelled rows, which the model of every run predicts as well, by its best seed; counted as a look of each run.
        columns: of ``data``, by their role.
        labels, tokenizer: as for ``predict``, of the models that are no runs.

    Raises InputError for fewer than two runs, runs of different tasks or labels, no rows in common, or a metric that cannot be
    computed from the saved rows of both.

    Example::

        tunesmith.compare(run, "runs/old")[0].word
    """
    given = [*([runs] if isinstance(runs, str | Path | Run) else runs), *others]
    if len(given) < 2:
        raise InputError.one("compare", "two runs are needed.", "tunesmith compare RUN RUN")
    settings = ModelSettings.of(labels, tokenizer)
    if settings and not any(is_other_model(folder_of(run)) for run in given):
        message = "labels or a tokenizer are given, and every model is a run, which has its own."
        raise InputError.one("compare", message, "Leave the option out.")
    if data is not None:
        first, *rest = splits_of_data(given, data, columns_section(columns), settings, listener)
    else:
        first, *rest = splits_of_runs(given, split, settings, listener)
    verdicts = list(holm([compare_runs(first, other, metric) for other in rest]))
    if data is not None:
        count_looks(verdicts[0].metric, [first, *rest], data, listener)
    return verdicts


def splits_of_runs(
    given: Sequence[str | Path | Run], split: str | None, settings: ModelSettings, listener: Listener
) -> list[list[SavedSplit]]:
    """Reads the saved predictions of runs, of every seed; other models predict the rows of the first run."""
    runs = {i: Run.load(folder_of(run)) for i, run in enumerate(given) if not is_other_model(folder_of(run))}
    if not runs:
        message = "none of these models is a finished run, whose rows the others could predict."
        raise InputError.one("compare", message, "Give labelled rows: --data FILE.")
    first = next(iter(runs.values()))
    name = split or main_split(first.result)
    seeds = {i: saved_seeds(run, name) for i, run in runs.items()}
    row_ids = next(iter(seeds.values()))[0].rows["row_id"]
    for i, model in enumerate(given):
        if i not in runs:
            done = predict_split_of(first, name, row_ids, folder_of(model), settings, listener)
            seeds[i] = [predictions_as_saved(done, folder_of(model), name)]
    return [seeds[i] for i in range(len(given))]


def splits_of_data(
    given: Sequence[str | Path | Run], data: object, columns: ColumnsSection, settings: ModelSettings, listener: Listener
) -> list[list[SavedSplit]]:
    """Predicts rows by the model of each run and by the other models."""
    table = read_evaluated(data, listener)
    groups = (group_of_run(run, table, listener) for run in given)
    columns = columns.model_copy(update={"group": columns.group or next((group for group in groups if group), None)})
    splits = []
    for model in given:
        own = settings if is_other_model(folder_of(model)) else AS_SAVED
        done = predict_table(model, table, columns, own, listener)
        splits.append([predictions_as_saved(done, folder_of(model), "test")])
    return splits


def count_looks(metric: str, systems: Sequence[Sequence[SavedSplit]], data: object, listener: Listener) -> None:
    """Counts each run's value among the looks at the rows of ``data``, and notes how many there were."""
    records = {}
    for split in {seeds[0].run.folder: seeds[0] for seeds in systems}.values():
        outputs = outputs_for(split, split, metric, systems[0][0].labels)
        of_split = SplitMetrics(split.split, (metric,), clusters=clusters_of(split, ()))
        (value,) = metrics_of_outputs([outputs], of_split, Resampling())
        record = count_compared(value, data, split.run.folder) or {}
        records[record.get("file")] = record
    for record in records.values():
        for words in looks_words(record):
            listener(Event("note", words))


def predictions_as_saved(predicted: PredictedSplit, name: Path, split: str) -> SavedSplit:
    run = predicted.as_run(name)
    return SavedSplit(run, split, predicted.columns, tuple(predicted.record["labels"]), predicted.record["problem_type"])


def limits_of_verdicts(runs: Sequence[str | Path | Run], verdicts: Sequence[Verdict]) -> list[str]:
    """Lists what limits the verdicts of ``compare``: the number of comparisons, selection on the same rows, single seeds."""
    results = [Run.load(folder_of(run)).result for run in runs if not is_other_model(folder_of(run))]
    return notes_on_comparison(results, verdicts)


def saved_seeds(run: Run, split: str) -> list[SavedSplit]:
    """Reads one split's predictions of every seed of the run, the best seed's first."""
    best = saved_split(run, split)
    every = read_predictions(run.folder / PREDICTIONS_OF_SEEDS)
    if every is None:
        return [best]
    own = best.rows["seed"][0]
    others = [seed for seed in dict.fromkeys(every["seed"]) if seed != own]
    return [best, *(replace(best, rows=rows_of(every, split, seed)) for seed in others)]


def saved_split(run: Run, split: str) -> SavedSplit:
    """Reads one split's predictions of the best seed. Raises InputError where the run has none for it."""
    rows = rows_of(load(run.folder).predictions or {}, split)
    if not rows.get("row_id"):
        splits = ", ".join(dict.fromkeys(metric.split for metric in run.result.metrics))
        raise InputError.one(str(run.folder), f"it has no predictions for {split}.", f"Choose another --split: {splits}.")
    data = run.result.data
    kind = part(data, "splits", split).get("shape")
    problem = str(data.get("problem_type", "")) if kind is None else PROBLEM.get(kind, "")
    if problem not in (SINGLE, MULTI, REGRESSION, CLUSTERING):
        problem = SINGLE if data.get("labels") else ""
    return SavedSplit(run, split, rows, tuple(data.get("labels") or ()), problem)


def rows_of(predictions: Columns, split: str, seed: int | None = None) -> Columns:
    """Selects the rows of a split, and of a seed, sorted by row; columns that only other splits have are left out."""
    seeds = predictions.get("seed", [None] * len(predictions.get("split", ())))
    chosen = [i for i, name in enumerate(predictions.get("split", ())) if name == split and seed in (None, seeds[i])]
    chosen.sort(key=predictions.get("row_id", []).__getitem__)
    rows = {name: [cells[i] for i in chosen] for name, cells in predictions.items()}
    return {name: cells for name, cells in rows.items() if any(cell is not None for cell in cells)}


def compare_runs(our_seeds: Sequence[SavedSplit], other_seeds: Sequence[SavedSplit], metric: str | None) -> Verdict:
    """Returns the verdict between the seeds of two runs on the rows of both. Raises InputError where they cannot be compared."""
    ours, other = our_seeds[0], other_seeds[0]
    if sorted(ours.labels) != sorted(other.labels) or ours.problem_type != other.problem_type:
        message = f"its labels are not those of {ours.run.folder}; the two cannot be compared."
        raise InputError.one(str(other.run.folder), message, f"Labels: {', '.join(other.labels) or 'none'}.")
    common = sorted(set(ours.rows["row_id"]) & set(other.rows["row_id"]))
    ours, other = ours.at(common), other.at(common)
    texts = ("text", "pair") if ours.result.task == other.result.task else ()  # a language model's text is its prompt
    if not common or any(ours.rows.get(name) != other.rows.get(name) for name in texts):
        message = f"it did not predict the same {ours.split} rows as {ours.run.folder}."
        raise InputError.one(str(other.run.folder), message, "Train both on the same split, or give both the same test file.")
    if ours.rows.get("label") != other.rows.get("label"):
        message = f"its {ours.split} rows have other labels than those of {ours.run.folder}."
        raise InputError.one(str(other.run.folder), message, "The file was changed between the runs.")
    name = metric_to_compare(ours, other, metric)
    counted = "n_bytes" if name == BITS else "n_tokens"
    if name in LOSS_METRICS and ours.rows[counted] != other.rows[counted]:  # a loss per token belongs to one vocabulary
        message = "its tokens are not those of the first run: losses of other vocabularies cannot be compared token by token."
        remedy = "Compare the answers: --metric exact_match, token_f1 or rouge_l."
        raise InputError.one(str(other.run.folder), message, remedy if name == BITS else f"Request {BITS}, or c{remedy[1:]}")
    mine = [outputs_for(seed.at(common), other, name, ours.labels) for seed in our_seeds]
    theirs = [outputs_for(seed.at(common), ours, name, ours.labels) for seed in other_seeds]
    answered = [i for i, cell in enumerate(ours.rows.get(name, ())) if None not in (cell, other.rows[name][i])]
    clusters, n_candidates = clusters_of(ours, answered), most_candidates([ours.result, other.result], ours.split)
    base = split_dimension(name)[0]
    split = SplitMetrics(ours.split, (base,), (base,), base, n_candidates=n_candidates, clusters=clusters)
    split = replace(split, positive=positive_of(ours))
    if name in function_metrics(ours):
        split = replace(split, of_predictions=(), verdict_metrics=(), own=saved_function(ours), own_verdict=name)
    verdict = whole_verdicts(mine, theirs, str(other.run.folder), split, Resampling())[0]
    return replace(verdict, metric=name)


def clusters_of(split: SavedSplit, answered: Sequence[int]) -> dict[str, Array | None]:
    """Returns the saved clusters of the rows, and of the answered ones, by kind of output; empty if all are independent."""
    if "cluster" not in split.rows:
        return {}
    of_rows = np.array([-1 if cell is None else cell for cell in split.rows["cluster"]])
    return {
        "predictions": of_rows,
        "own": of_rows,
        "token_losses": of_rows,
        "row_scores": of_rows[list(answered)] if answered else of_rows,
    }


def metric_to_compare(ours: SavedSplit, other: SavedSplit, requested: str | None) -> str:
    """Returns the requested metric, or the first run's main one. Raises InputError where the saved rows do not give it."""
    both = [name for name in computable_metrics(ours) if name in computable_metrics(other)]
    main = main_metric(ours.result)
    preferred = [main.name if main is not None else "", DEFAULT_LABEL_METRIC, *both]
    name = requested or next((name for name in preferred if name in both), None)
    if name is None or name not in both:
        remedy = f"Both have: {', '.join(both)}." if both else "Use tunesmith evaluate MODEL DATA --against MODEL."
        raise InputError.one("--metric", f"the runs do not both have {name or 'a metric'} of their {ours.split} rows.", remedy)
    return name


def computable_metrics(split: SavedSplit) -> list[str]:
    """Returns the metrics that the columns of the saved predictions give."""
    rows, names = split.rows, list[str]()
    if "n_tokens" in rows:
        names += [name for name in LOSS_METRICS if name != BITS or "n_bytes" in rows]
    if split.labels and "pred_probs" in rows and "n_tokens" in rows:
        names += LABEL_METRICS
    elif "prediction" in rows and split.problem_type in TABLE and split.problem_type != CLUSTERING:
        names += [name for name in TABLE[split.problem_type] if name not in BINARY_METRICS or positive_of(split) is not None]
        names += function_metrics(split)
    elif "score" in rows and "label" in rows and split.problem_type in (MULTI, REGRESSION):  # pairs, without decisions
        sizes = [size for name in rows if (size := split_dimension(name)[1]) is not None]
        of_scores = [name for name, kind in TABLE[split.problem_type].items() if not kind.of_decisions]
        names += [at_dimension(name, size) for size in (None, *sizes) for name in of_scores]
    elif "score" in rows and "label" not in rows:
        # That of the scores, and the same of truncated embeddings.
        whole = [metric.name for metric in split.result.metrics if metric.split == split.split][:1]
        sizes = [size for name in rows if (size := split_dimension(name)[1]) is not None]
        names += [at_dimension(name, size) for name in whole for size in (None, *sizes)]
    return [*names, *(name for name in TEXT_METRICS if name in rows)]


def positive_of(split: SavedSplit) -> int | None:
    """Returns the class id that F1 counts as positive; None if the run names none."""
    named = str(split.result.data.get("positive_class", ""))
    return split.labels.index(named) if named in split.labels else None


def function_metrics(split: SavedSplit) -> list[str]:
    """Returns the metrics of the split that the recipe's function computed from predictions; vectors are not saved."""
    if part(split.result.recipe, "evaluate").get("function") is None or "prediction" not in split.rows:
        return []
    return [metric.name for metric in split.result.metrics if metric.split == split.split and metric.name not in DIRECTIONS]


def saved_function(split: SavedSplit) -> Callable[[Outputs], MeasuredRows | None]:
    """Loads the function of the run, to be called on saved rows. Raises InputError if they are not what it reads."""
    data, rows = split.result.data, split.rows
    labels = Labels(split.problem_type, split.labels or ("score",), value_type=str(data.get("label_type") or "str"))
    pairs = list(rows["pair"]) if "pair" in rows else None
    examples = Examples(split.split, "", list(rows["row_id"]), list(rows["text"]), list(rows["label"]), pairs)
    section = Recipe.model_validate(split.result.recipe).evaluate
    function = own_function(section, Path(str(data.get("base") or ".")), parameters_of(labels, examples), "saved predictions")
    assert function is not None
    if {"texts", "pairs"} & set(function.parameters) and any(
        len(text) >= TEXT_CHARACTERS for text in (*rows["text"], *(pairs or ()))
    ):
        message = (
            f"{function.reference} reads the texts, of which predictions.parquet holds the first {TEXT_CHARACTERS} characters."
        )
        raise InputError.one("--metric", message, "Use tunesmith evaluate RUN DATA for each run, or another metric.")
    function = replace(function, names=tuple(function_metrics(split)))
    return partial(measured_rows, function, examples, labels)


def outputs_for(split: SavedSplit, other: SavedSplit, metric: str, labels: Sequence[str]) -> Outputs:
    """Returns the saved rows as the outputs that give a metric. Raises InputError where no row has it in both runs.

    Args:
        labels: the order of the classes, the same for both runs.
    """
    rows = split.rows
    if metric in LOSS_METRICS:
        counts = np.array(rows["n_tokens"], dtype=np.int64)
        n_bytes = np.array(rows["n_bytes"], dtype=np.int64) if metric == BITS else None
        sums = np.array(rows["loss"], dtype=np.float64) * counts
        return Outputs(token_losses=TokenLosses(sums, counts), n_bytes=n_bytes)
    if metric in TEXT_METRICS and metric in rows:
        both = [i for i, pair in enumerate(zip(rows[metric], other.rows[metric], strict=True)) if None not in pair]
        if not both:
            message = f"no row of {split.split} was answered by both."
            raise InputError.one(str(other.run.folder), message, "Train both with the same evaluate.answers.")
        return Outputs(row_scores={metric: np.array([rows[metric][i] for i in both], dtype=np.float64)})
    dimension = split_dimension(metric)[1]
    if dimension is not None:
        split = replace(split, rows={**rows, "score": rows[at_dimension("score", dimension)]})
        rows = split.rows
    if "label" not in rows:
        return Outputs(row_scores={split_dimension(metric)[0]: np.array(rows["score"], dtype=float)})
    return Outputs(split.problem_type, saved_predictions(split, labels))


def saved_predictions(split: SavedSplit, labels: Sequence[str]) -> Predictions:
    """Returns the saved rows as predictions.

    Args:
        labels: the order of the classes, the same for both runs.
    """
    rows, problem = split.rows, split.problem_type
    ids = np.array(rows["row_id"])
    if "pred_probs" not in rows:
        values, scores = np.array(rows["label"], dtype=float), np.array(rows["score"], dtype=float)
        if problem == REGRESSION:
            return from_scores(REGRESSION, values, scores, row_ids=ids)
        return from_scores(problem, values[:, None].astype(int), scores[:, None], row_ids=ids)
    column = {name: i for i, name in enumerate(split.labels)}
    if any(len(probs) != len(column) for probs in rows["pred_probs"]):
        message = f"the probabilities are not of the {plural(len(column), 'label')} in result.json."
        raise InputError.one(str(split.run.folder / "predictions.parquet"), message, "Restore the files of the run.")
    scores = np.array(rows["pred_probs"], dtype=np.float64)[:, [column[name] for name in labels]]
    truth, decisions = (class_ids(rows[part], labels, problem) for part in ("label", "prediction"))
    return Predictions(truth, scores, decisions, ids)


def class_ids(names: Sequence[Any], labels: Sequence[str], problem: str) -> Array:
    """Converts label names to class ids (N), or lists of them to 0/1 rows (N, K)."""
    index: Mapping[str, int] = {name: i for i, name in enumerate(labels)}
    given = {name for row in names for name in (row if problem == MULTI else [row])}
    if unknown := [name for name in given if name not in index]:
        message = f"it has the label {unknown[0]!r}, which result.json does not name."
        raise InputError.one("predictions.parquet", message, "Restore the files of the run, or train it again.")
    if problem == MULTI:
        return np.array([[int(name in row) for name in labels] for row in names], dtype=np.int64)
    return np.array([index[name] for name in names], dtype=np.int64)
