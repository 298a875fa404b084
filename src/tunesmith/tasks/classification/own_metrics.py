"""Metrics that the recipe of a classifier or regression adds: a user's function, and the F1 of a named class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import clip, listed
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.split import at_most
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import RecipeError
from tunesmith.evaluation.baselines.linear import label_array
from tunesmith.evaluation.metrics.few_rows import rare_variants
from tunesmith.evaluation.metrics.own_function import PROBE_ROWS, MeasuredRows, OwnFunction, own_function, probed
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores
from tunesmith.evaluation.outputs import Outputs, SplitMetrics
from tunesmith.recipe.metric_names import BINARY_METRICS
from tunesmith.recipe.metric_roles import named_metrics, reported_metrics
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.saved_recipe import recipe_of_run

POSITIVE_KEY = "evaluate.positive_class"
POSITIVE_NAMES = frozenset({"1", "1.0", "yes", "true", "positive", "pos"})
NEGATIVE_NAMES = frozenset({"0", "0.0", "-1", "no", "false", "negative", "neg"})
OF_SYSTEM = frozenset({"predictions", "probabilities"})
"""Parameters of a function that a system gives; the others are of the rows."""


def positive_class(recipe: Recipe, labels: Labels) -> int | None:
    """Returns the class id that F1 counts as positive; None if the recipe names neither F1 nor a class.

    Raises RecipeError for a class that there is not, several labels a row, or where the names do not tell it.
    """
    requested = recipe.evaluate.positive_class
    named = [name for name in reported_metrics(recipe) if name in BINARY_METRICS]
    if not named or labels.problem_type == REGRESSION:
        return None
    if labels.problem_type != SINGLE:
        remedy = "Write macro_f1 (the mean over the labels) or micro_f1."
        raise RecipeError.one(POSITIVE_KEY, "the F1 of one class needs one label a row, and these rows have several.", remedy)
    if requested is None:
        return conventional_class(labels.names, named[0])
    names = [name.casefold() for name in labels.names]
    wanted = str(requested).strip().casefold()
    if wanted not in names:
        message = f"{clip(str(requested))} is none of the classes."
        raise RecipeError.one(POSITIVE_KEY, message, f"Classes: {listed(labels.names, 20)}.")
    return labels.names.index(str(requested)) if str(requested) in labels.names else names.index(wanted)


def conventional_class(names: Sequence[str], metric: str) -> int:
    """Returns the positive one of two classes if their names tell it: 1, yes, true, or X beside not_X. Raises RecipeError."""
    plain = [name.strip().casefold().replace("-", "_").replace(" ", "_") for name in names]
    if len(names) == 2:
        for positive, negative in ((0, 1), (1, 0)):
            is_negation = plain[negative] in {f"{word}{plain[positive]}" for word in ("not_", "no_", "non_", "un", "in")}
            if is_negation or (plain[positive] in POSITIVE_NAMES and plain[negative] in NEGATIVE_NAMES):
                return positive
    remedy = f"Name it, one of {listed(names, 20)}: evaluate.positive_class: {names[-1]}."
    if len(names) > 2:
        remedy += " For the mean over all classes write macro_f1."
    raise RecipeError.one(POSITIVE_KEY, f"{metric} is the F1 of one class, and the names do not tell which one.", remedy)


def load_own_function(recipe: Recipe, base: Path, splits: LabelledData) -> OwnFunction | None:
    """Loads the function of the recipe and calls it on a few evaluation rows with made-up predictions; None without one.

    Raises RecipeError if it cannot be used, see ``own_function`` and ``probed``.
    """
    rows = splits.validation or splits.test
    if recipe.evaluate.function is None or rows is None:
        return None
    function = own_function(recipe.evaluate, base, parameters_of(splits.labels, rows), f"the rows of {rows.split}")
    assert function is not None
    few = at_most(rows, PROBE_ROWS)
    made_up = Outputs(splits.labels.problem_type, made_up_predictions(splits.labels, few))
    names = {".".join(key): name for key, name in named_metrics(recipe).items()}
    measured = measured_rows(function, few, splits.labels, made_up)
    assert measured is not None
    return probed(measured, names)


def metrics_of_run(folder: Path, split: SplitMetrics, rows: Examples, labels: Labels) -> tuple[SplitMetrics, str]:
    """Returns the metrics of a finished run on further rows: also those that its recipe names, and those of its function.

    Returns:
        The metrics; and the reason why those of the function are left out, empty if they are not.
    """
    saved = recipe_of_run(folder)
    if saved is None:
        return split, ""
    recipe, result = saved
    named = str(result.data.get("positive_class", ""))
    positive = labels.names.index(named) if named in labels.names else None
    split = replace(split, of_predictions=reported_metrics(recipe), positive=positive)
    if recipe.evaluate.function is None:
        return split, ""
    try:
        base = Path(str(result.data.get("base") or "."))
        function = own_function(recipe.evaluate, base, parameters_of(labels, rows), f"the rows of {rows.split}")
        made_up = Outputs(labels.problem_type, made_up_predictions(labels, rows))
        measured = None if function is None else measured_rows(function, rows, labels, made_up)
        assert measured is not None
        function = probed(measured, {})
    except RecipeError as error:
        return split, f"the metrics of {recipe.evaluate.function} are left out: {error}"
    return replace(split, own=partial(measured_rows, function, rows, labels), own_verdict=function.names[0]), ""


def parameters_of(labels: Labels, rows: Examples) -> tuple[str, ...]:
    """Returns the parameters that a function of these rows may have."""
    of_classes = () if labels.problem_type == REGRESSION else ("probabilities", "classes")
    of_pairs = () if rows.pairs is None else ("pairs",)
    return ("labels", "predictions", *of_classes, "texts", *of_pairs, "row_ids")


def made_up_predictions(labels: Labels, rows: Examples) -> Predictions:
    """Returns predictions of which about half are right, for a trial call."""
    truth, rng = label_array(labels, rows), np.random.default_rng(0)
    other = np.where(rng.random(len(truth)) < 0.5, np.arange(len(truth)), rng.permutation(len(truth)))
    guessed = truth[other]
    if labels.problem_type == REGRESSION:
        return from_scores(REGRESSION, truth, guessed)
    marked = guessed if labels.problem_type == MULTI else np.eye(labels.n, dtype=np.int64)[guessed]
    scores = 0.1 + 0.8 * (marked + 0.2 * rng.random(marked.shape)) / 1.2
    scores = scores if labels.problem_type == MULTI else scores / scores.sum(axis=1, keepdims=True)
    return from_scores(labels.problem_type, truth, scores)


def measured_rows(function: OwnFunction, rows: Examples, labels: Labels, outputs: Outputs) -> MeasuredRows | None:
    """Returns the rows with one system's outputs, as the function reads them; None for outputs without predictions.

    Labels and predictions are in the type of the training file; of several labels a row, 0 and 1 in the order of ``classes``.
    Predictions of some of the rows only are matched by their row ids.
    """
    predictions = outputs.predictions
    if predictions is None:
        return None
    place = {row_id: position for position, row_id in enumerate(rows.row_ids)}
    ids = rows.row_ids if predictions.row_ids is None else predictions.row_ids.tolist()
    chosen = np.array([place[row_id] for row_id in ids], dtype=np.int64)
    columns: dict[str, Any] = {
        "labels": as_given(predictions.labels, labels),
        "predictions": as_given(predictions.decisions, labels),
        "texts": np.array(rows.texts, dtype=object)[chosen],
        "row_ids": np.array(rows.row_ids)[chosen],
    }
    if rows.pairs is not None:
        columns["pairs"] = np.array(rows.pairs, dtype=object)[chosen]
    constants: Mapping[str, Any] = {}
    if labels.problem_type != REGRESSION:
        columns["probabilities"] = predictions.scores
        constants = {"classes": list(labels.values)}
    measured = MeasuredRows(function, rows.split, columns, OF_SYSTEM, constants)
    if labels.problem_type != SINGLE:
        return measured
    return replace(measured, variants=partial(rare_class_variants, function, rows, labels, outputs))


def rare_class_variants(
    function: OwnFunction, rows: Examples, labels: Labels, outputs: Outputs
) -> Iterator[tuple[MeasuredRows, float]]:
    """Yields the rows with another outcome of each rare class, see ``few_rows.rare_variants``."""
    assert outputs.predictions is not None
    for predictions, share in rare_variants(outputs.predictions):
        changed = measured_rows(function, rows, labels, replace(outputs, predictions=predictions))
        assert changed is not None
        yield changed, share


def as_given(values: Array, labels: Labels) -> Array:
    """Converts class ids to class names, in the type of the training file; numbers and 0/1 rows stay."""
    return np.array(labels.values)[values] if labels.problem_type == SINGLE else values
