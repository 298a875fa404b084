"""Plots loss, metrics and learning rate over training steps, for one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.recipe.metric_names import STANDARD_ERROR
from tunesmith.report.drawing import SERIES_COLORS, Axis, Figure, Series, VerticalLine, label
from tunesmith.report.numbers import is_number, number
from tunesmith.report.words import display_name

MEMORY_NAMES = {
    "process_bytes": "process", "allocated_bytes": "GPU, allocated", "reserved_bytes": "GPU, reserved by torch",
    "used_bytes": "GPU, used as the driver says",
}  # fmt: skip
LOG_FIELDS = frozenset({"step", "seed", "epoch", "runtime", "samples_per_second", "steps_per_second", "model_preparation_time"})


def line(events: Sequence[Mapping[str, Any]], key: str, name: str, color: str, marked: bool = False) -> Series:
    """Makes a curve of one field over steps, ``marked`` with a point at each; skips events without it."""
    points = [(event["step"], event[key]) for event in events if is_number(event.get("step")) and is_number(event.get(key))]
    steps, values = [x for x, _ in points], [y for _, y in points]
    hints = [f"step {step:,}: {number(value)}" for step, value in points]
    return Series(steps, values, name, color, "both" if marked else "line", hints=hints)


def over_steps(
    series: Sequence[Series], height: int, title: str, from_zero: bool = False, best_step: object = None
) -> Figure | None:
    """Makes a figure over optimizer steps of the series that have points, with a dashed line at the selected checkpoint."""
    drawn = [each for each in series if each.x]
    lines = [VerticalLine(best_step, dashed=True)] if is_number(best_step) else []
    axes = Axis("optimizer step", is_whole=True), Axis(title, from_zero=from_zero)
    return Figure(drawn, *axes, height, lines, legend=len(drawn) > 1) if drawn else None


def select(events: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [event for event in events if event.get("event") == kind]


def split_by_seed(events: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Groups the events by seed; the keys are suffixes for curve names, empty if there is only one seed."""
    seeds = sorted({event["seed"] for event in events if is_number(event.get("seed"))})
    if len(seeds) < 2:
        return {"": list(events)}
    return {f", seed {seed}": [event for event in events if event.get("seed") == seed] for seed in seeds}


def loss_curves(events: Sequence[Mapping[str, Any]], best_step: object = None) -> Figure | None:
    """Plots training and validation loss over steps; None if neither was logged."""
    series = []
    for i, (suffix, of_seed) in enumerate(split_by_seed(events).items()):
        training, validation = SERIES_COLORS[(2 * i) % 6], SERIES_COLORS[(2 * i + 1) % 6]
        series.append(line(select(of_seed, "train"), "loss", f"training{suffix}", training))
        series.append(line(select(of_seed, "evaluate"), "loss", f"validation{suffix}", validation, marked=True))
    return over_steps(series, 300, "loss", best_step=best_step)


def metric_curves(events: Sequence[Mapping[str, Any]], main: str | None, best_step: object = None) -> dict[str, Figure]:
    """Plots each validation metric over steps: display name -> figure, the primary one first."""
    found = select(events, "evaluate")
    flat = [{**(event.get("metrics") or {}), "step": event.get("step"), "seed": event.get("seed")} for event in found]
    names = sorted(
        dict.fromkeys(name for event in flat for name in event if name not in LOG_FIELDS and not name.endswith(STANDARD_ERROR)),
        key=lambda name: name != main,
    )
    figures = {}
    for name in names:
        series = [
            line(of_seed, name, display_name(name) + suffix, SERIES_COLORS[i % 6], marked=True)
            for i, (suffix, of_seed) in enumerate(split_by_seed(flat).items())
        ]
        figures[display_name(name)] = over_steps(series, 250, display_name(name), best_step=best_step)
    return {name: figure for name, figure in figures.items() if figure is not None}


def training_curve(events: Sequence[Mapping[str, Any]], key: str, title: str) -> Figure | None:
    """Plots a field of the training log over steps (learning rate, gradient norm); None if it was not logged."""
    series = [
        line(select(of_seed, "train"), key, title + suffix, SERIES_COLORS[i % 6])
        for i, (suffix, of_seed) in enumerate(split_by_seed(events).items())
    ]
    return over_steps(series, 250, title, from_zero=True)


def memory_curve(samples: Mapping[str, Sequence[Any]]) -> Figure | None:
    """Plots the memory of the process and of the GPUs over the seconds of the run; None with fewer than two samples."""
    seconds = samples.get("seconds") or []
    series = []
    for i, (key, name) in enumerate(MEMORY_NAMES.items()):
        values = samples.get(key) or []
        points = [(x, y / 1e9) for x, y in zip(seconds, values, strict=False) if is_number(x) and is_number(y)]
        hints = [f"{number(x)} s: {number(y)} GB" for x, y in points]
        series.append(Series([x for x, _ in points], [y for _, y in points], name, SERIES_COLORS[i], "line", hints=hints))
    drawn = [each for each in series if len(each.x) > 1]
    axes = Axis("seconds"), Axis("GB", from_zero=True)
    return Figure(drawn, *axes, 250, [], legend=len(drawn) > 1) if drawn else None


def run_curves(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], kind: str, key: str, title: str) -> Figure | None:
    """Plots one field, or one metric of the evaluations, over steps for several runs."""
    series = []
    for i, (name, events) in enumerate(runs):
        flat = [{**(event.get("metrics") or {}), **event} for event in select(events, kind)]
        series.append(line(flat, key, label(name, 30), SERIES_COLORS[i % 6], marked=kind == "evaluate"))
    return over_steps(series, 340, title)
