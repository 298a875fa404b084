"""Simulates labels with a known share of wrong ones: how often the interval holds it, and what an uninformed model states.

Out-of-fold probabilities are those of linear models (five folds) on Gaussian classes. Wrong labels are spread evenly over the
other classes or all go to one other class (confusion). Hard rows have a right label and lie in another class. In the designs
without information the points do not depend on the labels, and all labels are right. Run:

    python benchmarks/label_noise.py [--simulations 20] [--rows 600]
    python benchmarks/label_noise.py --clusters [--simulations 1000]    # uninformed predictions of rows that belong together
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from record import write
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from tunesmith.diagnosis.checks.label_noise import label_noise, model_knowledge

UNINFORMED = ((0.5, 0.5), (0.7, 0.3), (0.9, 0.1), (0.55, 0.15, 0.15, 0.15), (0.25, 0.25, 0.25, 0.25))
CLUSTERS = ((10, 30), (20, 15), (30, 10), (60, 5), (300, 1))
"""Numbers of clusters, and of rows in each."""
DIMENSIONS, SEPARATION = 20, 3.0


@dataclass(frozen=True)
class Design:
    """One cell of the table: classes, whether the first has most rows, where wrong labels go, and the shares."""

    classes: int
    imbalanced: bool
    confusion: bool
    wrong: float
    hard: float


def designs() -> Iterator[Design]:
    """Gives all cells; with two classes or no wrong label both kinds of wrong labels are the same."""
    for classes, imbalanced, confusion in itertools.product((2, 4, 20), (False, True), (False, True)):
        for wrong, hard in itertools.product((0.0, 0.02, 0.1, 0.3), (0.0, 0.05, 0.1)):
            if not confusion or (classes > 2 and wrong):
                yield Design(classes, imbalanced, confusion, wrong, hard)


def drawn(design: Design, n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns points (N, D), given labels (N) and the share of wrong ones."""
    rng, k = np.random.default_rng(seed), design.classes
    first = 0.85 if k == 2 else 0.7
    shares = np.array([first] + [(1 - first) / (k - 1)] * (k - 1)) if design.imbalanced else np.full(k, 1 / k)
    truth = rng.choice(k, n_rows, p=shares)
    centres = rng.normal(size=(k, DIMENSIONS))
    centres *= SEPARATION / np.linalg.norm(centres, axis=1, keepdims=True)
    other, evenly = ((truth + rng.integers(1, k, n_rows)) % k for _ in range(2))
    points = centres[np.where(rng.random(n_rows) < design.hard, other, truth)] + rng.normal(size=(n_rows, DIMENSIONS))
    wrong = rng.random(n_rows) < design.wrong
    given = np.where(wrong, (truth + 1) % k if design.confusion else evenly, truth)
    return points, given, float(wrong.mean())


def out_of_fold(points: np.ndarray, given: np.ndarray, n_classes: int) -> np.ndarray:
    """Returns probabilities (N, K) of models that were not fitted to the row."""
    probs = np.zeros((len(given), n_classes))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for fitted, held_out in folds.split(points, given):
        model = LogisticRegression(C=0.1, max_iter=300).fit(points[fitted], given[fitted])
        probs[np.ix_(held_out, model.classes_)] = model.predict_proba(points[held_out])
    return probs


def cell(design: Design, n_rows: int, simulations: int) -> dict[str, Any]:
    """Returns one line of the table; the interval counts where the model knows enough for one."""
    found = []
    for seed in range(simulations):
        points, given, true = drawn(design, n_rows, seed)
        probs = out_of_fold(points, given, design.classes)
        if model_knowledge(probs, given).is_enough:
            noise = label_noise(probs, given)
            found.append((true, noise.rate, noise.low, noise.high, noise.low <= true <= noise.high))
    means = np.mean(found, axis=0).tolist() if found else [None] * 5
    names = ("true", "contradicting", "low", "high", "coverage")
    return {**asdict(design), "n_answered": len(found), **dict(zip(names, means, strict=True))}


def uninformed(shares: tuple[float, ...], n_rows: int, simulations: int) -> dict[str, Any]:
    """Returns in how many simulations a share was stated although the points tell nothing of the labels."""
    n_stated = 0
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        given = rng.choice(len(shares), n_rows, p=shares)
        probs = out_of_fold(rng.normal(size=(n_rows, DIMENSIONS)), given, len(shares))
        n_stated += int(model_knowledge(probs, given).is_enough)
    return {"shares": shares, "rows": n_rows, "simulations": simulations, "n_stated": n_stated}


def uninformed_clusters(n_clusters: int, size: int, simulations: int) -> dict[str, Any]:
    """Returns in how many simulations uninformed predictions, equal within clusters as the labels are, count as knowledge."""
    counts = {"ignored": 0, "known": 0}
    clusters = np.repeat(np.arange(n_clusters), size)
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        own, given = rng.beta(2, 2, n_clusters)[clusters], rng.integers(0, 2, n_clusters)[clusters]
        probs = np.stack([1 - own, own], axis=1)
        counts["ignored"] += int(model_knowledge(probs, given).is_enough)
        counts["known"] += int(model_knowledge(probs, given, clusters).is_enough)
    return {"clusters": n_clusters, "rows_of_each": size, "simulations": simulations, **counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=20)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--clusters", action="store_true")
    options = parser.parse_args()
    if options.clusters:
        table = [uninformed_clusters(*sizes, options.simulations) for sizes in CLUSTERS]
        write("label_noise_clusters", {"simulations": options.simulations, "table": table})
        return
    started, cells = time.perf_counter(), []
    for design in designs():
        cells.append(cell(design, options.rows, options.simulations))
        print(f"{time.perf_counter() - started:.0f} s {cells[-1]}", flush=True)
    without = [uninformed(shares, n, 10 * options.simulations) for shares in UNINFORMED for n in (100, options.rows)]
    answered = [line["coverage"] for line in cells if line["n_answered"]]
    summary = {
        "cells": len(cells),
        "lowest_coverage": min(answered),
        "n_stated_without_information": sum(w["n_stated"] for w in without),
    }
    write(
        "label_noise",
        {"rows": options.rows, "simulations": options.simulations, **summary, "designs": cells, "uninformed": without},
    )


if __name__ == "__main__":
    main()
