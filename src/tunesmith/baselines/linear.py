"""A linear model on given features, for every problem type; what both the TF-IDF and the frozen-embedding baseline end in."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.data.table import Examples, Labels
from tunesmith.metrics.predictions import MULTI, REGRESSION, Predictions, from_scores

INVERSE_REGULARISATION = 10.0
"""scikit-learn's C. Rows have length 1 in both baselines, where its default of 1 holds back far too much."""
ALPHAS = np.logspace(-3, 2, 11)
MOST_ITERATIONS = 200


def linear_predictions(
    features: dict[str, Any], train: Examples, judged: dict[str, Examples], labels: Labels
) -> dict[str, Predictions]:
    """The judged splits' predictions of a linear model fitted to the training rows.

    Logistic regression for one label and, one label at a time, for several; ridge for a regression, its strength chosen
    by leave-one-out error (generalised cross-validation) on the training rows.

    Args:
        features: split name -> (N, D) dense or sparse, for ``train`` and every judged split.
    """
    scores = fitted_scores(features, np.asarray(train.labels), labels, list(judged))
    return {
        name: from_scores(labels.problem_type, split.labels, scores[name], row_ids=split.row_ids)
        for name, split in judged.items()
    }


def fitted_scores(features: dict[str, Any], targets: np.ndarray, labels: Labels, names: list[str]) -> dict[str, np.ndarray]:
    """Split name -> probabilities (N, K), or numbers (N) for a regression."""
    if labels.problem_type == REGRESSION:
        model = ridge(features["train"], targets)
        return {name: model.predict(features[name]) for name in names}
    if labels.problem_type == MULTI:
        columns = [one_label(features, targets[:, k], names) for k in range(labels.n)]
        return {name: np.stack([column[name] for column in columns], axis=1) for name in names}
    model = logistic(features["train"], targets)
    return {name: over_all_classes(model, features[name], labels.n) for name in names}


def one_label(features: dict[str, Any], targets: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Split name -> probability of one label (N); its constant rate where train has it always or never."""
    if targets.min() == targets.max():
        return {name: np.full(features[name].shape[0], float(targets[0])) for name in names}
    model = logistic(features["train"], targets)
    return {name: model.predict_proba(features[name])[:, 1] for name in names}


def logistic(features: Any, targets: np.ndarray) -> Any:
    """A fitted logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MOST_ITERATIONS, tol=1e-3).fit(features, targets)


def ridge(features: Any, targets: np.ndarray) -> Any:
    """A fitted ridge regression; sparse features get a fixed strength, since their closed form would be dense."""
    from scipy.sparse import issparse
    from sklearn.linear_model import Ridge, RidgeCV

    model = Ridge(alpha=1.0, solver="lsqr") if issparse(features) else RidgeCV(alphas=ALPHAS)
    return model.fit(features, targets)


def over_all_classes(model: Any, features: Any, n_classes: int) -> np.ndarray:
    """Probabilities (N, K) over all classes, also those that the training rows do not have."""
    whole = np.zeros((features.shape[0], n_classes))
    whole[:, model.classes_] = model.predict_proba(features)
    return whole
