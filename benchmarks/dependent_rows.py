"""Simulates equal systems on rows that depend on each other: false words, and coverage, with the rows' clusters and without.

Each cluster has an effect on which system is right: with intra-class correlation r, it has a share r of the variance. Designs:
groups of equal and unequal sizes, every row several times, few clusters, variants of few texts. The clusters of variants are
those that are found in the texts.

    python benchmarks/dependent_rows.py [--simulations 1000] [--resamples 1000]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from record import write

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.row_clusters import row_clusters
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.means import mean_metric, mean_verdict
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import verdicts

METRICS = ("accuracy", "macro_f1", "mcc")
ACCURACY = 0.75
N_CLASSES, N_WORDS = 3, 20
COVERED = 0.85
"""Smallest coverage, and 0.05 the largest share of false words, with which a design holds."""


@dataclass(frozen=True)
class Design:
    """Sizes of clusters of dependent rows.

    Attributes:
        correlation: intra-class correlation of whether a system is right; 1: all rows of a cluster are the same row.
        has_texts: the rows are variants of a text for each cluster, from which their clusters are found.
    """

    name: str
    sizes: tuple[int, ...]
    correlation: float
    has_texts: bool = False

    @cached_property
    def known(self) -> Array:
        """The clusters of the rows as an evaluation knows them."""
        if not self.has_texts:
            return np.repeat(np.arange(len(self.sizes)), self.sizes)
        draw = random.Random(0)
        texts = [[f"{draw.randrange(10**5):05d}" for _ in range(N_WORDS)] for _ in self.sizes]
        rows = [(text, draw.randrange(N_WORDS)) for text, size in zip(texts, self.sizes, strict=True) for _ in range(size)]
        return row_clusters([" ".join([*text[:at], f"{draw.randrange(10**5):05d}", *text[at + 1 :]]) for text, at in rows])


DESIGNS = (
    Design("independent rows", (1,) * 500, 0.0),
    Design("50 groups of 10", (10,) * 50, 0.1),
    Design("50 groups of 10", (10,) * 50, 0.3),
    Design("20 groups of 10", (10,) * 20, 0.3),
    Design("10 groups of 30", (30,) * 10, 0.3),
    Design("unequal groups", (1,) * 60 + (2,) * 30 + (5,) * 20 + (20,) * 10, 0.3),
    Design("every row five times", (5,) * 100, 1.0),
    Design("every row twice, half of them", (2,) * 100 + (1,) * 200, 1.0),
    Design("40 texts in 10 variants", (10,) * 40, 0.3, has_texts=True),
    Design("8 texts in 40 variants", (40,) * 8, 0.3, has_texts=True),
    Design("5 texts in 40 variants", (40,) * 5, 0.3, has_texts=True),
)


def draw(design: Design, rng: np.random.Generator) -> tuple[Predictions, Predictions]:
    """Draws the predictions of two systems with equal accuracy."""
    clusters = np.repeat(np.arange(len(design.sizes)), design.sizes)
    shared, own = design.correlation**0.5, (1 - design.correlation) ** 0.5
    labels = rng.integers(0, N_CLASSES, len(design.sizes))[clusters]
    systems = []
    for _ in range(2):
        latent = shared * rng.normal(size=len(design.sizes))[clusters] + own * rng.normal(size=len(clusters))
        right = latent < NormalDist().inv_cdf(ACCURACY)
        shift = rng.integers(1, N_CLASSES, len(design.sizes))[clusters]
        decisions = np.where(right, labels, (labels + shift) % N_CLASSES)
        systems.append(Predictions(labels, np.eye(N_CLASSES)[decisions], decisions))
    return systems[0], systems[1]


def simulate(design: Design, simulations: int, n_resamples: int) -> Iterator[dict[str, Any]]:
    """Yields a row of the table for each metric: false words and coverage, ignoring the clusters and with them."""
    rng = np.random.default_rng([len(design.sizes), round(100 * design.correlation)])
    truth = {"accuracy": ACCURACY, "macro_f1": ACCURACY, "mcc": 1.5 * ACCURACY - 0.5, "exact_match": ACCURACY}
    counts = {(metric, way): [0, 0] for metric in truth for way in ("ignored", "known")}
    for simulation in range(simulations):
        ours, other = draw(design, rng)
        scores = [(system.decisions == system.labels).astype(float) for system in (ours, other)]
        for way, known in (("ignored", None), ("known", design.known)):
            resampling = Resampling(n_resamples, simulation, known)
            found = [*verdicts(METRICS, [ours], [other], "other", "test", resampling)]
            found.append(mean_verdict("exact_match", scores[:1], scores[1:], "other", "test", resampling))
            values = [*metric_intervals(SINGLE, ours, "test", METRICS, resampling)]
            values.append(mean_metric("exact_match", "test", scores[:1], resampling))
            for verdict, value in zip(found, values, strict=True):
                assert value.low is not None
                assert value.high is not None
                counts[value.name, way][0] += verdict.word != "cannot tell"
                counts[value.name, way][1] += value.low <= truth[value.name] <= value.high
    for (metric, way), (words, covered) in counts.items():
        yield {
            "design": design.name, "correlation": design.correlation, "rows": sum(design.sizes),
            "clusters": int(design.known.max()) + 1,
            "metric": metric, "dependence": way, "false_words": words / simulations, "coverage": covered / simulations,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    table: list[dict[str, Any]] = []
    for design in DESIGNS:
        table += simulate(design, args.simulations, args.resamples)
        for row in table[-8:]:
            print(
                {key: row[key] for key in ("design", "correlation", "metric", "dependence", "false_words", "coverage")},
                flush=True,
            )
        write("dependent_rows", {"simulations": args.simulations, "resamples": args.resamples, "table": table})


if __name__ == "__main__":
    main()
