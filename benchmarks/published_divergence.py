"""Divergence of classes as it was published for one table, to compare ours with (``diagnosis_arithmetic.py``)."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.checks.class_pairs import jensen_shannon
from tunesmith.diagnosis.evidence import UNLABELLED

MENTIONS = re.compile(r"@\w+|https?://\S+|www\.\S+")
PUBLISHED_MOST, PUBLISHED_LEAST, SHORTEST = 500, 750, 3
Pairs = dict[tuple[int, int], float]


def published_divergence(texts: Sequence[str], given: Array, n_classes: int, stopwords: frozenset[str]) -> Pairs:
    """Divergence of each pair as published for the table of Kulkarni et al. 2023 (GOTHate), natural logarithm.

    Words of three letters or more that are no stopwords. Each class keeps its 500 commonest and 750 rarest; a word that a class
    has gets (n + 1) / (N_c + V_c), N_c and V_c of the kept ones; one it lacks 1 / (N + V) of the whole data; then both are
    normalised. Only for comparison with that table: class size and smoothing are not taken out.
    """
    counts = [Counter[str]() for _ in range(n_classes)]
    for text, label in zip(texts, given.tolist(), strict=True):
        if label != UNLABELLED:
            words = re.sub(r"[^\w\s]", " ", MENTIONS.sub(" ", text.lower())).split()
            counts[label].update(w for w in words if len(w) >= SHORTEST and not w.isdigit() and w not in stopwords)
    kept = [published_words(count) for count in counts]
    missing = 1 / max(1, sum(map(Counter.total, counts)) + len(set().union(*counts)))
    divergences = {}
    for a, b in itertools.combinations(range(n_classes), 2):
        words = sorted({*kept[a], *kept[b]})
        first, second = (published_distribution(count, words, missing) for count in (kept[a], kept[b]))
        divergences[a, b] = jensen_shannon(first, second, base=float(np.e))
    return divergences


def published_distribution(count: dict[str, int], words: Sequence[str], missing: float) -> Array:
    """Word probabilities of one class (V), adding up to 1."""
    total = sum(count.values()) + len(count)
    chance = np.array([(count[word] + 1) / total if word in count else missing for word in words])
    return np.asarray(chance / chance.sum())


def published_words(count: Counter[str]) -> dict[str, int]:
    """The commonest and the rarest words of a class with their counts."""
    ordered = count.most_common()
    return dict(ordered[:PUBLISHED_MOST] + ordered[-PUBLISHED_LEAST:])
