"""Plans the fit of a session, the same for the training and for the pre-flight that builds its trainer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.recipe.metric_roles import is_higher_better
from tunesmith.tasks.task import Session, TaskSteps
from tunesmith.training.fit import FitPlan


@dataclass(frozen=True, kw_only=True)
class FitPlace:
    """The paths that one fit writes to, and its mode.

    Attributes:
        smoke: write no checkpoints, and keep the last weights.
    """

    checkpoints: Path
    metrics_log: Path
    resume: bool = False
    smoke: bool = False


def fit_plan(steps: TaskSteps[Any, Any], session: Session, seed: int, place: FitPlace) -> FitPlan:
    """Returns the settings of the fit of one seed."""
    return FitPlan(
        recipe=session.data.recipe,
        spec=steps.trainer_spec(session, steps.evaluate_fn(session, None), seed),
        n_rows=session.rows_per_epoch,
        metric=session.checkpoint_metric,
        higher_is_better=is_higher_better(session.data.recipe, session.checkpoint_metric),
        stopping_metric=session.stopping_metric,
        stops_at_higher=is_higher_better(session.data.recipe, session.stopping_metric),
        checkpoints=place.checkpoints,
        metrics_log=place.metrics_log,
        fast_path=session.fast_path,
        body=session.body,
        used_token_ids=session.used_token_ids,
        seed=seed,
        smoke=place.smoke,
        rate_factor=session.rate_factor,
    )
