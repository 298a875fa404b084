"""Computes the numbers of tables and figures: confusion matrix, per-class scores with intervals, reliability bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Rate:
    """A proportion with its 95 % interval; all None if it is undefined (0 of 0)."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class. ``support``: rows with this label; ``predicted``: rows with this prediction."""

    name: str
    support: int
    predicted: int
    precision: Rate
    recall: Rate
    f1: Rate


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: number of rows, mean confidence, and accuracy (``right``)."""

    n: int
    confidence: float
    right: Rate


def wilson(hits: int, n: int) -> Rate:
    """Computes ``hits / n`` with Wilson's score interval (Wilson 1927, eq. 4 as in Brown, Cai and DasGupta 2001)."""
    if n <= 0:
        return Rate(None)
    share, z2 = hits / n, Z95 * Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Rate(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def f1_rate(true_positive: int, missed: int, wrong: int) -> Rate:
    """Computes F1 with an interval: Wilson's on F* = TP / (TP + FN + FP), a plain proportion, mapped by F1 = 2 F* / (1 + F*).

    The map is monotone, so the interval keeps its coverage (Hand, Christen and Kirielle 2021, "F*: an interpretable
    transformation of the F-measure").
    """
    share = wilson(true_positive, true_positive + missed + wrong)
    ends = [None if end is None else 2 * end / (1 + end) for end in (share.value, share.low, share.high)]
    return Rate(*ends)


def class_names(declared: Sequence[str], *columns: Sequence[Any]) -> list[str]:
    """Lists the declared class names in their order, then other labels that occur, sorted."""
    seen = {name for column in columns for cell in column for name in (cell if isinstance(cell, list) else [cell])}
    extra = sorted(str(name) for name in seen if name is not None and name not in set(declared))
    return [*declared, *extra]


def confusion(given: Sequence[Any], predicted: Sequence[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Counts the confusion matrix (K, K): row = label, column = prediction. Skips rows without a label or a prediction."""
    index = {name: i for i, name in enumerate(names)}
    pairs = [(index[str(a)], index[str(b)]) for a, b in zip(given, predicted, strict=True) if a is not None and b is not None]
    matrix = np.zeros((len(names), len(names)), np.int64)
    if pairs:
        rows, columns = np.array(pairs).T
        np.add.at(matrix, (rows, columns), 1)
    return matrix


def indicators(cells: Sequence[Any], names: Sequence[str]) -> NDArray[np.bool_]:
    """Converts lists of class names to (N, K) booleans."""
    index = {name: i for i, name in enumerate(names)}
    result = np.zeros((len(cells), len(names)), bool)
    for i, cell in enumerate(cells):
        result[i, [index[str(name)] for name in cell or ()]] = True
    return result


def class_scores(
    names: Sequence[str], right: NDArray[np.int64], support: NDArray[np.int64], predicted: NDArray[np.int64]
) -> list[ClassScore]:
    """Computes the scores of each class from its true positives, labels and predictions (each (K,))."""
    scores = []
    for name, hits, n_label, n_predicted in zip(names, right.tolist(), support.tolist(), predicted.tolist(), strict=True):
        f1 = f1_rate(hits, n_label - hits, n_predicted - hits)
        scores.append(ClassScore(name, n_label, n_predicted, wilson(hits, n_predicted), wilson(hits, n_label), f1))
    return scores


def top_confusions(matrix: NDArray[np.int64], names: Sequence[str]) -> list[tuple[str, str, int, float]]:
    """Lists the 15 most frequent confusions: label, prediction, rows, fraction of the label's rows."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:15]
    support = matrix.sum(1)
    cells = [divmod(int(flat), len(names)) for flat in order]
    return [(names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / support[i])) for i, j in cells if wrong[i, j]]


def probabilities(cells: Sequence[Any], n_classes: int) -> NDArray[np.float64] | None:
    """Converts ``pred_probs`` to (N, K), NaN for rows without; None if they do not have n_classes columns."""
    if {len(cell) for cell in cells if cell is not None} != {n_classes}:
        return None
    missing = [None] * n_classes
    return np.array([missing if cell is None else cell for cell in cells], dtype=np.float64)


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[Bin]:
    """Computes the non-empty ones of ten bins of equal width over [0, 1]; skips confidences that are not finite."""
    is_finite = np.isfinite(confidence)
    confidence, right = confidence[is_finite], right[is_finite]
    index = np.minimum((confidence * 10).astype(int), 9)
    bins = []
    for i in range(10):
        inside = index == i
        n = int(inside.sum())
        if n:
            bins.append(Bin(n, float(confidence[inside].mean()), wilson(int(right[inside].sum()), n)))
    return bins
