"""Tries a rollout before the training: its rewards, the ends of its answers, and the ratio of its first minibatch."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tunesmith.models.inference import evaluation_mode
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.trial_step import proven
from tunesmith.results import Certificate
from tunesmith.tasks.policies.preflight import (
    REFERENCE_REMEDY,
    SAMPLES_REMEDY,
    ends_line,
    precision_line,
    reward_line,
    reward_run_lines,
    same_reference,
    sample_line,
    sampled_as_scored,
)
from tunesmith.tasks.ppo.model import PpoSession
from tunesmith.tasks.ppo.training import trial_loss, trial_rollout, tried
from tunesmith.training.ppo.rollouts import Rollout

TRIED_PROMPTS = 16
RATIO_LIMIT = 1e-6


def model_checks(session: PpoSession) -> Iterator[CheckLine]:
    """Samples answers to a few training prompts: rewards and their spread, cut answers, and the first ratio and divergence.

    Raises RecipeError for reward functions that fail or return something else than a finite number for each answer.
    """
    session.data.clock.part("trial rollout")
    rows = list(range(min(TRIED_PROMPTS, len(session.splits["train"]))))
    rollout, figures = trial_rollout(session, rows)
    yield from reward_run_lines(session)
    yield reward_line(figures, len(rows))
    yield ends_line(session, figures)
    answers = tried(session, rollout)
    yield sample_line(session, answers)
    yield precision_line(session, answers)
    yield proven(same_reference(figures["kl"], len(rows)), REFERENCE_REMEDY)
    yield proven(sampled_as_scored(session, answers), SAMPLES_REMEDY)
    remedy = "The update would begin away from the policy that sampled the answers."
    yield proven(first_ratio(session, rollout), remedy)


def first_ratio(session: PpoSession, rollout: Rollout) -> Certificate:
    """Certifies that the first minibatch has the probabilities that its answers were scored with: no token is clipped."""
    with evaluation_mode(session.model, session.fast_path.precision), torch.no_grad():
        loss = trial_loss(session, rollout)
    note = f"largest |ratio - 1|, {loss.clipped:.0%} clipped"
    passed = loss.ratio_error <= RATIO_LIMIT and loss.clipped == 0
    return Certificate("the first minibatch has ratio 1", passed, loss.ratio_error, RATIO_LIMIT, note)
