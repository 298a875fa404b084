"""Simulates the coverage of the 95 % interval of one metric where naive intervals fail: rare classes, few rows, heavy tails.

A cell holds if it covers the truth in at least 85 of 100, or says that there are too few rows instead of an interval.

    python benchmarks/interval_coverage.py [--simulations 1000] [--resamples 1000] [--designs NAME ...]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from record import RESULTS, write

from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.means import mean_metric
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import compute

TRUTH_ROWS = 400_000
Draw = Callable[[np.random.Generator, int], Predictions]


@dataclass(frozen=True)
class Design:
    """A way of drawing rows of labels and predictions."""

    name: str
    problem_type: str
    metrics: tuple[str, ...]
    rows: tuple[int, ...]
    draw: Draw


def classes(prior: tuple[float, ...], recall: tuple[float, ...], wrong: tuple[float, ...] | None = None) -> Draw:
    """Draws classes; a class is found with its recall, else another one is predicted by the shares ``wrong`` (the prior)."""
    shares = np.array(wrong or prior)

    def draw(rng: np.random.Generator, n: int) -> Predictions:
        labels = rng.choice(len(prior), n, p=prior)
        other = np.tile(shares, (n, 1))
        other[np.arange(n), labels] = 0
        other /= other.sum(axis=1, keepdims=True)
        guess = (other.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
        decisions = np.where(rng.random(n) < np.array(recall)[labels], labels, np.minimum(guess, len(prior) - 1))
        return Predictions(labels, np.eye(len(prior))[decisions], decisions)

    return draw


def scored(share: float, shift: float) -> Draw:
    """Draws two classes with scores whose logits are normal, apart by ``shift``."""

    def draw(rng: np.random.Generator, n: int) -> Predictions:
        labels = (rng.random(n) < share).astype(int)
        scores = 1 / (1 + np.exp(-(rng.normal(size=n) + shift * labels - 1)))
        return from_scores(SINGLE, labels, np.stack([1 - scores, scores], axis=1))

    return draw


def ranked(prior: tuple[float, ...], shift: float) -> Draw:
    """Draws classes with normal scores, that of the right one higher by ``shift``."""

    def draw(rng: np.random.Generator, n: int) -> Predictions:
        labels = rng.choice(len(prior), n, p=prior)
        raised = np.exp(rng.normal(size=(n, len(prior))) + shift * np.eye(len(prior))[labels])
        return from_scores(SINGLE, labels, raised / raised.sum(axis=1, keepdims=True))

    return draw


def ranked_labels(rng: np.random.Generator, n: int) -> Predictions:
    """Draws four labels, of 3 and three times 30 %, with scores whose logits are normal."""
    labels = (rng.random((n, 4)) < (0.03, 0.3, 0.3, 0.3)).astype(int)
    return from_scores(MULTI, labels, 1 / (1 + np.exp(-(rng.normal(size=labels.shape) + 2 * labels - 1))))


def calibrated(rng: np.random.Generator, n: int) -> Predictions:
    """Draws two classes whose top probability is 0.08 too high."""
    top = rng.uniform(0.6, 1.0, n)
    right = rng.random(n) < top - 0.08
    labels = rng.integers(0, 2, n)
    decided = np.where(right, labels, 1 - labels)
    scores = np.where(np.arange(2) == decided[:, None], top[:, None], 1 - top[:, None])
    return from_scores(SINGLE, labels, scores)


def several_labels(rng: np.random.Generator, n: int) -> Predictions:
    """Draws eight labels with shares from 2 to 30 %, of which 70 % are found."""
    share = np.geomspace(0.02, 0.3, 8)
    labels = (rng.random((n, 8)) < share).astype(int)
    decisions = np.where(labels == 1, rng.random((n, 8)) < 0.7, rng.random((n, 8)) < 0.3 * share).astype(int)
    return Predictions(labels, decisions.astype(float), decisions)


def numbers(freedom: float) -> Draw:
    """Draws numbers with errors of Student's t; with 2.5 degrees of freedom their kurtosis is infinite."""

    def draw(rng: np.random.Generator, n: int) -> Predictions:
        labels = rng.normal(size=n) * 3
        return from_scores(REGRESSION, labels, labels + rng.standard_t(freedom, n))

    return draw


NUMBERS = ("rmse", "mae", "pearson", "spearman", "r2")
RANKED = ("auroc", "average_precision")


