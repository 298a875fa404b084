"""Raises the alarms of ppo: those of all policies, and values that do not learn."""

from __future__ import annotations

from tunesmith.report.numbers import number
from tunesmith.results import Alarm
from tunesmith.tasks.policies.alarms import LAST_SHARE, figures_of, shared_alarms
from tunesmith.tasks.ppo.model import PpoSession
from tunesmith.tasks.task import Evaluation
from tunesmith.training.history import LogHistory

FEWEST_LOGS = 8
"""Log entries of rollouts before the values are expected to explain anything."""


def alarms(session: PpoSession, evaluation: Evaluation) -> list[Alarm]:
    """Returns the alarms that the recorded figures raise."""
    value = value_not_learning(evaluation.best.fit.history)
    return [*shared_alarms(session, evaluation), *([] if value is None else [value])]


def value_not_learning(history: LogHistory) -> Alarm | None:
    """Detects values that explain nothing of the returns at the end of the training."""
    every, last = figures_of(history, "explained_variance"), figures_of(history, "explained_variance", LAST_SHARE)
    if len(every) < FEWEST_LOGS or last.mean() > 0:
        return None
    return Alarm(
        "value not learning",
        f"The values explain {number(float(last.mean()))} of the variance of the returns in the last rollouts: no more than a "
        "constant would.",
        "Raise ppo.vf_coef or train.learning_rate, widen ppo.cliprange_value for rewards far from 1, or write "
        "ppo.use_score_scaling: true.",
    )
