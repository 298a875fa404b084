"""Simulates the intervals of a function that computes accuracy and macro F1 itself, beside those of the built-in metrics.

The function is a black box, so that corrections that know the metric (rare classes, values of 0 and 1) are missing. It is tried
without a range of its values, and with ``function_range: [0, 1]``. The verdict is tried on two systems that are equally good.

    python benchmarks/own_metric_coverage.py [--simulations 400] [--resamples 200]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics.few_rows import rare_variants
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.own_function import MeasuredRows, OwnFunction
from tunesmith.evaluation.metrics.own_metrics import own_metrics, own_verdict
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import compute
from tunesmith.evaluation.metrics.verdict import verdicts

METRICS = ("accuracy", "macro_f1")
TRUTH_ROWS = 400_000
Draw = Callable[[np.random.Generator, int], Predictions]


def own(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Computes accuracy, and the mean F1 of the classes that occur as a label or as a prediction."""
    k = int(max(labels.max(), predictions.max())) + 1
    hits = np.bincount(labels[labels == predictions], minlength=k)
    either = np.bincount(labels, minlength=k) + np.bincount(predictions, minlength=k)
    return {
        "my_accuracy": float((labels == predictions).mean()),
        "my_macro_f1": float((2 * hits / np.maximum(either, 1))[either > 0].mean()),
    }


FUNCTION = OwnFunction(own, "own.py:own", Path("own.py"), ("labels", "predictions"), ("my_accuracy", "my_macro_f1"))
FUNCTIONS = {"own": FUNCTION, "own with range": replace(FUNCTION, ends=(0.0, 1.0))}


def classes(prior: tuple[float, ...], recall: float) -> Draw:
    """Draws classes by their prior; a class is found with the same recall, else another one is predicted by the prior."""
    shares = np.array(prior)

    def draw(rng: np.random.Generator, n: int) -> Predictions:
        labels = rng.choice(len(shares), n, p=shares)
        guesses = rng.choice(len(shares), n, p=shares)
        decisions = np.where(rng.random(n) < recall, labels, guesses)
        return Predictions(labels, np.eye(len(shares))[decisions], decisions)

    return draw


DESIGNS: Mapping[str, tuple[Draw, int, int]] = {
    "20 rows, 2 classes": (classes((0.5, 0.5), 0.6), 20, 1),
    "50 rows, 3 classes": (classes((0.4, 0.3, 0.3), 0.7), 50, 1),
    "50 rows, nearly all right": (classes((0.5, 0.5), 0.95), 50, 1),
    "100 rows, a class of 2 %": (classes((0.49, 0.49, 0.02), 0.7), 100, 1),
    "200 rows, 10 classes": (classes((0.1,) * 10, 0.5), 200, 1),
    "500 rows, 5 classes, 3 rare": (classes((0.6, 0.34, 0.02, 0.02, 0.02), 0.6), 500, 1),
    "100 rows, nothing learnt": (classes((0.6, 0.3, 0.1), 0.0), 100, 1),
    "40 texts, each 5 times": (classes((0.4, 0.3, 0.3), 0.7), 200, 5),
}
"""Name -> how rows are drawn, their number, and how often each is repeated."""


def repeated(rows: Predictions, times: int) -> Predictions:
    return rows.take(np.repeat(np.arange(len(rows)), times)) if times > 1 else rows


def measured(function: OwnFunction, rows: Predictions) -> MeasuredRows:
    columns = {"labels": rows.labels, "predictions": rows.decisions}
    own_rows = MeasuredRows(function, "test", columns, frozenset({"predictions"}), {})
    return replace(own_rows, variants=lambda: ((measured(function, other), share) for other, share in rare_variants(rows)))


def simulate(draw: Draw, n: int, times: int, simulations: int, resamples: int) -> dict[str, Any]:
    """Returns system -> metric -> share of intervals that cover the truth, of rows without one, and their mean width."""
    rng = np.random.default_rng(1)
    truth = compute(SINGLE, draw(np.random.default_rng(0), TRUTH_ROWS))
    records: dict[tuple[str, str], list[tuple[float, float] | None]] = {}
    words: dict[str, int] = {}
    for seed in range(simulations):
        rows = repeated(draw(rng, n // times), times)
        other = replace(rows, decisions=repeated(draw_for(draw, rng, rows, times), times).decisions)
        clusters = np.arange(n) // times if times > 1 else None
        resampling = Resampling(resamples, seed, clusters)
        found = {"built in": metric_intervals(SINGLE, rows, "test", METRICS, resampling)}
        found |= {
            name: tuple(own_metrics("test", [measured(function, rows)], resampling)) for name, function in FUNCTIONS.items()
        }
        for system, metrics in found.items():
            for name, metric in zip(METRICS, metrics, strict=True):
                ends = None if metric.low is None or metric.high is None else (metric.low, metric.high)
                records.setdefault((system, name), []).append(ends)
        for name in METRICS:
            given = verdicts([name], [rows], [other], "other", "test", resampling)[0]
            words[f"built in {name}"] = words.get(f"built in {name}", 0) + (given.word != "cannot tell")
            given = own_verdict(
                f"my_{name}", [measured(FUNCTION, rows)], [measured(FUNCTION, other)], "other", "test", resampling
            )
            words[f"own {name}"] = words.get(f"own {name}", 0) + (given.word != "cannot tell")
    coverage = {f"{system} {name}": summary(ends, float(truth[name] or 0.0)) for (system, name), ends in records.items()}
    return {"coverage": coverage, "false verdicts": {name: count / simulations for name, count in words.items()}}


def draw_for(draw: Draw, rng: np.random.Generator, rows: Predictions, times: int) -> Predictions:
    """Draws the predictions of a second system that is as good, for rows with the same labels, by rejection within classes."""
    labels, pool = rows.labels[::times], draw(rng, 50 * len(rows) + 2_000)
    by_class = {label: np.flatnonzero(pool.labels == label) for label in np.unique(labels)}
    return pool.take(np.array([rng.choice(by_class[label]) for label in labels]))


def summary(ends: list[tuple[float, float] | None], truth: float) -> dict[str, float]:
    given = [pair for pair in ends if pair is not None]
    covered = sum(low - 1e-9 <= truth <= high + 1e-9 for low, high in given)
    width = float(np.mean([high - low for low, high in given])) if given else 0.0
    return {"covered": float(covered) / max(1, len(given)), "without": 1 - len(given) / len(ends), "width": width}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=200)
    args = parser.parse_args()
    results = {}
    for name, (draw, n, times) in DESIGNS.items():
        results[name] = simulate(draw, n, times, args.simulations, args.resamples)
        print(name, json.dumps(results[name], indent=1), flush=True)
    write("own_metric_coverage", {"simulations": args.simulations, "resamples": args.resamples, "designs": results})


if __name__ == "__main__":
    main()
