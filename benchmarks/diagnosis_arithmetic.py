"""Recomputes published figures behind the checks from published files, with our functions.

    python benchmarks/diagnosis_arithmetic.py

V-information of six models on CoLA and of BERT on SNLI; cleanlab's count on the released IMDB probabilities; shortcut words of
SNLI's test hypotheses; divergence of the classes of Davidson et al.'s tweets, as published and corrected.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from published_divergence import published_divergence
from record import write

from tunesmith.diagnosis.checks.class_pairs import class_pairs
from tunesmith.diagnosis.checks.label_errors import pruned_by_noise_rate
from tunesmith.diagnosis.checks.pvi import bounds, information
from tunesmith.diagnosis.checks.shortcuts import count_words, critical_z, z_statistics

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"
SNLI_CLASSES = ("entailment", "neutral", "contradiction")
SNLI_WORDS = {"sleeping": ("contradiction", 12.47), "nobody": ("contradiction", 9.49), "to": ("neutral", 17.28)}
DAVIDSON = ("hate", "offensive", "neither")
PUBLISHED_NATS = {"hate-offensive": 0.204, "hate-neither": 0.347, "offensive-neither": 0.332}


def v_information() -> list[dict[str, Any]]:
    """Returns V-information, accuracy and rows that violate a bound, for every released file."""
    found = []
    for path in sorted((DATA / "pvi-reference").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if "H_yx" not in rows[0]:
            continue
        null, conditional = (np.array([float(row[name]) for row in rows]) for name in ("H_yb", "H_yx"))
        right = np.array([row["correct_yx"] in ("True", "1", "1.0") for row in rows])
        n_classes = 3 if "snli" in path.name else 2
        chance = 2.0**-conditional
        probs = np.repeat(((1 - chance) / (n_classes - 1))[:, None], n_classes, axis=1)
        probs[:, 0] = chance
        measured = information(probs, np.zeros(len(rows), dtype=int), -null)
        low, high = bounds(measured.null_entropy, n_classes)
        breaks = ((measured.pvi < low - 1e-9) & right) | (
            (measured.pvi > high + 1e-9) & ~right
        )  # none unless the arithmetic is wrong
        found.append(
            {"file": path.name, "n": len(rows), "v_information_bits": round(measured.v_information, 4),
             "accuracy": round(float(right.mean()), 4), "rows_that_break_a_bound": int(breaks.sum())}
        )  # fmt: skip
    return found


def cleanlab_count() -> dict[str, int]:
    folder = DATA / "label-errors"
    probs, given = np.load(folder / "imdb_test_set_pyx.npy").astype(float), np.load(folder / "imdb_test_set_original_labels.npy")
    return {"rows": len(given), "flagged": int(pruned_by_noise_rate(probs, given).sum())}


def snli_words() -> dict[str, Any]:
    texts = (DATA / "snli" / "s2.test").read_text(encoding="utf-8").splitlines()
    given = np.array([SNLI_CLASSES.index(word) for word in (DATA / "snli" / "labels.test").read_text(encoding="utf-8").split()])
    found = count_words(texts, given, 3)
    z = z_statistics(found.counts, np.full(3, 1 / 3))
    place = {word: i for i, word in enumerate(found.words)}
    words = {word: {"z": round(float(z[place[word], SNLI_CLASSES.index(label)]), 2), "published": expected}
             for word, (label, expected) in SNLI_WORDS.items()}  # fmt: skip
    limit = critical_z(len(found.words))
    significant = {label: int((z[:, k] > limit).sum()) for k, label in enumerate(SNLI_CLASSES)}
    return {"words": words, "vocabulary": len(found.words), "critical_z": round(limit, 3), "significant": significant}


def davidson() -> dict[str, Any]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    with (DATA / "davidson" / "labeled_data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts, given = [row["tweet"] for row in rows], np.array([int(row["class"]) for row in rows])
    published = published_divergence(texts, given, 3, frozenset(ENGLISH_STOP_WORDS) | {"rt", "amp"})
    ours = {(pair.first, pair.second): pair for pair in class_pairs(texts, given, 3)}
    table = {}
    for (a, b), nats in published.items():
        name = f"{DAVIDSON[a]}-{DAVIDSON[b]}"
        table[name] = {
            "published_mode_nats": round(nats, 4), "published_nats": PUBLISHED_NATS[name],
            "corrected_bits": round(ours[a, b].corrected, 4),
            "raw_bits": round(ours[a, b].raw, 4), "shuffled_bits": round(ours[a, b].null, 4),
        }  # fmt: skip
    return table


if __name__ == "__main__":
    write(
        "diagnosis_arithmetic",
        {"v_information": v_information(), "cleanlab_imdb": cleanlab_count(), "snli_words": snli_words(), "davidson": davidson()},
    )
