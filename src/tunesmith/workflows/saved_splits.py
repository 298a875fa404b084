"""Reads the saved predictions of finished runs, and loads what computes metrics from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import InputError
from tunesmith.evaluation.embedding_tests import PROBLEM
from tunesmith.evaluation.metrics.own_function import MeasuredRows, own_function
from tunesmith.evaluation.metrics.predictions import CLUSTERING
from tunesmith.evaluation.outputs import Outputs
from tunesmith.recipe.metric_names import DIRECTIONS
from tunesmith.recipe.sections import Recipe
from tunesmith.report.saved_run import load, read_predictions
from tunesmith.report.words import part
from tunesmith.results import TEXT_CHARACTERS, RunResult
from tunesmith.run_folder import PREDICTIONS_OF_SEEDS
from tunesmith.tasks.classification.own_metrics import measured_rows, parameters_of
from tunesmith.tasks.finished import Run

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

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Returns the id of each row with its number among the rows of that id, such as the pairs of one list of answers."""
        seen: Counter[int] = Counter()
        found = []
        for row_id in self.rows["row_id"]:
            found.append((row_id, seen[row_id]))
            seen[row_id] += 1
        return found

    def at(self, keys: Sequence[tuple[int, int]]) -> SavedSplit:
        """Returns the rows with those keys, in their order."""
        place = {key: i for i, key in enumerate(self.keys)}
        chosen = [place[key] for key in keys]
        return replace(self, rows={name: [cells[i] for i in chosen] for name, cells in self.rows.items()})


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


def positive_of(split: SavedSplit) -> int | None:
    """Returns the class id that F1 counts as positive; None if the run names none."""
    named = str(split.result.data.get("positive_class", ""))
    return split.labels.index(named) if named in split.labels else None


def function_metrics(split: SavedSplit) -> list[str]:
    """Returns the metrics that the recipe's function computes from predictions, on every split; vectors are not saved."""
    if part(split.result.recipe, "evaluate").get("function") is None or "prediction" not in split.rows:
        return []
    return list(dict.fromkeys(metric.name for metric in split.result.metrics if metric.name not in DIRECTIONS))


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
