"""Shares what trainers of policies log, how they end where a reward fails, and the stop at the turn of the gold reward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tunesmith.errors import InputError, TrainingFailed
from tunesmith.evaluation.over_optimisation import Turn, find_turn
from tunesmith.recipe.metric_names import REWARD_METRICS, STANDARD_ERROR
from tunesmith.training.guarded import GuardedTrainer
from tunesmith.training.history import ROLLOUT, LogHistory, evaluations

REWARD, GOLD = REWARD_METRICS
HIGHEST = ("ratio_error",)
"""Figures of which the highest since the last log is logged instead of the mean."""


class PolicyTrainer(GuardedTrainer):
    """A guarded trainer on sampled answers.

    Attributes:
        figures: of the rollouts and batches since the last log.
    """

    def __init__(self, **upstream: Any) -> None:
        self.figures: list[dict[str, float]] = []
        super().__init__(**upstream)

    @contextmanager
    def failing_rewards(self) -> Iterator[None]:
        """Turns the error of a reward function, which worked before the training, into TrainingFailed."""
        try:
            yield
        except InputError as error:
            raise TrainingFailed(f"Training stopped at step {self.state.global_step + 1}: {error}") from error

    def evaluate(self, *arguments: Any, **named: Any) -> dict[str, float]:
        with self.failing_rewards():
            return super().evaluate(*arguments, **named)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs also the means of the rollouts and minibatches since the last log."""
        if "loss" in logs and self.figures:
            names = dict.fromkeys(name for figures in self.figures for name in figures)
            for name in names:
                values = [figures[name] for figures in self.figures if name in figures and np.isfinite(figures[name])]
                if values:
                    logs[f"{ROLLOUT}{name}"] = float(max(values) if name in HIGHEST else np.mean(values))
            self.figures = []
        super().log(logs, start_time)


def turn_of(history: LogHistory) -> Turn | None:
    """Finds the evaluation at which gold has turned while the trained reward rose; None without one, or without gold."""
    measured = [entry for entry in evaluations(history) if f"eval_{GOLD}" in entry]
    columns = [[float(entry[f"eval_{name}"]) for entry in measured] for name in (GOLD, f"{GOLD}{STANDARD_ERROR}", REWARD)]
    return find_turn(*columns)


class StopAtTurn(TrainerCallback):  # type: ignore[misc]
    """Ends training when gold has turned while the trained reward rises. Keeps no state: it reads the log history."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.on_evaluate(args, state, control)  # a run that had stopped ends there again when it is resumed

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if turn_of(state.log_history) is not None:
            control.should_training_stop = True
