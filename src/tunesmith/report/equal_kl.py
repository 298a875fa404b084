"""Compares policies at equal KL: the trained rewards of runs and of the best of n untuned answers, where each is as far away.

A policy that was trained longer, or with a smaller penalty, has a higher reward and a higher KL. At one KL the rewards tell
which training gives more for what it changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.report import tables
from tunesmith.report.drawing import SERIES_COLORS, Axis, Figure, Series
from tunesmith.report.evidence import plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import is_number, number
from tunesmith.results import RunResult

BEST_OF_N = "best of n untuned answers"
NOTE = (
    "Between two evaluations a line is straight. Runs are measured on validation, the best of n answers of the untuned model "
    "on the rows that are evaluated at the end, with log n - (n - 1) / n as a bound of their KL. A cell is empty beyond the KL "
    "that a line reaches."
)


@dataclass(frozen=True)
class RewardCurve:
    """The rewards of a policy by its exact KL to the untuned model, in rising order of KL (n)."""

    name: str
    kl: tuple[float, ...]
    rewards: tuple[float, ...]

    @classmethod
    def of(cls, name: str, points: Sequence[Mapping[str, Any]]) -> RewardCurve | None:
        """Sorts the points of a curve; None for fewer than two."""
        found = sorted((p["kl"], p["reward"]) for p in points if is_number(p.get("kl")) and is_number(p.get("reward")))
        return cls(name, tuple(kl for kl, _ in found), tuple(value for _, value in found)) if len(found) > 1 else None

    def at(self, kl: float) -> float | None:
        """Interpolates the reward at a KL; None beyond the last point."""
        return float(np.interp(kl, self.kl, self.rewards)) if kl <= self.kl[-1] else None


def reward_curves(named: Sequence[tuple[str, RunResult]]) -> list[RewardCurve]:
    """Returns the curve of each policy; empty unless every run is one that recorded it."""
    found = [RewardCurve.of(name, result.training.get("rewards_by_kl") or []) for name, result in named]
    return [curve for curve in found if curve is not None] if None not in found else []


def equal_kl_notes(results: Sequence[RunResult]) -> list[str]:
    """Says what policies reach at the largest KL that all of them reach; nothing for other runs."""
    curves = reward_curves([("", result) for result in results])
    if len(curves) < 2:
        return []
    kl = min(curve.kl[-1] for curve in curves)
    values = " and ".join(number(curve.at(kl)) for curve in curves)
    ends = " and ".join(number(curve.kl[-1]) for curve in curves)
    return [
        f"The policies end at a KL of {ends} nats on validation. At equal KL, {number(kl)} nats, their rewards are {values}: "
        "a smaller penalty or more steps give more of both."
    ]


def equal_kl(named: Sequence[tuple[str, RunResult]]) -> Markup | None:
    """Builds the figure and the table of rewards at equal KL; None for runs that are no policies."""
    curves = reward_curves(named)
    if not curves:
        return None
    best = RewardCurve.of(BEST_OF_N, named[0][1].training.get("best_of_n") or [])
    every = [*curves, *([] if best is None else [best])]
    common = min(curve.kl[-1] for curve in curves)
    levels = sorted({common, *(best.kl[1:] if best is not None else ())})
    rows = [(tables.num(number(kl)), *(tables.num(cell(curve.at(kl))) for curve in every)) for kl in levels]
    table = tables.table(("KL, nats", *(curve.name for curve in every)), rows, caption="reward at equal KL", box="fit")
    return join(
        [
            plot(figure(every), "Reward against KL", "equal KL, not equal coefficients", wide=True),
            table,
            tag("p", NOTE, class_="note"),
        ]
    )


def cell(value: float | None) -> str:
    return "" if value is None else number(value)


def figure(curves: Sequence[RewardCurve]) -> Figure:
    """Plots rewards against KL, those of the best of n dashed."""
    series = [
        Series(
            curve.kl, curve.rewards, curve.name, SERIES_COLORS[i % len(SERIES_COLORS)], "both", dashed=curve.name == BEST_OF_N,
            hints=[f"KL {number(x)}: reward {number(y)}" for x, y in zip(curve.kl, curve.rewards, strict=True)],
        )
        for i, curve in enumerate(curves)
    ]  # fmt: skip
    return Figure(series, Axis("exact KL to the untuned model, nats an answer"), Axis("reward"), 320, legend=True)
