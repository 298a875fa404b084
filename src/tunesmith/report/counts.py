"""Counts behind the tables and figures: confusion, per-class scores with intervals, reliability. Arrays in, small records out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval; all None where it is undefined (0 of 0)."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ClassScore:
    """How one class was recognised. ``support``: rows that carry the label; ``predicted``: rows given it by the model."""

    name: str
    support: int
    predicted: int
    precision: Rate
    recall: Rate
    f1: Rate


@dataclass(frozen=True)
class Bin:
    """One step of a reliability diagram: the mean confidence in it and the share that was right."""

    n: int
    confidence: float
    right: Rate


def wilson(hits: int, n: int) -> Rate:
    """The share ``hits / n`` with Wilson's score interval (Wilson 1927, eq. 4 as in Brown, Cai and DasGupta 2001)."""
    if n <= 0:
        return Rate(None)
    share, z2 = hits / n, Z95 * Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Rate(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def f1_rate(true_positive: int, missed: int, wrong: int) -> Rate:
    """F1 with an interval: Wilson's on F* = TP / (TP + FN + FP), a plain proportion, mapped by F1 = 2 F* / (1 + F*).

    The map is monotone, so the interval keeps its coverage (Hand, Christen and Kirielle 2021, "F*: an interpretable
    transformation of the F-measure").
    """
    share = wilson(true_positive, true_positive + missed + wrong)
    ends = [None if end is None else 2 * end / (1 + end) for end in (share.value, share.low, share.high)]
    return Rate(*ends)


def class_names(declared: Sequence[str], *columns: Sequence[Any]) -> list[str]:
    """The declared class names in their order, then any other label that occurs, sorted."""
    seen = {name for column in columns for cell in column for name in (cell if isinstance(cell, list) else [cell])}
    extra = sorted(str(name) for name in seen if name is not None and name not in set(declared))
    return [*declared, *extra]


def confusion(given: Sequence[Any], predicted: Sequence[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Counts (K, K): row = given class, column = predicted class. Rows without a label or a prediction are not counted."""
    place = {name: i for i, name in enumerate(names)}
    pairs = [(place[str(a)], place[str(b)]) for a, b in zip(given, predicted, strict=True) if a is not None and b is not None]
    matrix = np.zeros((len(names), len(names)), np.int64)
    if pairs:
        rows, columns = np.array(pairs).T
        np.add.at(matrix, (rows, columns), 1)
    return matrix


def indicators(cells: Sequence[Any], names: Sequence[str]) -> NDArray[np.bool_]:
    """Lists of class names as (N, K) booleans."""
    place = {name: i for i, name in enumerate(names)}
    marks = np.zeros((len(cells), len(names)), bool)
    for i, cell in enumerate(cells):
        marks[i, [place[str(name)] for name in cell or ()]] = True
    return marks


def class_scores(names: Sequence[str], right: Any, support: Any, predicted: Any) -> list[ClassScore]:
    """One record per class from its true positives, its labels and its predictions (each (K,))."""
    scores = []
    for name, hit, has, said in zip(names, map(int, right), map(int, support), map(int, predicted), strict=True):
        scores.append(ClassScore(name, has, said, wilson(hit, said), wilson(hit, has), f1_rate(hit, has - hit, said - hit)))
    return scores


def top_confusions(matrix: NDArray[np.int64], names: Sequence[str], n: int = 15) -> list[tuple[str, str, int, float]]:
    """The most frequent mistakes: given, predicted, rows, share of the given class."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:n]
    support = matrix.sum(1)
    cells = [divmod(int(flat), len(names)) for flat in order]
    return [(names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / support[i])) for i, j in cells if wrong[i, j]]


def probabilities(cells: Sequence[Any], n_classes: int) -> NDArray[np.float64] | None:
    """``pred_probs`` as (N, K), NaN where a row has none; None where they do not fit the classes."""
    width = {len(cell) for cell in cells if cell is not None}
    if width != {n_classes}:
        return None
    missing = [None] * n_classes
    return np.array([missing if cell is None else cell for cell in cells], dtype=np.float64)


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_], n_bins: int = 10) -> list[Bin]:
    """The occupied bins of equal width over [0, 1]. Confidences that are not finite are left out."""
    usable = np.isfinite(confidence)
    confidence, right = confidence[usable], right[usable]
    place = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    bins = []
    for i in range(n_bins):
        here = place == i
        if here.any():
            bins.append(Bin(int(here.sum()), float(confidence[here].mean()), wilson(int(right[here].sum()), int(here.sum()))))
    return bins
