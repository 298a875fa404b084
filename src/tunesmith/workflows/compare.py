"""Compares finished runs on the rows that they were all evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.readers.given import read_evaluated, source_name
from tunesmith.data.readers.hashes import hash_rows
from tunesmith.data.run_rows import run_of_model
from tunesmith.errors import InputError
from tunesmith.evaluation.metrics.predictions import CLUSTERING, Predictions, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import TABLE
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.evaluation.outputs import Outputs, SplitMetrics, TokenLosses, metrics_of_outputs, whole_verdicts
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.metric_names import (
    ANSWER_METRICS,
    BINARY_METRICS,
    DEFAULT_LABEL_METRIC,
    LABEL_METRICS,
    LOSS_METRICS,
    PREFERENCE_SCORES,
    REWARD_METRICS,
    TEXT_METRICS,
    at_dimension,
    split_dimension,
)
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.report.equal_kl import equal_kl_notes
from tunesmith.report.words import looks_words, main_metric, main_split, most_candidates, notes_on_comparison, part
from tunesmith.results import Verdict
from tunesmith.run_folder import read_record
from tunesmith.tasks.classification.other_model import AS_SAVED, ModelSettings, is_other_model
from tunesmith.tasks.finished import Run, folder_of, group_of_run
from tunesmith.tasks.saved_recipe import is_kept_model, result_of_model
from tunesmith.tasks.seen_rows import seen_notes
from tunesmith.tasks.test_looks import count_compared
from tunesmith.workflows.predict import columns_section
from tunesmith.workflows.predicted_splits import PredictedSplit, predict_split_of, predict_table
from tunesmith.workflows.saved_splits import SavedSplit, function_metrics, positive_of, saved_function, saved_seeds

BITS = "bits_per_byte"
POLICIES = {"ppo", "grpo"}
"""Tasks whose runs are compared with those of other tasks by their answers alone."""
OF_ANSWERS = (*REWARD_METRICS, *ANSWER_METRICS, *TEXT_METRICS, *PREFERENCE_SCORES)
"""Metrics of which each answered row, or pair of answers, has a value in the saved predictions."""


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

    Runs have saved predictions. A classifier or regression that another program trained, and the model of an evaluation that
    a run kept, predict the rows of the first run, or those of ``data``.

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
    """Reads the saved predictions of runs, of every seed; other models and those that runs kept predict the first run's rows."""
    folders = [folder_of(run) for run in given]
    runs = {i: Run.load(path) for i, path in enumerate(folders) if not is_other_model(path) and not is_kept_model(path)}
    first = next(iter(runs.values()), None) or next((Run.load(run) for run in map(run_of_model, folders) if run), None)
    if first is None:
        message = "none of these models is a finished run, whose rows the others could predict."
        raise InputError.one("compare", message, "Give labelled rows: --data FILE.")
    name = split or main_split(first.result)
    seeds = {i: saved_seeds(run, name) for i, run in runs.items()}
    row_ids = (next(iter(seeds.values())) if seeds else saved_seeds(first, name))[0].rows["row_id"]
    for i, path in enumerate(folders):
        if i not in runs:
            own = settings if is_other_model(path) else AS_SAVED
            done = predict_split_of(first, name, row_ids, path, own, listener)
            seeds[i] = [predictions_as_saved(done, path, name)]
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
        of_split = with_function(SplitMetrics(split.split, (metric,), clusters=clusters_of(split, ())), split, metric)
        (value,) = metrics_of_outputs([outputs], of_split, Resampling())
        record = count_compared(value, data, split.run.folder) or {}
        records[record.get("file")] = record
    for record in records.values():
        for words in looks_words(record):
            listener(Event("note", words))


def predictions_as_saved(predicted: PredictedSplit, name: Path, split: str) -> SavedSplit:
    run = predicted.as_run(name)
    return SavedSplit(run, split, predicted.columns, tuple(predicted.record["labels"]), predicted.record["problem_type"])


