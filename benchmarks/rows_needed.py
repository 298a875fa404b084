"""Measures how often the number of test rows that a recommendation names gives the verdict "better", on simulated systems.

Two systems with a known true difference predict the same rows. The number of rows follows from ``rows_needed`` on the verdict
of 200 rows whose measured difference is the true one: the spread is that of the 200 rows, as in a run. The systems are then
judged on so many new rows. "promised" is 0.80; the designs of two comparisons have to hold after Holm's correction.

    python benchmarks/rows_needed.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from record import write

from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import holm, verdicts
from tunesmith.report.recommendation import rounded_up, rows_needed
from tunesmith.results import RunResult, Verdict

PILOT, TRIALS, PILOTS, RESAMPLES, N_LARGE = 200, 40, 60, 500, 1_000_000
Pair = tuple[Predictions, Predictions]


def classes(rng: np.random.Generator, n: int, shares: tuple[float, ...], accuracies: tuple[float, float]) -> Pair:
    """Simulates two classifiers that share half of their errors' causes."""
    k, labels = len(shares), rng.choice(len(shares), n, p=shares)
    common = rng.normal(size=n)
    systems = []
    for accuracy in accuracies:
        quality = (common + rng.normal(size=n)) / 2**0.5
        is_right = quality < NormalDist().inv_cdf(accuracy)
        decisions = np.where(is_right, labels, (labels + rng.integers(1, k, n)) % k)
        systems.append(Predictions(labels, np.eye(k)[decisions], decisions))
    return systems[0], systems[1]


def numbers(rng: np.random.Generator, n: int, noises: tuple[float, float]) -> Pair:
    """Simulates two regressions of the same labels with independent noise."""
    labels = rng.normal(size=n)
    scores = [labels + noise * rng.normal(size=n) for noise in noises]
    return Predictions(labels, scores[0], scores[0]), Predictions(labels, scores[1], scores[1])


def balanced(rng: np.random.Generator, n: int) -> Pair:
    return classes(rng, n, (0.5, 0.5), (0.84, 0.78))


def imbalanced(rng: np.random.Generator, n: int) -> Pair:
    return classes(rng, n, (0.6, 0.25, 0.1, 0.05), (0.82, 0.76))


def regression(rng: np.random.Generator, n: int) -> Pair:
    return numbers(rng, n, (0.80, 0.92))


DESIGNS: tuple[tuple[tuple[str, ...], Callable[[np.random.Generator, int], Pair]], ...] = (
    (("accuracy",), balanced),
    (("macro_f1",), balanced),
    (("macro_f1",), imbalanced),
    (("macro_f1", "accuracy"), imbalanced),
    (("spearman",), regression),
    (("rmse",), regression),
)


def judged(metrics: tuple[str, ...], pair: Pair) -> tuple[Verdict, ...]:
    return holm(verdicts(metrics, [pair[0]], [pair[1]], "simple", "test", Resampling(RESAMPLES)))


def true_difference(metric: str, simulate: Callable[[np.random.Generator, int], Pair]) -> float:
    """Computes the difference on so many rows that its error does not matter."""
    pair = simulate(np.random.default_rng(7), N_LARGE)
    difference = verdicts((metric,), [pair[0]], [pair[1]], "simple", "test", Resampling(2))[0].difference
    assert difference is not None
    return difference


def power(metrics: tuple[str, ...], simulate: Callable[[np.random.Generator, int], Pair], seed: int) -> dict[str, object]:
    """Measures the share of "better" on the first metric with the number of rows that pilots of 200 rows name."""
    rng, difference = np.random.default_rng(seed), true_difference(metrics[0], simulate)
    n_rows, better = [], 0
    for _ in range(PILOTS):
        first, *others = judged(metrics, simulate(rng, PILOT))
        pilot = (replace(first, difference=difference, word="cannot tell"), *(replace(v, word="cannot tell") for v in others))
        needed = rows_needed(pilot[0], RunResult("classification", verdicts=pilot))
        assert needed is not None
        n_rows.append(rounded_up(needed))
        better += sum(judged(metrics, simulate(rng, n_rows[-1]))[0].word == "better" for _ in range(TRIALS))
    share = better / (PILOTS * TRIALS)
    return {
        "design": simulate.__name__,
        "metrics": metrics,
        "true_difference": round(difference, 4),
        "rows": sorted(n_rows),
        "trials": PILOTS * TRIALS,
        "better": round(share, 3),
        "promised": 0.8,
    }


def main() -> None:
    table = []
    for seed, (metrics, simulate) in enumerate(DESIGNS):
        table.append(power(metrics, simulate, seed))
        print(table[-1], flush=True)
    write("rows_needed", {"table": table})


if __name__ == "__main__":
    main()
