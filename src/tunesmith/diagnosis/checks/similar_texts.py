"""Pairs of similar texts, one of each data set, and the conditions that hold in them: words, lengths, values of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.diagnosis.checks.shortcuts import lower_words
from tunesmith.report.data_sets import EVERY

MIN_ROWS = 8
"""Fewest fitted rows of each data set in which a condition must hold."""
MOST_WORDS = 2_000
"""Words that are tested: the most frequent ones."""


@dataclass(frozen=True)
class Side:
    """P texts of one data set: their class ids (P) and the conditions that hold in them (P, F) bool."""

    given: Array
    features: Array

    def take(self, rows: Array) -> Side:
        return Side(self.given[rows], self.features[rows])


@dataclass(frozen=True)
class SimilarTexts:
    """P pairs of similar texts; ``conditions`` names the F features in words, the first holds in every text."""

    first: Side
    second: Side
    conditions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.first.given)

    def take(self, pairs: Array) -> SimilarTexts:
        return SimilarTexts(self.first.take(pairs), self.second.take(pairs), self.conditions)


def match_texts(first: Array, second: Array, floor: float) -> tuple[Array, Array]:
    """Pairs the rows of two sets one to one, with the largest sum of similarities; returns their positions (P).

    Args:
        first, second: unit vectors (N, D) and (M, D).
        floor: pairs below this cosine are left out.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    similarity = first @ second.T
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    kept = similarity[rows, columns] >= floor
    return rows[kept], columns[kept]


def describe_texts(
    first: Sequence[str], second: Sequence[str], cells: Mapping[str, tuple[Sequence[str], Sequence[str]]] | None = None
) -> tuple[Array, Array, tuple[str, ...]]:
    """Returns the features of both sides (P, F) and their conditions: every text, frequent words, lengths, values of columns.

    Args:
        cells: column -> its cells on both sides.
    """
    words = [[set(lower_words(text)) for text in side] for side in (first, second)]
    counts: dict[str, list[int]] = {}
    for i, side in enumerate(words):
        for word in (word for of_text in side for word in of_text):
            counts.setdefault(word, [0, 0])[i] += 1
    frequent = sorted((word for word in counts if min(counts[word]) >= MIN_ROWS), key=lambda word: (-sum(counts[word]), word))
    lengths = [np.array([len(lower_words(text)) for text in side]) for side in (first, second)]
    limits = sorted({int(limit) for limit in np.quantile(np.concatenate(lengths), (0.25, 0.5, 0.75))})
    conditions = [EVERY, *(f'the text contains "{word}"' for word in frequent[:MOST_WORDS])]
    conditions += [f"the text has at most {plural(limit, 'word')}" for limit in limits]
    conditions += [f"the text has more than {plural(limit, 'word')}" for limit in limits]
    sides: tuple[list[Array], list[Array]] = ([], [])
    for columns, side, n_words in zip(sides, words, lengths, strict=True):
        columns.append(np.ones(len(side), dtype=bool))
        columns += [np.array([word in text for text in side]) for word in frequent[:MOST_WORDS]]
        columns += [n_words <= limit for limit in limits] + [n_words > limit for limit in limits]
    for column, of_sides in (cells or {}).items():
        for value in sorted({*of_sides[0]} & {*of_sides[1]}):
            conditions.append(f"{column} is {value}")
            for columns, own in zip(sides, of_sides, strict=True):
                columns.append(np.array([cell == value for cell in own]))
    return np.stack(sides[0], axis=1), np.stack(sides[1], axis=1), tuple(conditions)
