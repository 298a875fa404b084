"""Simulates pairs of seeds: false verdicts for equal systems, coverage of the interval of a difference, and its width.

Three seeds per system; the i-th seeds of both share a part of their effect on the accuracy, as in variants of one recipe.

    python benchmarks/paired_seeds.py [--simulations 2000]
"""

from __future__ import annotations

import argparse
import itertools
from statistics import NormalDist
from typing import Any

import numpy as np
from record import write
from verdict_simulation import SHARED, holds, rate

from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.verdict import verdicts

N_SEEDS = 3
RESAMPLES = 500
ROWS = (500, 2000)
SPREADS = (0.0, 0.01, 0.02)
"""Standard deviation of the accuracy over seeds."""
TOGETHER = (0.0, 0.5, 0.9)
"""Share of that variance that both systems of a seed have alike."""
GAPS = (0.0, 0.02)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=2000)
    simulations = parser.parse_args().simulations
    cells = [measured(*cell, simulations) for cell in itertools.product(ROWS, SPREADS, TOGETHER, GAPS)]
    equal = [cell["paired"]["differs"]["percent"] for cell in cells if cell["difference"] == 0]
    covered = [cell["paired"]["covered"]["percent"] for cell in cells]
    write("paired_seeds", {
        "simulations": simulations, "seeds": N_SEEDS, "cells": cells,
        "false_words_percent": {"mean": float(np.mean(equal)), "max": max(equal), "wanted": 5},
        "coverage_percent": {"min": min(covered), "max": max(covered)},
    })  # fmt: skip


def measured(n: int, spread: float, together: float, gap: float, simulations: int) -> dict[str, Any]:
    """Returns the verdicts of so many simulated pairs of systems, with seeds paired and not."""
    rng = np.random.default_rng([n, round(1000 * spread), round(10 * together), round(1000 * gap)])
    found: dict[bool, dict[str, list[float]]] = {way: {"differs": [], "covered": [], "width": []} for way in (True, False)}
    for simulation in range(simulations):
        ours, other = drawn(n, spread, together, gap, rng)
        for paired, kept in found.items():
            (result,) = verdicts(["accuracy"], ours, other, "other", "test", RESAMPLES, simulation, paired_seeds=paired)
            kept["differs"].append(result.word != "cannot tell")
            kept["covered"].append(holds(result.low, result.high, gap))
            kept["width"].append(0.0 if result.low is None or result.high is None else result.high - result.low)
    record = {
        "paired" if paired else "not paired": {
            "differs": rate(int(sum(kept["differs"])), simulations),
            "covered": rate(int(sum(kept["covered"])), simulations),
            "mean_width": float(np.mean(kept["width"])),
        }
        for paired, kept in found.items()
    }  # fmt: skip
    return {"n": n, "spread_over_seeds": spread, "shared_by_a_pair": together, "difference": gap, **record}


def drawn(n: int, spread: float, together: float, gap: float, rng: np.random.Generator) -> tuple[list[Predictions], ...]:
    """Draws two systems of three seeds on the same rows, the first ahead by ``gap`` in accuracy on average."""
    label, difficulty, common = rng.integers(0, 2, n), rng.normal(size=n), rng.normal(size=N_SEEDS)
    systems = []
    for ahead in (gap, 0.0):
        system = []
        for seed in range(N_SEEDS):
            luck = np.sqrt(together) * common[seed] + np.sqrt(1 - together) * rng.normal()
            limit = NormalDist().inv_cdf(0.8 + ahead + spread * luck)
            right = np.sqrt(SHARED) * difficulty + np.sqrt(1 - SHARED) * rng.normal(size=n) < limit
            system.append(Predictions(label, np.zeros((n, 2)), np.where(right, label, 1 - label)))
        systems.append(system)
    return tuple(systems)


if __name__ == "__main__":
    main()
