"""Whether labels mean the same elsewhere: agreement with an oracle, and data sets compared with each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples
from tunesmith.metrics.predictions import Array

Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class ClassAgreement:
    """How often an oracle gives the rows of one class that class.

    Attributes:
        low, high: Wilson's 95 % interval of the share.
    """

    name: str
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Opposite:
    """Nearly the same text in two data sets with different labels."""

    first_row: int
    second_row: int
    first_label: str
    second_label: str
    overlap: float


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927); (0, 1) without rows."""
    if not n:
        return 0.0, 1.0
    share, z2 = successes / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * float(np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


def class_agreement(given: Sequence[str], said: Sequence[str]) -> tuple[ClassAgreement, ...]:
    """For each given class the share of its rows on which the oracle says the same, classes in alphabetical order."""
    found = []
    for name in sorted(set(given)):
        answers = [answer for label, answer in zip(given, said, strict=True) if label == name]
        hits = answers.count(name)
        low, high = wilson(hits, len(answers))
        found.append(ClassAgreement(name, len(answers), hits / len(answers), low, high))
    return tuple(found)


def kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa: agreement beyond what the two label distributions give by chance; None where chance alone is certain."""
    n = len(first)
    names = sorted({*first, *second})
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    by_chance = sum((first.count(name) / n) * (second.count(name) / n) for name in names)
    return None if by_chance >= 1 else (agreed - by_chance) / (1 - by_chance)


def opposite_labels(first: Examples, first_names: Sequence[str], second: Examples, second_names: Sequence[str]) -> list[Opposite]:
    """Rows of two data sets with the same or nearly the same text and different label names, the closest first."""
    both = None if first.pairs is None or second.pairs is None else [*first.pairs, *second.pairs]
    near = near_duplicates([*first.texts, *second.texts], both)
    n = len(first)
    names = [*(first_names[label] for label in first.labels), *(second_names[label] for label in second.labels)]
    rows_of: dict[int, list[int]] = {}
    for row, text in enumerate(near.text_of.tolist()):
        rows_of.setdefault(text, []).append(row)
    matches = [(text, text, 1.0) for text in rows_of]
    matches += list(zip(near.a.tolist(), near.b.tolist(), near.overlap.tolist(), strict=True))
    found = []
    for a, b, overlap in matches:
        for i, j in itertools.product(rows_of[a], rows_of[b]):
            i, j = min(i, j), max(i, j)
            if i < n <= j and names[i] != names[j]:
                found.append(Opposite(first.row_ids[i], second.row_ids[j - n], names[i], names[j], overlap))
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda pair: -pair.overlap)


def transfer_matrix(sets: Mapping[str, tuple[Array, Array]], fit: Callable[[Array, Array], Callable[[Array], Array]],
                    mcc: Callable[[Array, Array], float]) -> dict[tuple[str, str], float]:  # fmt: skip
    """MCC of a model trained on one data set and tested on another, and on itself by the caller's split, for every pair.

    Args:
        sets: name -> (features (N, D), class ids (N)) with the same classes everywhere.
        fit: features and labels to a function from features to class ids.
        mcc: labels and decisions to Matthews' correlation.
    """
    found = {}
    for train_name, (features, labels) in sets.items():
        decide = fit(features, labels)
        for test_name, (others, truth) in sets.items():
            if test_name != train_name:
                found[train_name, test_name] = mcc(truth, decide(others))
    return found
