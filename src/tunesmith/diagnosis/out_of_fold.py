"""Folds that keep groups and near-duplicates together, and out-of-fold class probabilities by linear models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.evidence import UNLABELLED, class_ids
from tunesmith.errors import DataError
from tunesmith.evaluation.baselines.frozen import Embedded, mean_and_scale, pair_features
from tunesmith.evaluation.baselines.linear import LinearModel, Strengths, fit_linear
from tunesmith.evaluation.baselines.tfidf import fit_tfidf

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FOLDS, MORE_FOLDS = 5, 10
FEW_ROWS = 2_000
"""Fewer rows get ten folds: they cost seconds, and models of nine tenths of the rows find more than those of four fifths."""
EMBEDDINGS = Strengths(inverse=(0.005,), ridge=(1_000.0,), usual=0)
WORDS = Strengths(inverse=(10.0,), ridge=(3.0,), usual=0)


def default_folds(requested: int | None, n_rows: int) -> int:
    """Returns the requested number of folds, else ten for few rows and five for many."""
    return requested or (MORE_FOLDS if n_rows < FEW_ROWS else FOLDS)


def assign_folds(given: Array, units: Array, n_folds: int = FOLDS, seed: int = 0, source: str = "") -> Array:
    """Returns the fold of each row (N), 0 to n_folds - 1: units are never divided, and each class is spread evenly.

    Units come in random order, larger ones first, and go to the fold with the fewest rows of the class of their first row.
    """
    n_units = int(units.max()) + 1 if len(units) else 0
    if n_units < n_folds:
        message = (
            f"{plural(len(given), 'row')} in {plural(n_units, 'set')} that must stay together cannot be divided into "
            f"{plural(n_folds, 'fold')}."
        )
        raise DataError.one(source, message, "Give more rows, or fewer folds.")
    draw = np.random.default_rng(seed)
    order = draw.permutation(n_units)
    sizes = np.bincount(units, minlength=n_units)
    order = order[np.argsort(-sizes[order], kind="stable")]
    unit_class = np.empty(n_units, dtype=np.int64)
    unit_class[units[::-1]] = given[::-1]  # the class of each unit's first row
    class_sizes = np.zeros((int(given.max()) + 2, n_folds), dtype=np.int64)  # the last row is for the unlabelled
    fold_sizes = np.zeros(n_folds, dtype=np.int64)
    unit_fold = np.empty(n_units, dtype=np.int64)
    for unit in order.tolist():
        fold = int(np.lexsort((fold_sizes, class_sizes[unit_class[unit]]))[0])
        unit_fold[unit] = fold
        class_sizes[unit_class[unit], fold] += sizes[unit]
        fold_sizes[fold] += sizes[unit]
    return unit_fold[units]


@dataclass(frozen=True)
class FoldModels:
    """The models of every fold, kept to predict other rows. They hold folds x K x features float32 weights.

    Attributes:
        mean, scale: of the embeddings' features (D), over all rows.
        word_features: rows to their TF-IDF features.
        models: of each fold the model of embeddings and the model of words.
    """

    mean: Array
    scale: Array
    word_features: Callable[[Examples], csr_matrix]
    models: tuple[tuple[LinearModel, LinearModel], ...]

    def pred_probs(self, rows: Examples, embeddings: Embedded, folds: Array) -> Array:
        """Probabilities (N, K) of the rows, each by the models that were not trained on the rows of its fold (N)."""
        features = self.features(rows, embeddings)
        parts = {fold: mean_scores(self.models[fold], features, folds == fold) for fold in np.unique(folds).tolist()}
        whole = np.zeros((len(rows), next((part.shape[1] for part in parts.values()), 0)))
        for fold, part in parts.items():
            whole[folds == fold] = part
        return whole

    def mean_pred_probs(self, rows: Examples, embeddings: Embedded) -> Array:
        """Mean probabilities (N, K) of the models of all folds, for rows that are in none."""
        features, every = self.features(rows, embeddings), np.ones(len(rows), dtype=bool)
        return np.asarray(np.mean([mean_scores(models, features, every) for models in self.models], axis=0))

    def features(self, rows: Examples, embeddings: Embedded) -> tuple[Array, csr_matrix]:
        """Standardised features of embeddings and TF-IDF features of words, (N, D) each."""
        return standardised(pair_features(embeddings), self.mean, self.scale), self.word_features(rows)


@dataclass(frozen=True)
class OutOfFold:
    """The result of cross-validation.

    Attributes:
        pred_probs: (N, K); rows add up to 1.
        folds: (N).
        unseen_class: (N) bool: rows whose class no other fold has, so that their model was not trained on it.
        models: of every fold; None unless they were to be kept.
    """

    pred_probs: Array
    folds: Array
    unseen_class: Array
    models: FoldModels | None = None


def out_of_fold(
    rows: Examples,
    labels: Labels,
    embeddings: Embedded,
    near: NearDuplicates,
    n_folds: int = FOLDS,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    keep_models: bool = False,
) -> OutOfFold:
    """Cross-validates two logistic regressions, one on the embeddings and one on words, and averages their probabilities.

    The two err on different rows: on the support messages the mean finds four fifths of the wrong labels among 44 rows, the
    embeddings alone among 52, the words alone among 135.

    Args:
        embeddings: of the untouched base model, see ``baselines.frozen``.
        progress: called with the number of folds done.
    """
    given = class_ids(rows)
    folds = assign_folds(given, example_clusters(rows, near), n_folds, seed, rows.source)
    pred_probs, models = predict_folds(rows, labels.n, embeddings, folds, progress, keep_models)
    return OutOfFold(pred_probs, folds, in_one_fold(given, folds), models)


def predict_folds(
    rows: Examples,
    n_classes: int,
    embeddings: Embedded,
    folds: Array,
    progress: Callable[[int], None] = lambda done: None,
    keep_models: bool = False,
) -> tuple[Array, FoldModels | None]:
    """Predicts probabilities (N, K) of the rows of each fold (N) by models of the others; returns the models to be kept."""
    given = class_ids(rows)
    vectors = pair_features(embeddings)
    mean, scale = mean_and_scale(vectors)
    words, word_features = fit_word_features(rows)
    features = standardised(vectors, mean, scale), words
    pred_probs = np.zeros((len(given), n_classes))
    models = []
    for fold in range(int(folds.max()) + 1):
        held, rest = folds == fold, (folds != fold) & (given != UNLABELLED)
        both = fit_both(features, given, rest, n_classes)
        pred_probs[held] = mean_scores(both, features, held)
        if keep_models:
            models.append(both)
        progress(fold + 1)
    return pred_probs, FoldModels(mean, scale, word_features, tuple(models)) if keep_models else None


def linear_features(rows: Examples, embeddings: Embedded) -> tuple[Array, csr_matrix]:
    """Returns the features of both linear models: standardised embeddings and TF-IDF of words, (N, D) each."""
    vectors = pair_features(embeddings)
    return standardised(vectors, *mean_and_scale(vectors)), fit_word_features(rows)[0]


def fit_both(features: tuple[Array, csr_matrix], given: Array, rows: Array, n_classes: int) -> tuple[LinearModel, LinearModel]:
    """Fits a logistic regression to each kind of features of the selected rows (a mask or positions)."""
    strengths = (EMBEDDINGS, WORDS)
    on_vectors, on_words = (
        fit_linear(SINGLE, n_classes, kind[rows], given[rows], None, strength)[0]
        for kind, strength in zip(features, strengths, strict=True)
    )
    return on_vectors, on_words


def mean_scores(models: tuple[LinearModel, LinearModel], features: tuple[Array, csr_matrix], rows: Array) -> Array:
    """Returns the mean of the two models' probabilities of the rows selected by a mask (N)."""
    return (models[0].scores(features[0][rows]) + models[1].scores(features[1][rows])) / 2


def fit_word_features(rows: Examples) -> tuple[csr_matrix, Callable[[Examples], csr_matrix]]:
    """Fits TF-IDF features (N, D), and returns the transform for other rows; one column of zeros for an empty vocabulary."""
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    try:
        return fit_tfidf(rows)
    except ValueError as error:
        if not any(message in str(error) for message in ("empty vocabulary", "no terms remain")):
            raise
    return csr_matrix((len(rows), 1), dtype=np.float32), lambda others: csr_matrix((len(others), 1), dtype=np.float32)


def standardised(features: Array, mean: Array, scale: Array) -> Array:
    """Returns the features with mean 0 and deviation 1, float32; constant columns stay 0."""
    return np.asarray((features - mean) / scale, dtype=np.float32)


def in_one_fold(given: Array, folds: Array) -> Array:
    """Returns rows (N) bool whose class has all its rows in their fold."""
    isolated = np.zeros(len(given), dtype=bool)
    for k in np.unique(given[given != UNLABELLED]):
        of_class = given == k
        if len(np.unique(folds[of_class])) == 1:
            isolated |= of_class
    return isolated
