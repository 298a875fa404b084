"""Shortcut features: words, lengths and punctuation that predict the label without the meaning of the text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.personal import masked
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, skip
from tunesmith.evaluation.metrics.classification import column_auroc

ALPHA = 0.01
MIN_COUNT = 20
"""Fewest occurrences for a word's PMI or z-score, as in Gardner et al., and fewest rows of a class for its surface form."""
STRONG_AUROC = 0.65
"""Features that predict a class with this AUROC, or with 1 minus it, are named."""
WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True)
class WordCounts:
    """Occurrences of each word in rows of each class. ``words``: (V), in alphabetical order; ``counts``: (V, K)."""

    words: tuple[str, ...]
    counts: Array


def lower_words(text: str) -> list[str]:
    """Returns the words of a text, lower-cased, without punctuation."""
    return WORD.findall(text.lower())


def count_words(texts: Sequence[str], given: Array, n_classes: int) -> WordCounts:
    counts: dict[str, list[int]] = {}
    for text, label in zip(texts, given.tolist(), strict=True):
        if label == UNLABELLED:
            continue
        for word in lower_words(text):
            counts.setdefault(word, [0] * n_classes)[label] += 1
    order = sorted(counts)
    return WordCounts(tuple(order), np.array([counts[word] for word in order], dtype=np.int64).reshape(len(order), n_classes))


def z_statistics(counts: Array, prior: Array) -> Array:
    """z of each word and class (V, K): (p - p0) / sqrt(p0 (1 - p0) / n), Gardner et al. 2021, "Competency Problems", section 4.

    Args:
        counts: occurrences (V, K); p is a class's share of the n occurrences of a word.
        prior: p0 of each class (K). The paper takes 1 / K, which suits balanced classes only.
    """
    n = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(n, 1)
    return np.asarray((share - prior) / np.sqrt(prior * (1 - prior) / np.maximum(n, 1)))


def critical_z(n_tests: int) -> float:
    """Returns the one-sided critical value after Bonferroni's correction for so many tests."""
    return NormalDist().inv_cdf(1 - ALPHA / max(1, n_tests))


def pmi(counts: Array) -> Array:
    """Pointwise mutual information of word and class (V, K), bits; -inf for words that a class does not have."""
    total = max(1, counts.sum())
    with np.errstate(divide="ignore"):
        joint = np.log2(counts / total)
        return np.asarray(joint - np.log2(counts.sum(axis=1, keepdims=True) / total) - np.log2(counts.sum(axis=0) / total))


def shortcut_words(evidence: Evidence) -> Diagnosis:
    """Lists words that occur in one class more often than chance allows; flags no row.

    A listed word is no error by itself: "refund" in the class refund_status is meaning, "nobody" in contradictions is not.
    """
    name = "shortcut_words"
    texts = evidence.rows.texts if evidence.rows.pairs is None else evidence.rows.pairs
    present = evidence.given[evidence.given != UNLABELLED]
    if len(np.unique(present)) < 2:
        return skip(name, "it needs rows of two classes")
    words = count_words([masked(text, " ") for text in texts], evidence.given, evidence.labels.n)  # words are named below
    totals = words.counts.sum(axis=1)
    frequent = np.flatnonzero(totals >= MIN_COUNT)
    if not len(frequent):
        return skip(name, f"no word is there {MIN_COUNT} times")
    prior = np.maximum(np.bincount(present, minlength=evidence.labels.n) / len(present), 1e-9)
    z, bits = z_statistics(words.counts[frequent], prior), pmi(words.counts)[frequent]
    limit = critical_z(len(words.words))
    table = [
        {
            "word": words.words[frequent[v]],
            "label": evidence.class_name(k),
            "z": float(z[v, k]),
            "pmi_bits": float(bits[v, k]),
            "share": float(words.counts[frequent[v], k] / totals[frequent[v]]),
            "n": int(totals[frequent[v]]),
        }
        for v, k in np.argwhere(z > limit).tolist()
    ]
    table.sort(key=lambda row: -float(row["z"]))
    shown = listed((f"{row['word']} in {row['label']} (z {row['z']:.1f})" for row in table), 5)
    summary = "No word predicts a class by itself."
    if table:
        summary = (
            f"{plural(len(table), 'word', 'occurs', 'occur')} in one class more often than chance allows (z > "
            f"{limit:.2f}): {shown}."
        )
    figures = {
        "words": table[:200],
        "critical_z": limit,
        "vocabulary": len(words.words),
        "per_class": dict(Counter(str(row["label"]) for row in table)),
    }
    remedy = "If such a word is no reason for the label, write rows that hold it and have another label."
    return Diagnosis(name, summary, figures=figures, remedy=remedy)


def surface_features(texts: Sequence[str]) -> dict[str, Array]:
    """Surface features (N) of texts that should not predict the label."""
    return {
        "characters": np.array([len(text) for text in texts], dtype=float),
        "words": np.array([len(text.split()) for text in texts], dtype=float),
        "punctuation": np.array([sum(c in ".,;:!?-()\"'" for c in text) / max(1, len(text)) for text in texts]),
        "exclamation marks": np.array([text.count("!") for text in texts], dtype=float),
        "question marks": np.array([text.count("?") for text in texts], dtype=float),
        "capital letters": np.array([sum(c.isupper() for c in text) / max(1, len(text)) for text in texts]),
        "digits": np.array([sum(c.isdigit() for c in text) / max(1, len(text)) for text in texts]),
    }


def surface(evidence: Evidence) -> Diagnosis:
    """Measures how well length, punctuation or capitals alone predict each class, as AUROC (0.5 is not at all)."""
    name = "surface_form"
    rows = np.flatnonzero(evidence.given != UNLABELLED)
    given = evidence.given[rows]
    if len(np.unique(given)) < 2:
        return skip(name, "it needs rows of two classes")
    classes = np.flatnonzero(np.bincount(given) >= MIN_COUNT).tolist()
    if not classes:
        return skip(name, f"no class has {MIN_COUNT} rows")
    sides = {"": evidence.rows.texts, **({" of the second text": evidence.rows.pairs} if evidence.rows.pairs is not None else {})}
    table: list[dict[str, Any]] = []
    for side, texts in sides.items():
        for feature, values in surface_features([texts[i] for i in rows.tolist()]).items():
            for k in classes:
                area, n = column_auroc(given == k, values), int((given == k).sum())
                table.append({"feature": feature + side, "label": evidence.class_name(k), "auroc": area, "n": n})
    table.sort(key=lambda row: -abs(float(row["auroc"]) - 0.5))
    strong = [row for row in table if abs(float(row["auroc"]) - 0.5) >= STRONG_AUROC - 0.5]
    top = table[0]
    summary = f"Surface features hardly predict the class; the strongest: {top['feature']} (AUROC {top['auroc']:.2f})."
    if strong:
        directions = [("more" if row["auroc"] > 0.5 else "fewer", row) for row in strong]
        shown = listed((f"{more} {row['feature']} in {row['label']} (AUROC {row['auroc']:.2f})" for more, row in directions), 4)
        summary = f"Surface features predict the class: {shown}."
    return Diagnosis(name, summary, figures={"features": table[:100]})
