"""The verdict between finished embedding runs, on the rows or queries that both were judged on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.errors import InputError
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, Predictions, from_scores
from tunesmith.evaluation.metrics.row_means import mean_verdict
from tunesmith.evaluation.metrics.verdict import verdict
from tunesmith.report.words import main_split
from tunesmith.results import RunResult, Verdict
from tunesmith.saved_run import load
from tunesmith.tasks.finished import Run

PROBLEM = {"scored_pair": REGRESSION, "labelled_pair": MULTI}
"""Shapes whose rows have a target and a score; those of others have a value of the leading metric each."""


def against(ours: Run, other: Run, metric: str | None, split: str) -> Verdict:
    """The verdict on the leading metric of a split.

    Args:
        split: where the run has none of that name, the one it is judged on.

    Raises:
        InputError: the other run is of another task, was judged on other rows, or the metric is not the leading one.
    """
    split = split if split in {m.split for m in ours.result.metrics} else main_split(ours.result)
    name = leading(ours, split)
    if metric not in (None, name):
        remedy = f"Ask for {name}; other metrics: tunesmith evaluate MODEL --against MODEL."
        raise InputError.one("--metric", f"of each row of {split} the runs keep {name} only.", remedy)
    if other.result.task != ours.result.task or leading(other, split) != name:
        raise InputError.one(str(other.folder), f"it was not judged on {split} by {name}, as {ours.folder} was.")
    mine, theirs = (load(run.folder).rows(split) for run in (ours, other))
    if not mine.get("row_id") or (mine["row_id"], mine["text"]) != (theirs.get("row_id"), theirs.get("text")):
        message = f"it was not judged on the same {split} rows as {ours.folder}."
        raise InputError.one(str(other.folder), message, "Train both with the same test file or the same retrieval folder.")
    problem = PROBLEM.get(shape_of(ours.result, split))
    if problem is None:
        first, second = (np.array(rows["score"], dtype=float) for rows in (mine, theirs))
        return mean_verdict(name, [first], [second], str(other.folder), split)
    said = [predictions(problem, rows) for rows in (mine, theirs)]
    return verdict(name, [said[0]], [said[1]], against=str(other.folder), split=split, problem_type=problem)


def leading(run: Run, split: str) -> str:
    """The first metric of a split. Raises InputError where the run has none, or keeps no value of its rows."""
    name = next((m.name for m in run.result.metrics if m.split == split), None)
    if name is None or shape_of(run.result, split) == "labelled_text":
        what = "was not judged" if name is None else "keeps no value of each row"
        raise InputError.one(str(run.folder), f"it {what} on {split}.", "Use tunesmith evaluate MODEL DATA --against MODEL.")
    return name


def shape_of(result: RunResult, split: str) -> str:
    """The shape of a split's rows; empty for a search."""
    return str(result.data.get("splits", {}).get(split, {}).get("shape", ""))


def predictions(problem: str, rows: dict[str, list[Any]]) -> Predictions:
    """The rows as the metrics read them."""
    labels, scores = np.array(rows["label"], dtype=float), np.array(rows["score"], dtype=float)
    if problem == REGRESSION:
        return from_scores(problem, labels, scores)
    return from_scores(problem, labels[:, None].astype(int), scores[:, None])
