"""Linear models on precomputed features: logistic regression, one per label, or ridge; validation selects the regularisation.

Also the label arrays that every baseline is fitted to, and its outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.outputs import Outputs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    Features: TypeAlias = Array | csr_matrix


MANY_CLASSES = 10
"""With more classes one fit takes seconds, and the usual strength is used without a search."""
ITERATIONS = {"few classes": 40, "many classes": 20}
"""L-BFGS iterations. More moved accuracy by less than half a point on SST-2 and CoLA, and 0.914 to 0.920 on Banking77, at twice
the time. A looser tolerance than scikit-learn's 1e-4 did harm: it stops after four to eight iterations."""

Scores = Callable[[Any], Array]
"""Features (N, D) to scores."""


@dataclass(frozen=True)
class Strengths:
    """Regularisation strengths to select from on validation; the one at ``usual`` is used without validation rows.

    Attributes:
        inverse: C of a logistic regression, larger is weaker.
        ridge: alpha of a ridge regression, larger is stronger.
        class_weights: (K) weights of the classes in the loss; of several labels those of the positive rows. None: all 1.
    """

    inverse: tuple[float, ...]
    ridge: tuple[float, ...]
    usual: int
    class_weights: Array | None = None

    def weighted(self, class_weights: Array | None) -> Strengths:
        """Returns the same strengths with the class weights that the run trains with."""
        return replace(self, class_weights=class_weights)


def label_array(labels: Labels, examples: Examples) -> Array:
    """Class ids (N,), 0/1 (N, K) or floats (N,). Raises ValueError if a row has no label."""
    missing = [i for i, label in enumerate(examples.labels) if label is None]
    if missing:
        first = examples.row_ids[missing[0]]
        raise ValueError(f"{len(missing)} rows of {examples.split} have no label, the first is row {first}")
    if labels.problem_type == MULTI:
        return np.asarray(examples.labels, dtype=np.int64).reshape(len(examples), labels.n)
    return np.asarray(examples.labels, dtype=np.float64 if labels.problem_type == REGRESSION else np.int64)


def outputs_by_split(labels: Labels, targets: Sequence[Examples], scores: Sequence[Array]) -> dict[str, Outputs]:
    """Split -> outputs, from one array of scores a split."""
    problem = labels.problem_type
    return {
        examples.split: Outputs(problem, from_scores(problem, label_array(labels, examples), values, row_ids=examples.row_ids))
        for examples, values in zip(targets, scores, strict=True)
    }


def fit_and_predict(
    labels: Labels,
    train: Examples,
    targets: Sequence[Examples],
    features: Features,
    inputs: Mapping[str, Features],
    strengths: Strengths,
) -> tuple[dict[str, Outputs], float]:
    """Fits a linear model to the features of train; returns its outputs for the targets, and the selected strength.

    Args:
        inputs: split -> features of each target; the strength is selected on the target named ``validation``.
    """
    validation = next((examples for examples in targets if examples.split == "validation"), None)
    held = None if validation is None else (inputs["validation"], label_array(labels, validation))
    scores, strength = fit_linear(labels.problem_type, labels.n, features, label_array(labels, train), held, strengths)
    return outputs_by_split(labels, targets, [scores(inputs[examples.split]) for examples in targets]), strength


def fitted_model(labels: Labels, strength: float) -> str:
    """Names the fitted model with its regularisation, as scikit-learn writes it."""
    name = "ridge regression with alpha" if labels.problem_type == REGRESSION else "logistic regression with C"
    return f"{name} = {strength:g}"


def fit_linear(
    problem_type: str,
    n_classes: int,
    features: Features,
    labels: Array,
    validation: tuple[Features, Array] | None,
    strengths: Strengths,
) -> tuple[Scores, float]:
    """Fits a linear model; returns a function from features (N, D) to scores, and the selected strength.

    Args:
        features: of train, (N, D), an array or a scipy sparse matrix.
        labels: of train, see ``predictions.label_array``.
        validation: features and labels to select the strength on by log loss or squared error.
    """
    grid: Sequence[float] = strengths.ridge if problem_type == REGRESSION else strengths.inverse
    if validation is None or not len(validation[1]) or n_classes > MANY_CLASSES:
        grid = grid[strengths.usual : strengths.usual + 1]
    fits = [_fit(problem_type, n_classes, features, labels, strength, strengths.class_weights) for strength in grid]
    if validation is None or len(fits) == 1:
        return fits[0], grid[0]
    losses = [_loss(problem_type, scores(validation[0]), validation[1]) for scores in fits]
    best = int(np.argmin(losses))
    return fits[best], grid[best]


def _fit(
    problem_type: str, n_classes: int, features: Features, labels: Array, strength: float, class_weights: Array | None
) -> Scores:
    if problem_type == REGRESSION:
        from sklearn.linear_model import Ridge

        solver = "cholesky" if isinstance(features, np.ndarray) else "sparse_cg"
        model = Ridge(alpha=strength, solver=solver, tol=1e-3)
        model.fit(features, labels.astype(features.dtype))
        return lambda rows: np.asarray(model.predict(rows), dtype=np.float64)
    if problem_type == MULTI:
        pairs = [None if class_weights is None else np.array([1.0, class_weights[k]]) for k in range(n_classes)]
        per_label = [_logistic(features, labels[:, k], 2, strength, pairs[k]) for k in range(n_classes)]
        return lambda rows: np.stack([scores(rows)[:, 1] for scores in per_label], axis=1)
    return _logistic(features, labels, n_classes, strength, class_weights)


def _logistic(features: Features, labels: Array, n_classes: int, strength: float, class_weights: Array | None) -> Scores:
    """Multinomial logistic regression; classes that train does not have get probability 0."""
    present = np.unique(labels)
    if len(present) == 1:
        return lambda rows: np.tile(np.eye(n_classes)[present[0]], (rows.shape[0], 1))
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    max_iter = ITERATIONS["many classes" if n_classes > MANY_CLASSES else "few classes"]
    model = LogisticRegression(C=strength, max_iter=max_iter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is intended, see ITERATIONS
        model.fit(features, labels, sample_weight=None if class_weights is None else class_weights[labels])

    def scores(rows: Features) -> Array:
        full = np.zeros((rows.shape[0], n_classes))
        chances = model.predict_proba(rows).astype(np.float64)
        full[:, present] = chances / chances.sum(axis=1, keepdims=True)
        return full

    return scores


def _loss(problem_type: str, scores: Array, labels: Array) -> float:
    """Mean squared error, or mean log loss."""
    if problem_type == REGRESSION:
        return float(np.mean((scores - labels) ** 2))
    right = np.where(labels == 1, scores, 1 - scores) if problem_type == MULTI else scores[np.arange(len(scores)), labels]
    return float(-np.log(np.clip(right, 1e-12, 1)).mean())
