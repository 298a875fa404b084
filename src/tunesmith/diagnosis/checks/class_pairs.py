"""Similarity of classes by their words: Jensen-Shannon divergence of their word distributions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.diagnosis.checks.shortcuts import lower_words
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, skip

MIN_FREQUENCY = 5
ALPHA = 1.0
PERMUTATIONS = 20
MAX_CLASSES = 30
"""All pairs of so many classes are 435; with more the check is skipped."""


@dataclass(frozen=True)
class ClassPair:
    """The divergence of two classes.

    Attributes:
        raw: divergence in bits, 0 (same words) to 1 (no word shared).
        null: its mean under shuffled labels: the effect of class sizes and smoothing alone.
        null_deviation: its standard deviation there.
    """

    first: int
    second: int
    raw: float
    null: float
    null_deviation: float

    @property
    def corrected(self) -> float:
        return self.raw - self.null


def jensen_shannon(p: Array, q: Array, base: float = 2.0) -> float:
    """Divergence (not its square root) of two distributions (V), Lin 1991; in bits 0 to 1."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p > 0, p * np.log(p / middle), 0) + np.where(q > 0, q * np.log(q / middle), 0)
    return float(parts.sum() / 2 / np.log(base))


def occurrences(texts: Sequence[str], rows: Array, min_frequency: int) -> tuple[Array, Array, int]:
    """Occurrences of the words that these rows hold at least ``min_frequency`` times.

    Returns:
        The row and the word number of each occurrence, (T) each, and the number of such words.
    """
    numbers: dict[str, int] = {}
    per_row = [lower_words(texts[row]) for row in rows.tolist()]
    words: Array = np.array([numbers.setdefault(word, len(numbers)) for own in per_row for word in own], dtype=np.int64)
    row_of_word: Array = np.repeat(rows, list(map(len, per_row)))
    kept = np.bincount(words, minlength=len(numbers)) >= min_frequency
    place, frequent = np.cumsum(kept) - 1, kept[words]
    return row_of_word[frequent], place[words[frequent]], int(kept.sum())


def class_pairs(
    texts: Sequence[str],
    given: Array,
    n_classes: int,
    *,
    min_frequency: int = MIN_FREQUENCY,
    alpha: float = ALPHA,
    n_permutations: int = PERMUTATIONS,
) -> list[ClassPair]:
    """Divergence of every pair of classes, with its mean and deviation under shuffled labels.

    Base 2, one vocabulary for all classes, words from ``min_frequency`` occurrences on, ``alpha`` added to each count. Most of
    the raw figure can be smoothing and class size, so read it minus its null.
    """
    labelled = np.flatnonzero(given != UNLABELLED)
    rows, words, n_words = occurrences(texts, labelled, min_frequency)
    pairs = list(itertools.combinations(np.unique(given[labelled]).tolist(), 2))

    def divergences(labels: Array) -> list[float]:
        counts = np.bincount(words * n_classes + labels[rows], minlength=n_words * n_classes).reshape(-1, n_classes)
        raised = counts.T + alpha
        distributions = raised / raised.sum(axis=1, keepdims=True)  # of words by class (K, V)
        return [jensen_shannon(distributions[a], distributions[b]) for a, b in pairs]

    raw = divergences(given)
    draw, null = np.random.default_rng(0), []
    for _ in range(n_permutations):
        shuffled = given.copy()
        shuffled[labelled] = given[draw.permutation(labelled)]
        null.append(divergences(shuffled))
    drawn = np.array(null)
    return [ClassPair(a, b, raw[i], float(drawn[:, i].mean()), float(drawn[:, i].std())) for i, (a, b) in enumerate(pairs)]


def class_difficulty(evidence: Evidence) -> Diagnosis:
    """Ranks the pairs of classes by corrected divergence, the most alike first."""
    name = "class_pairs"
    present = np.unique(evidence.given[evidence.given != UNLABELLED])
    if not 2 <= len(present) <= MAX_CLASSES:
        return skip(name, f"it compares 2 to {MAX_CLASSES} classes with each other, the rows have {len(present)}")
    texts = evidence.rows.texts
    if evidence.rows.pairs is not None:
        texts = [f"{a} {b}" for a, b in zip(texts, evidence.rows.pairs, strict=True)]
    pairs = sorted(class_pairs(texts, evidence.given, evidence.labels.n), key=lambda pair: pair.corrected)
    table = [
        {
            "first": evidence.class_name(pair.first),
            "second": evidence.class_name(pair.second),
            "bits": pair.raw,
            "null_bits": pair.null,
            "corrected_bits": pair.corrected,
            "null_deviation": pair.null_deviation,
        }
        for pair in pairs
    ]
    shown = listed((f"{row['first']} and {row['second']} ({row['corrected_bits']:.3f} bits)" for row in table), 3)
    summary = f"Classes most alike by their words (divergence beyond shuffled labels; 1 bit is no word shared): {shown}."
    return Diagnosis(name, summary, figures={"pairs": table})
