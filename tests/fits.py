"""One fit of any task on rows in memory, which can be stopped and resumed."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tunesmith.progress import Clock, Event
from tunesmith.recipe.load import LoadedRecipe, recipe_from_mapping
from tunesmith.tasks.fit_plan import FitPlace
from tunesmith.tasks.steps import fit_seed, load, read
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request, Session, TaskData, TaskSteps
from tunesmith.training.fit import Fit
from tunesmith.training.signals import stop_on_signals

SEED = 3


@dataclass
class Trained:
    """A finished fit.

    Attributes:
        losses: of each logged training step.
    """

    fit: Fit
    session: Any
    losses: list[float]
    weights: dict[str, torch.Tensor]


def read_rows(mapping: Mapping[str, Any], frames: Mapping[str, Any], base: Path) -> TaskData:
    """Reads the rows of a recipe."""
    loaded = LoadedRecipe(recipe_from_mapping(dict(mapping)), None, dict(mapping), "", base)
    return read(task_for(loaded.recipe), Request(loaded, Clock(lambda _: None, {}), frames))


def load_session(mapping: Mapping[str, Any], frames: Mapping[str, Any], base: Path) -> tuple[TaskSteps[Any, Any], Any]:
    """Loads the model of a recipe with its rows as tokens."""
    data = read_rows(mapping, frames, base)
    steps = task_for(data.recipe).load_steps()
    data = steps.prepare(data, Clock(lambda _: None, {}))
    return steps, load(steps, data, SEED)


def fit_in(
    folder: Path, steps: TaskSteps[Any, Any], session: Session, *, stop_at: int | None = None, resume: bool = False,
    smoke: bool = False,
) -> Trained:  # fmt: skip
    """Trains in a folder; ``stop_at`` requests a stop after that step."""

    def listen(event: Event) -> None:
        if event.kind == "step" and stop_at is not None and event.done == stop_at:
            signal.raise_signal(signal.SIGTERM)

    folder.mkdir(exist_ok=True)
    log = folder / "metrics.jsonl"
    place = FitPlace(checkpoints=folder, metrics_log=log, resume=resume, smoke=smoke)
    with stop_on_signals() as request:
        fit = fit_seed(steps, session, SEED, place, request, listen)
    losses = [event["loss"] for event in map(json.loads, log.read_text().splitlines()) if event["event"] == "train"]
    return Trained(fit, session, losses, {name: value.clone() for name, value in session.model.state_dict().items()})
