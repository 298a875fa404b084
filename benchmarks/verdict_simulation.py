"""Simulates systems with a known truth: false verdicts, and the coverage of the intervals.

(a) Two equal systems with correlated errors: the share of "better" or "worse" (target: at most 5 in 100).
(b) Coverage of the interval of one metric, and of the difference of two systems (target: 93 to 97).
(c) The same with three seeds per system, whose accuracies differ.

The truth is known because rows are drawn from a known joint distribution of label and both predictions. Run:

    python benchmarks/verdict_simulation.py [--simulations 1000] [--resamples 500] [--out FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import metric_kind
from tunesmith.evaluation.metrics.verdict import verdicts
from tunesmith.machine import cpu_name

METRICS = ("accuracy", "macro_f1", "mcc")
ROWS = (100, 500, 2000)
CLASSES = (2, 3, 10)
ACCURACIES = (0.65, 0.8, 0.95)
GAP = 0.05
SHARED = 0.7
"""Share of rows on which both systems give the same answer by the same draw: fine-tuned models err together."""


def joint(n_classes: int, ours: float, other: float) -> np.ndarray:
    """Returns P(label, our prediction, other prediction), (K, K, K). Class sizes span a factor of 3; errors follow them."""
    prior = np.linspace(3, 1, n_classes)
    prior /= prior.sum()
    table = np.zeros((n_classes,) * 3)
    for label in range(n_classes):
        first, second = (answers(prior, label, accuracy) for accuracy in (ours, other))
        least = np.minimum(first, second)
        rest = 1 - least.sum()
        together = np.diag(least) + (np.outer(first - least, second - least) / rest if rest > 1e-12 else 0)
        table[label] = prior[label] * (SHARED * together + (1 - SHARED) * np.outer(first, second))
    return table


def answers(prior: np.ndarray, label: int, accuracy: float) -> np.ndarray:
    """Returns P(prediction | label) (K)."""
    wrong = np.where(np.arange(len(prior)) == label, 0, prior)
    chances = (1 - accuracy) * wrong / wrong.sum()
    chances[label] = accuracy
    return chances


def true_value(metric: str, table: np.ndarray) -> float:
    """Returns the metric of a system whose P(label, prediction) is ``table`` (K, K)."""
    labels, decisions = (axis.ravel() for axis in np.indices(table.shape))
    outputs = Predictions(labels, np.zeros((labels.size, len(table))), decisions)
    return float(metric_kind(SINGLE, metric).statistic(outputs)(table.ravel()[None])[0])


def draw(table: np.ndarray, n: int, rng: np.random.Generator) -> tuple[Predictions, Predictions]:
    """Draws n rows from the joint distribution, as the two systems' predictions."""
    counts = rng.multinomial(n, table.ravel())
    label, ours, other = (np.repeat(axis.ravel(), counts) for axis in np.indices(table.shape))
    scores = np.zeros((n, len(table)))
    return Predictions(label, scores, ours), Predictions(label, scores, other)


def rate(hits: int, n: int) -> dict[str, float]:
    """Returns a share in per cent with its Monte-Carlo standard error."""
    share = hits / n
    return {"percent": round(100 * share, 2), "monte_carlo_error": round(100 * (share * (1 - share) / n) ** 0.5, 2)}


def holds(low: float | None, high: float | None, truth: float) -> bool:
    """Returns whether the interval contains the truth; True without an interval, as if the systems agree on every row."""
    return low is None or high is None or low - 1e-9 <= truth <= high + 1e-9


def equal_cell(n: int, n_classes: int, accuracy: float, simulations: int, resamples: int) -> Iterator[dict[str, Any]]:
    """Simulates two equal systems: false verdicts, and coverage of the interval of one system and of the difference."""
    rng = np.random.default_rng([n, n_classes, round(100 * accuracy)])
    table = joint(n_classes, accuracy, accuracy)
    truth = {metric: true_value(metric, table.sum(axis=2)) for metric in METRICS}
    words, single, difference = ({metric: 0 for metric in METRICS} for _ in range(3))
    for simulation in range(simulations):
        ours, other = draw(table, n, rng)
        for found in metric_intervals(SINGLE, ours, "test", METRICS, Resampling(resamples, simulation)):
            single[found.name] += holds(found.low, found.high, truth[found.name])
        for outcome in verdicts(METRICS, [ours], [other], "other", "test", Resampling(resamples, simulation)):
            words[outcome.metric] += outcome.word != "cannot tell"
            difference[outcome.metric] += holds(outcome.low, outcome.high, 0.0)
    for metric in METRICS:
        yield {
            "metric": metric, "n": n, "classes": n_classes, "accuracy": accuracy, "true_value": round(truth[metric], 4),
            "false_words": rate(words[metric], simulations),
            "coverage_of_metric": rate(single[metric], simulations),
            "coverage_of_difference": rate(difference[metric], simulations),
        }  # fmt: skip


def unequal_cell(n: int, n_classes: int, accuracy: float, simulations: int, resamples: int) -> Iterator[dict[str, Any]]:
    """Simulates a system and one that is 5 points less accurate: coverage of the difference, and right and wrong verdicts."""
    rng = np.random.default_rng([n, n_classes, round(100 * accuracy), 1])
    table = joint(n_classes, accuracy, accuracy - GAP)
    truth = {metric: true_value(metric, table.sum(axis=2)) - true_value(metric, table.sum(axis=1)) for metric in METRICS}
    covered, better, worse = ({metric: 0 for metric in METRICS} for _ in range(3))
    for simulation in range(simulations):
        ours, other = draw(table, n, rng)
        for outcome in verdicts(METRICS, [ours], [other], "other", "test", Resampling(resamples, simulation)):
            covered[outcome.metric] += holds(outcome.low, outcome.high, truth[outcome.metric])
            better[outcome.metric] += outcome.word == "better"
            worse[outcome.metric] += outcome.word == "worse"
    for metric in METRICS:
        yield {
            "metric": metric, "n": n, "classes": n_classes, "accuracy": accuracy, "true_difference": round(truth[metric], 4),
            "coverage_of_difference": rate(covered[metric], simulations),
            "said_better": rate(better[metric], simulations), "said_worse": rate(worse[metric], simulations),
        }  # fmt: skip


