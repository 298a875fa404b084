"""Raises the alarms of grpo: those of all policies, and groups without variance."""

from __future__ import annotations

from tunesmith.report.numbers import percent
from tunesmith.results import Alarm
from tunesmith.tasks.grpo.model import GrpoSession
from tunesmith.tasks.policies.alarms import LAST_SHARE, figures_of, shared_alarms
from tunesmith.tasks.task import Evaluation
from tunesmith.training.history import LogHistory

MOST_EQUAL = 0.9
"""Share of groups with equal rewards above which hardly anything is learnt."""


def alarms(session: GrpoSession, evaluation: Evaluation) -> list[Alarm]:
    """Returns the alarms that the recorded figures raise."""
    equal = equal_groups(evaluation.best.fit.history)
    return [*shared_alarms(session, evaluation), *([] if equal is None else [equal])]


def equal_groups(history: LogHistory) -> Alarm | None:
    """Detects last groups that nearly all have equal rewards, although rewards differ between them or differed before."""
    last, spreads = figures_of(history, "groups_without_variance", LAST_SHARE), figures_of(history, "reward_std")
    if not len(last) or last.mean() <= MOST_EQUAL or spreads.max() == 0:
        return None
    return Alarm(
        "groups without variance",
        f"{percent(float(last.mean()))} of the last groups had equal rewards: an answer is compared with its group, so "
        "nothing was learnt from them.",
        "Raise grpo.num_generations or grpo.temperature, grade answers more finely, or stop earlier if all are right.",
    )
