"""Records why a loss of zero is, or is not, a fault."""

from __future__ import annotations

from typing import Any

from tunesmith.report.numbers import number, percent
from tunesmith.tasks.policies import outputs
from tunesmith.tasks.policies.alarms import figures_of
from tunesmith.tasks.task import Evaluation
from tunesmith.training.history import LogHistory

SMALL_LOSS = 0.05
"""Mean size of the logged losses below which they are explained."""


def training_record(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the record of all policies, with the algorithm and what the size of the loss means."""
    section = evaluation.best.session.section
    record = outputs.training_record(evaluation)
    return {**record, "algorithm": section.algorithm, "loss_near_zero": loss_near_zero(evaluation.best.fit.history)}


def loss_near_zero(history: LogHistory) -> dict[str, Any]:
    """Explains losses near zero by the gradient and the variance of the groups; empty where the losses are not near zero.

    With one pass over the answers the ratio is 1 and the advantages of a group add up to 0: the printed loss is then 0 whatever
    is learnt, and only rewards and gradients tell.
    """
    logged = [entry for entry in history if "loss" in entry and "grad_norm" in entry]
    if not logged or sum(abs(entry["loss"]) for entry in logged) / len(logged) > SMALL_LOSS:
        return {}
    gradient = sum(float(entry["grad_norm"]) for entry in logged) / len(logged)
    equal = float(figures_of(history, "groups_without_variance").mean())
    is_fault = gradient == 0.0 or equal == 1.0
    figures = f"mean norm of the gradient {number(gradient)}, {percent(equal)} of the groups without variance"
    sentence = (
        f"The loss is near 0, and that is a fault: nothing was learnt from rewards ({figures})."
        if is_fault
        else "The loss is near 0 by construction, which is no fault: the advantages of a group add up to 0 where the ratio is 1. "
        f"The rewards were learnt from ({figures})."
    )
    return {"is_fault": is_fault, "grad_norm": gradient, "groups_without_variance": equal, "sentence": sentence}