def draw_seeds(n: int, n_seeds: tuple[int, int], spread: float, rng: np.random.Generator) -> tuple[list[Predictions], ...]:
    """Draws two systems of several seeds on the same rows: two classes, accuracy 0.8 on average and with that spread over seeds.

    All share a row's difficulty; a single seed is a baseline without seeds, with accuracy 0.8.
    """
    label = rng.integers(0, 2, n)
    difficulty = rng.normal(size=n)
    systems = []
    for count in n_seeds:
        system = []
        for _ in range(count):
            accuracy = 0.8 + (spread * rng.normal() if count > 1 else 0.0)
            right = np.sqrt(SHARED) * difficulty + np.sqrt(1 - SHARED) * rng.normal(size=n) < NormalDist().inv_cdf(accuracy)
            system.append(Predictions(label, np.zeros((n, 2)), np.where(right, label, 1 - label)))
        systems.append(system)
    return tuple(systems)


def seeds_cell(n: int, n_seeds: tuple[int, int], spread: float, simulations: int, resamples: int) -> dict[str, Any]:
    """Simulates equal systems of several seeds, compared by accuracy."""
    rng = np.random.default_rng([n, *n_seeds, round(1000 * spread)])
    words = single = 0
    for simulation in range(simulations):
        ours, other = draw_seeds(n, n_seeds, spread, rng)
        (outcome,) = verdicts(["accuracy"], ours, other, "other", "test", Resampling(resamples, simulation))
        found = metric_intervals(SINGLE, ours, "test", ["accuracy"], Resampling(resamples, simulation))[0]
        words += outcome.word != "cannot tell"
        single += holds(found.low, found.high, 0.8)
    return {
        "metric": "accuracy", "n": n, "seeds": list(n_seeds), "spread_over_seeds": spread,
        "false_words": rate(words, simulations), "coverage_of_metric": rate(single, simulations),
    }  # fmt: skip


def outside(cells: list[dict[str, Any]], measure: str, low: float, high: float) -> dict[str, Any]:
    """Returns the range of a figure, the cells outside its bounds, and how many are outside by two Monte-Carlo errors."""
    beyond = [cell for cell in cells if not low <= cell[measure]["percent"] <= high]
    clearly = 0
    for cell in beyond:
        tolerance = 2 * cell[measure]["monte_carlo_error"]
        clearly += not low - tolerance <= cell[measure]["percent"] <= high + tolerance
    values = [cell[measure]["percent"] for cell in cells]
    return {
        "cells": len(cells), "mean": round(float(np.mean(values)), 2), "lowest": min(values), "highest": max(values),
        "beyond": [f"{described(cell)}: {cell[measure]['percent']}" for cell in beyond],
        "beyond_by_two_monte_carlo_errors": clearly,
    }  # fmt: skip


def described(cell: dict[str, Any]) -> str:
    names = ("metric", "n", "classes", "accuracy", "seeds", "spread_over_seeds")
    return " ".join(f"{name}={cell[name]}" for name in names if name in cell)


def targets(result: dict[str, Any]) -> dict[str, Any]:
    """Returns each target and whether it was reached."""
    return {
        "false words at most 5 in 100": outside(result["equal"], "false_words", 0, 5),
        "intervals of metrics cover 93 to 97": outside(result["equal"], "coverage_of_metric", 93, 97),
        "intervals of differences cover 93 to 97, unequal systems": outside(result["unequal"], "coverage_of_difference", 93, 97),
        "intervals of differences cover 93 to 97, equal systems": outside(result["equal"], "coverage_of_difference", 93, 97),
        "false words at most 5 in 100, several seeds": outside(result["seeds"], "false_words", 0, 5),
        "intervals of metrics cover 93 to 97, several seeds": outside(result["seeds"], "coverage_of_metric", 93, 97),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "verdict_simulation.json")
    options = parser.parse_args()
    start = time.perf_counter()
    grid = list(itertools.product(ROWS, CLASSES, ACCURACIES))
    result: dict[str, Any] = {
        "command": f"python benchmarks/verdict_simulation.py --simulations {options.simulations} --resamples {options.resamples}",
        "machine": {"processor": cpu_name(), "system": platform.system(), "processes": 1},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "scipy", "tunesmith")}},
        "equal": [], "unequal": [], "seeds": [],
    }  # fmt: skip
    for n, n_classes, accuracy in grid:
        for part, cell in (("equal", equal_cell), ("unequal", unequal_cell)):
            result[part].extend(cell(n, n_classes, accuracy, options.simulations, options.resamples))
        print(f"n={n} classes={n_classes} accuracy={accuracy}: {time.perf_counter() - start:.0f} s", flush=True)
    for n, n_seeds, spread in itertools.product((100, 500, 2000), ((3, 3), (3, 1), (5, 1)), (0.0, 0.02)):
        result["seeds"].append(seeds_cell(n, n_seeds, spread, options.simulations, options.resamples))
    result["targets"] = targets(result)
    result["seconds"] = {"wall": round(time.perf_counter() - start, 1), "processor": round(time.process_time(), 1)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["targets"], indent=1))


if __name__ == "__main__":
    main()