DESIGNS = (
    Design("a class of 5 % is hardly predicted", SINGLE, ("accuracy", "macro_f1", "mcc"), (60, 200, 1000),
           classes((0.95, 0.05), (0.998, 0.05))),
    Design("a class of 2 % of four", SINGLE, ("accuracy", "macro_f1", "mcc"), (100, 500),
           classes((0.5, 0.3, 0.18, 0.02), (0.9, 0.8, 0.8, 0.4))),
    Design("27 classes", SINGLE, ("accuracy", "macro_f1", "mcc"), (100, 160, 500),
           classes(tuple(np.linspace(3, 1, 27) / np.linspace(3, 1, 27).sum()), (0.8,) * 27)),
    Design("16 classes, nearly all right", SINGLE, ("accuracy", "macro_f1", "mcc"), (60, 300),
           classes(tuple(np.linspace(3, 1, 16) / np.linspace(3, 1, 16).sum()), (0.998,) * 15 + (0.8,))),
    Design("a class of 2 % of four, nearly all right", SINGLE, ("accuracy", "macro_f1", "mcc"), (100, 300),
           classes((0.5, 0.3, 0.18, 0.02), (0.99, 0.99, 0.99, 0.9))),
    Design("two balanced classes", SINGLE, ("accuracy", "macro_f1", "mcc"), (20, 60), classes((0.5, 0.5), (0.9, 0.8))),
    Design("few positives", SINGLE, ("auroc", "average_precision", "log_loss"), (60, 200), scored(0.05, 2.0)),
    Design("half positives", SINGLE, ("auroc", "average_precision", "log_loss"), (20, 60), scored(0.5, 2.0)),
    Design("a class of 4 % of three, ranked", SINGLE, RANKED, (75, 300), ranked((0.55, 0.41, 0.04), 1.5)),
    Design("ten classes of 2 to 24 %, ranked", SINGLE, RANKED, (120, 500),
           ranked((0.24, 0.17, 0.17, 0.09, 0.09, 0.08, 0.06, 0.05, 0.03, 0.02), 1.5)),
    Design("a label of 3 % of four, ranked", MULTI, RANKED, (100, 300), ranked_labels),
    Design("calibration", SINGLE, ("calibration_error",), (20, 60, 200), calibrated),
    Design("several labels", MULTI, ("accuracy", "macro_f1", "micro_f1", "mcc"), (60, 200), several_labels),
    Design("normal errors", REGRESSION, NUMBERS, (30, 100, 500), numbers(1e6)),
    Design("errors of t with 4 degrees of freedom", REGRESSION, NUMBERS, (30, 100, 500), numbers(4)),
    Design("errors of t with 2.5 degrees of freedom", REGRESSION, NUMBERS, (30, 100, 500), numbers(2.5)),
)  # fmt: skip
SHARES = (0.0, 0.02, 0.1, 0.5, 0.98)


def simulate(design: Design, n: int, simulations: int, n_resamples: int) -> list[dict[str, Any]]:
    """Returns a row of the table for each metric of a design."""
    truth = compute(design.problem_type, design.draw(np.random.default_rng(1), TRUTH_ROWS))
    rng = np.random.default_rng([n, len(design.name)])
    covered, given = dict.fromkeys(design.metrics, 0), dict.fromkeys(design.metrics, 0)
    for simulation in range(simulations):
        predictions = design.draw(rng, n)
        resampling = Resampling(n_resamples, simulation)
        for found in metric_intervals(design.problem_type, predictions, "test", design.metrics, resampling):
            if found.low is not None and found.high is not None:
                given[found.name] += 1
                covered[found.name] += found.low - 1e-9 <= (truth[found.name] or 0.0) <= found.high + 1e-9
    return [cell(design.name, n, metric, truth[metric] or 0.0, covered[metric], given[metric], simulations) for metric in truth
            if metric in covered]  # fmt: skip


def simulate_share(share: float, n: int, simulations: int, n_resamples: int) -> dict[str, Any]:
    """Returns the row of an exact match or another share."""
    rng, covered = np.random.default_rng([n, round(100 * share)]), 0
    for simulation in range(simulations):
        found = mean_metric("exact_match", "test", [(rng.random(n) < share).astype(float)], Resampling(n_resamples, simulation))
        assert found.low is not None
        assert found.high is not None
        covered += found.low - 1e-9 <= share <= found.high + 1e-9
    return cell("a share", n, f"exact match of {share:g}", share, covered, simulations, simulations)


def cell(design: str, n: int, metric: str, truth: float, covered: int, given: int, simulations: int) -> dict[str, Any]:
    """Returns a row of the table: ``coverage`` of the intervals that were given, None where none was."""
    return {
        "design": design, "rows": n, "metric": metric, "true_value": round(truth, 4),
        "interval_given": given / simulations, "coverage": round(covered / given, 4) if given else None,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--designs", nargs="*", help="names; the rows of the others are kept from the last time")
    args = parser.parse_args()
    earlier, table = RESULTS / "interval_coverage.json", []
    if args.designs is not None:
        table = [row for row in json.loads(earlier.read_text("utf-8"))["table"] if row["design"] not in args.designs]
    else:
        table = [simulate_share(share, n, args.simulations, args.resamples) for share in SHARES for n in (64, 200)]
    chosen = [design for design in DESIGNS if args.designs is None or design.name in args.designs]
    table += [row for design in chosen for n in design.rows for row in simulate(design, n, args.simulations, args.resamples)]
    names = ["a share", *(design.name for design in DESIGNS)]
    table.sort(key=lambda row: names.index(row["design"]))
    write("interval_coverage", {"simulations": args.simulations, "resamples": args.resamples, "table": table})


if __name__ == "__main__":
    main()