def limits_of_verdicts(runs: Sequence[str | Path | Run], verdicts: Sequence[Verdict], data: object = None) -> list[str]:
    """Lists what limits the verdicts of ``compare``: rows of ``data`` that a run has seen, and see ``notes_on_comparison``."""
    results = [result for run in runs if (result := result_of_model(folder_of(run))) is not None]
    seen = [] if data is None else seen_notes(runs, hash_rows(read_evaluated(data)), source_name(data))
    at_equal_kl = equal_kl_notes(results) if verdicts[0].metric in REWARD_METRICS else []
    return [*seen, *at_equal_kl, *notes_on_comparison(results, verdicts)]


def compare_runs(our_seeds: Sequence[SavedSplit], other_seeds: Sequence[SavedSplit], metric: str | None) -> Verdict:
    """Returns the verdict between the seeds of two runs on the rows of both. Raises InputError where they cannot be compared."""
    ours, other = our_seeds[0], other_seeds[0]
    if sorted(ours.labels) != sorted(other.labels) or ours.problem_type != other.problem_type:
        message = f"its labels are not those of {ours.run.folder}; the two cannot be compared."
        raise InputError.one(str(other.run.folder), message, f"Labels: {', '.join(other.labels) or 'none'}.")
    common = sorted(set(ours.keys) & set(other.keys))
    ours, other = ours.at(common), other.at(common)
    texts = ("text", "pair") if ours.result.task == other.result.task else ()  # a language model's text is its prompt
    if not common or any(ours.rows.get(name) != other.rows.get(name) for name in texts):
        message = f"it did not predict the same {ours.split} rows as {ours.run.folder}."
        raise InputError.one(str(other.run.folder), message, "Train both on the same split, or give both the same test file.")
    if ours.rows.get("label") != other.rows.get("label"):
        message = f"its {ours.split} rows have other labels than those of {ours.run.folder}."
        raise InputError.one(str(other.run.folder), message, "The file was changed between the runs.")
    name = metric_to_compare(ours, other, metric)
    require_same_rewards(ours, other, name)
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
    split = with_function(split, ours, name)
    verdict = whole_verdicts(mine, theirs, str(other.run.folder), split, Resampling())[0]
    return replace(verdict, metric=name)


def reward_record(split: SavedSplit, name: str) -> list[object]:
    """Returns the functions of a reward by name and content, with their weights."""
    section, inputs = part(split.result.recipe, "rewards"), part(read_record(split.run.folder), "inputs")
    named = {"rewards.gold": section.get("gold")}
    if name != "gold_reward":
        named = {f"rewards.reward_funcs[{i}]": function for i, function in enumerate(section.get("reward_funcs") or ())}
    functions: list[object] = [
        (inputs.get(key) or str(function).rpartition(":")[0], str(function).rpartition(":")[2]) for key, function in named.items()
    ]
    return [*functions, None if name == "gold_reward" else section.get("reward_weights")]


def require_same_rewards(ours: SavedSplit, other: SavedSplit, name: str) -> None:
    """Raises InputError for a reward that other functions computed in the other run."""
    if name in REWARD_METRICS and reward_record(ours, name) != reward_record(other, name):
        message = f"its {name.replace('_', ' ')} is computed by other functions than that of {ours.run.folder}."
        raise InputError.one(str(other.run.folder), message, "Train both with the same functions, or name one as rewards.gold.")


def with_function(metrics: SplitMetrics, split: SavedSplit, name: str) -> SplitMetrics:
    """Returns the metrics with the run's function as the only one if it computes the named metric, else the same."""
    if name not in function_metrics(split):
        return metrics
    return replace(metrics, of_predictions=(), verdict_metrics=(), own=saved_function(split), own_verdict=name)


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
        if not both and {ours.result.task, other.result.task} & POLICIES:
            remedy = "Compare what they answer: tunesmith compare RUN RUN --reward REWARD."
        raise InputError.one(
            "--metric" if requested else "compare",
            f"the runs do not both have {name or 'a metric'} of their {ours.split} rows.",
            remedy,
        )
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
    return [*names, *(name for name in OF_ANSWERS if name in rows)]


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
    if metric in OF_ANSWERS and metric in rows:
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
