"""Reads the trainer's log history: pure functions, so that a resumed run gets the same results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

LogHistory = list[dict[str, Any]]
ROLLOUT = "rollout_"
"""Beginning of the names that figures of sampled answers have in a log history; in metrics.jsonl they are ``metrics``."""


@dataclass(frozen=True)
class Best:
    """The best evaluation so far.

    Attributes:
        since: evaluations after it without an improvement.
    """

    step: int
    value: float
    since: int


def evaluations(history: LogHistory) -> LogHistory:
    """Selects the evaluation entries of a log history, in order."""
    return [entry for entry in history if "eval_loss" in entry]


def best_so_far(history: LogHistory, metric: str, higher_is_better: bool, delta: float = 0.0) -> Best | None:
    """Finds the best evaluation by a metric; None before the first one.

    An evaluation counts as better only by more than ``delta``; one without a finite value never does.
    """
    best: Best | None = None
    for entry in evaluations(history):
        value = entry.get(f"eval_{metric}")
        if value is None or not math.isfinite(value):
            best = None if best is None else Best(best.step, best.value, best.since + 1)
        elif best is None or (value - best.value if higher_is_better else best.value - value) > delta:
            best = Best(entry["step"], value, 0)
        else:
            best = Best(best.step, best.value, best.since + 1)
    return best


@dataclass(frozen=True)
class Selected:
    """The evaluation whose weights the model gets.

    Attributes:
        n_ties: evaluations with its value, itself included.
    """

    step: int
    value: float
    n_ties: int


def selected(history: LogHistory, metric: str, higher_is_better: bool) -> Selected | None:
    """Finds the evaluation with the best value of a metric; of several the one with the lowest loss, then the first.

    A metric of few validation rows is soon 1 for all evaluations, while the loss of the model still falls.
    """
    best = best_so_far(history, metric, higher_is_better)
    if best is None:
        return None
    ties = [entry for entry in evaluations(history) if entry.get(f"eval_{metric}") == best.value]
    lowest = min(ties, key=lambda entry: entry["eval_loss"] if math.isfinite(entry["eval_loss"]) else math.inf)
    return Selected(lowest["step"], best.value, len(ties))


def newest_values(history: LogHistory, metric: str) -> dict[str, float]:
    """Returns the newest finite training ``loss`` and validation value of the metric, each where there is one."""
    values: dict[str, float] = {}
    for name, key in (("loss", "loss"), (metric, f"eval_{metric}")):
        newest = next((entry[key] for entry in reversed(history) if key in entry), None)
        if newest is not None and math.isfinite(newest):
            values[name if key == "loss" else f"validation_{name}"] = newest
    return values


def as_events(history: LogHistory) -> LogHistory:
    """Converts a log history to the lines of metrics.jsonl."""
    return [as_event(entry) for entry in history if "loss" in entry or "eval_loss" in entry]


def as_event(entry: dict[str, Any]) -> dict[str, Any]:
    """Converts one log entry to a line of metrics.jsonl; numbers that are not finite become None."""
    base = {"step": entry["step"], "epoch": entry.get("epoch"), "seconds": entry.get("seconds")}
    if "eval_loss" in entry:
        metrics = {name.removeprefix("eval_"): finite(value) for name, value in entry.items() if name.startswith("eval_")}
        return {"event": "evaluate", "split": "validation", **base, "loss": metrics.pop("loss"), "metrics": metrics}
    values: dict[str, Any] = {name: finite(entry[name]) for name in ("loss", "learning_rate", "grad_norm") if name in entry}
    figures = {name.removeprefix(ROLLOUT): finite(value) for name, value in entry.items() if name.startswith(ROLLOUT)}
    return {"event": "train", **base, **values, **({"metrics": figures} if figures else {})}


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
