"""Simulates verdicts on the rows that selected the best of ten checkpoints: false words, and coverage of intervals.

Ten checkpoints of equal accuracy agree on a share of the rows and err independently on the others; the best on these rows is
compared there with a system of the same accuracy.

    python benchmarks/selected_checkpoints.py [--simulations 1000] [--resamples 500]
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from record import write

from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import verdicts

CHECKPOINTS, ACCURACY = 10, 0.8
METRICS = ("accuracy", "macro_f1")


def decided(labels: np.ndarray, right: np.ndarray) -> Predictions:
    decisions = np.where(right, labels, 1 - labels)
    return Predictions(labels, np.eye(2)[decisions], decisions)


def simulate(n: int, shared: float, simulations: int, n_resamples: int) -> list[dict[str, Any]]:
    """Returns a row of the table for each metric and each way of reporting."""
    rng = np.random.default_rng([n, round(100 * shared)])
    counts = {(metric, candidates): [0, 0] for metric in METRICS for candidates in (1, CHECKPOINTS)}
    for simulation in range(simulations):
        labels = rng.integers(0, 2, n)
        same, common = rng.random(n) < shared, rng.random(n) < ACCURACY
        systems = [decided(labels, np.where(same, common, rng.random(n) < ACCURACY)) for _ in range(CHECKPOINTS)]
        other = decided(labels, np.where(same, common, rng.random(n) < ACCURACY))
        best = max(systems, key=lambda system: (system.labels == system.decisions).mean())
        for candidates in (1, CHECKPOINTS):
            resampling = Resampling(n_resamples, simulation, n_candidates=candidates)
            found = verdicts(METRICS, [best], [other], "other", "validation", resampling)
            for verdict, value in zip(found, metric_intervals(SINGLE, best, "validation", METRICS, resampling), strict=True):
                assert value.low is not None
                assert value.high is not None
                counts[verdict.metric, candidates][0] += verdict.word != "cannot tell"
                counts[verdict.metric, candidates][1] += value.low <= ACCURACY <= value.high
    return [
        {
            "rows": n, "agreement": shared, "metric": metric, "selection": "known" if candidates > 1 else "ignored",
            "false_words": words / simulations, "coverage": covered / simulations,
        }
        for (metric, candidates), (words, covered) in counts.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    args = parser.parse_args()
    sizes = [(n, shared) for n in (60, 200, 800) for shared in (0.5, 0.8, 0.95)]
    table = [row for n, shared in sizes for row in simulate(n, shared, args.simulations, args.resamples)]
    write("selected_checkpoints", {"simulations": args.simulations, "resamples": args.resamples, "table": table})


if __name__ == "__main__":
    main()
