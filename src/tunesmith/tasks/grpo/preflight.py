"""Tries groups of answers before the training: what their rewards have to learn from, their ends, and their reference."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError
from tunesmith.generation.decode import model_end_ids
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.trial_step import proven
from tunesmith.report.numbers import number, percent
from tunesmith.tasks.grpo.model import GrpoSession, groups_of
from tunesmith.tasks.grpo.training import try_groups
from tunesmith.tasks.policies.evaluation import MOST_CUT
from tunesmith.tasks.policies.model import reference_model
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
from tunesmith.training.policies.answers import answer_divergences
from tunesmith.training.trainers.groups import group_figures

TRIED_PROMPTS = 8
KL_LIMIT = 1e-6
SMALL_SPREAD = 0.01
"""Standard deviation within groups, as a share of the rewards' mean size, below which scaling by it may scale up noise."""


def model_checks(session: GrpoSession) -> Iterator[CheckLine]:
    """Samples groups of answers to a few training prompts: rewards, their variance within groups, ends, the first divergence.

    Raises RecipeError for reward functions that fail or return something else than a finite number for each answer, and where
    nothing would be trained because every answer is cut and cut ones are left out.
    """
    session.data.clock.part("trial rollout")
    rows = list(range(min(TRIED_PROMPTS, len(session.splits["train"]))))
    tried = try_groups(session, rows)
    rewards = groups_of(session, session.seed).score(tried.rows, tried.answers)
    ends = model_end_ids(session.policy, session.tokenizer)
    figures = group_figures(rewards, tried.answers, ends, session.section.num_generations)
    figures["positive"] = float((rewards > 0).mean())
    require_ends(session, figures)
    yield from reward_run_lines(session)
    yield reward_line(figures, len(tried.answers))
    yield groups_line(session, figures, len(rows))
    yield ends_line(session, figures)
    yield sample_line(session, tried)
    yield precision_line(session, tried)
    prompts = [session.splits["train"].prompts[row] for row in tried.rows]
    divergences = answer_divergences(
        session.policy, lambda: reference_model(session), prompts, tried.answers, temperature=session.section.temperature,
        batch_rows=session.data.recipe.train.batch_rows, layout=session.layout, precision=session.fast_path.precision,
    )  # fmt: skip
    yield proven(same_reference(float(abs(divergences).max()), len(divergences), KL_LIMIT), REFERENCE_REMEDY)
    yield proven(sampled_as_scored(session, tried), SAMPLES_REMEDY)


def groups_line(session: GrpoSession, figures: dict[str, float], n: int) -> CheckLine:
    """Describes the rewards within groups; a note warns of groups without variance, and of a spread that may be noise."""
    share, spread = figures["groups_without_variance"], figures["group_std"]
    figure = (
        f"{percent(share)} of {plural(n, 'group')} have equal rewards, standard deviation within groups {number(spread)}, "
        f"{percent(figures['positive'])} of the rewards are above 0"
    )
    scaled, size = session.section.scales_by_spread, abs(figures["reward"])
    if share == 1.0 and figures["reward_std"] > 0:
        remedy = "Nothing is learnt within equal groups: grade answers more finely, or raise grpo.num_generations or temperature."
        return CheckLine("groups", figure, note=f"no group has different rewards: {figure}", remedy=remedy)
    if scaled and 0 < spread < SMALL_SPREAD * size:
        note = f"rewards hardly differ within groups, and advantages are divided by that: {figure}"
        return CheckLine(
            "groups", figure, note=note, remedy="Turn the scaling off (grpo.scale_rewards: none), unless such differences matter."
        )
    return CheckLine("groups", figure)


def require_ends(session: GrpoSession, figures: dict[str, float]) -> None:
    """Raises RecipeError where cut answers are left out of the loss and nearly all are cut."""
    cut = 1.0 - figures["finished"]
    if session.section.mask_truncated_completions and cut > MOST_CUT:
        length = plural(session.section.max_completion_length, "token")
        message = f"{percent(cut)} of the answers are cut after {length} and left out of the loss: nothing would be trained."
        raise RecipeError.one("grpo.mask_truncated_completions", message, "Raise grpo.max_completion_length, or leave it out.")
