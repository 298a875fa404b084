"""Training rows whose label a simple model, trained without them, would not give."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.baselines.answers import label_array
from tunesmith.baselines.frozen import Embedded, linear_on_embeddings
from tunesmith.data.normalise import text_keys
from tunesmith.data.table import Examples, Labels
from tunesmith.metrics.predictions import SINGLE, Array
from tunesmith.results import Finding

NAME = "suspect labels"
FOLDS = 5
SHOWN = 20
MOST_WORK = 100_000_000
"""Rows x features x classes; above it the five fits take longer than a finding is worth before training."""


def suspect_labels(labels: Labels, train: Examples, embeddings: Embedded, seed: int = 0) -> Finding:
    """The training rows whose given label is probably wrong, the most doubtful first.

    Each row is judged by a linear model on the base model's embeddings that was fitted to the other four fifths of the
    rows; rows with the same normalised text are never divided. A row is flagged where another class is as probable as it
    usually is for rows that bear that label, and more probable than the given one (the off-diagonal of the confident
    joint, Northcutt et al. 2021, "Confident Learning", section 3.1). It is a list to look through, not a list of errors.

    Args:
        embeddings: of the training rows, see ``baselines.frozen``.
    """
    width = embeddings[0].shape[1] * 4 if isinstance(embeddings, tuple) else embeddings.shape[1]
    if labels.problem_type != SINGLE:
        return Finding(NAME, "", skipped="it needs one label a row")
    if len(train) * width * labels.n > MOST_WORK:
        return Finding(NAME, "", skipped=f"{len(train):,} rows of {labels.n} classes take too long to fit five times")
    probabilities = out_of_fold(labels, train, embeddings, seed)
    given = label_array(labels, train)
    flagged, proposed, margin = confident_disagreements(probabilities, given)
    order = flagged[np.argsort(margin[flagged], kind="stable")]
    rows = tuple(described(train, labels, int(i), int(proposed[i]), probabilities[i]) for i in order[:SHOWN])
    summary = f"{len(flagged):,} of {len(train):,} training rows look more like another class to a model that did not see them"
    return Finding(
        NAME, summary, len(flagged), rows=rows, remedy="Look through them, worst first; correct the file and train again."
    )


def out_of_fold(labels: Labels, train: Examples, embeddings: Embedded, seed: int) -> Array:
    """For each row the class probabilities (N, K) of a model fitted without its fold."""
    folds = fold_of(train, seed)
    whole = np.zeros((len(train), labels.n))
    for fold in range(FOLDS):
        held, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(held):
            continue
        parts = {"held": part(embeddings, held), "rest": part(embeddings, rest)}
        answers = linear_on_embeddings(labels, train.take(rest.tolist(), "rest"), [train.take(held.tolist(), "held")], parts)
        whole[held] = answers.predictions["held"].scores
    return whole


def fold_of(train: Examples, seed: int) -> Array:
    """The fold of each row (N); rows with the same text, or of the same group, share one."""
    keys = train.groups if train.groups is not None else text_keys(train.texts, train.pairs)
    _, key = np.unique(np.asarray(keys, dtype=object).astype(str), return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(key.max() + 1)
    return np.asarray(shuffled[key] % FOLDS)


def part(embeddings: Embedded, positions: Array) -> Embedded:
    if isinstance(embeddings, tuple):
        return embeddings[0][positions], embeddings[1][positions]
    return embeddings[positions]


def confident_disagreements(probabilities: Array, given: Array) -> tuple[Array, Array, Array]:
    """Positions of the flagged rows, the class proposed for every row (N), and p(given) - p(proposed) (N).

    Args:
        probabilities: out-of-sample, (N, K).
        given: class ids (N).
    """
    n_classes = probabilities.shape[1]
    usual = np.array([probabilities[given == k, k].mean() if (given == k).any() else 1.0 for k in range(n_classes)])
    confident = np.where(probabilities >= usual, probabilities, 0.0)
    rows = np.arange(len(given))
    proposed = confident.argmax(axis=1)
    margin = probabilities[rows, given] - probabilities[rows, proposed]
    return np.flatnonzero((proposed != given) & (confident.max(axis=1) > 0) & (margin < 0)), proposed, margin


def described(train: Examples, labels: Labels, position: int, proposed: int, probabilities: Array) -> dict[str, Any]:
    """One row of the finding."""
    given = int(train.labels[position])
    name, other = labels.names[given], labels.names[proposed]
    return {
        "row_id": train.row_ids[position], "split": train.split, "given": name, "proposed": other,
        "probability": float(probabilities[proposed]), "text": train.texts[position][:300],
        "reason": f"given {name} ({probabilities[given]:.0%}), looks like {other} ({probabilities[proposed]:.0%})",
    }  # fmt: skip
