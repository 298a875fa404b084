"""Raises the alarms of policies: no signal in the rewards, answers without ends, drift from the reference, reward hacking."""

from __future__ import annotations

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.report.numbers import number, percent
from tunesmith.results import Alarm
from tunesmith.tasks.language.evaluation import UNTUNED, degenerate_answers
from tunesmith.tasks.policies.evaluation import GOLD, KL, MOST_CUT
from tunesmith.tasks.policies.model import PolicySession
from tunesmith.tasks.task import Evaluation
from tunesmith.training.history import ROLLOUT, LogHistory, evaluations
from tunesmith.training.trainers.policies import turn_of

LAST_SHARE = 0.25
"""The last part of the training, over which figures are averaged."""


def shared_alarms(session: PolicySession, evaluation: Evaluation) -> list[Alarm]:
    """Returns the alarms that the recorded figures raise, of those that do not depend on the method."""
    history = evaluation.best.fit.history
    found = [
        constant_rewards(history),
        cut_answers(session, history),
        far_from_reference(session, history),
        over_optimised(session, history),
    ]
    split = list(session.evaluation_splits)[-1]
    before = next((system.outputs[split].texts for system in evaluation.systems.systems if system.name == UNTUNED), ())
    degenerate = degenerate_answers(evaluation.best.outputs[split].texts, before, split) if before else []
    return [alarm for alarm in found if alarm is not None] + degenerate


def figures_of(history: LogHistory, name: str, share: float = 1.0) -> np.ndarray:
    """Returns a figure of the logged rollouts, of the last ``share`` of them."""
    values = np.array([entry[f"{ROLLOUT}{name}"] for entry in history if f"{ROLLOUT}{name}" in entry])
    return values[len(values) - max(1, round(share * len(values))) :] if len(values) else values


def constant_rewards(history: LogHistory) -> Alarm | None:
    """Detects rollouts of which every answer had the same reward."""
    spreads = figures_of(history, "reward_std")
    if not len(spreads) or spreads.max() > 0:
        return None
    return Alarm(
        "constant rewards",
        f"All answers of all {plural(len(spreads), 'logged rollout')} had the same reward: nothing could be learnt from it.",
        "Let the reward grade answers, start from a model that sometimes earns it, or look at the function.",
    )


def cut_answers(session: PolicySession, history: LogHistory) -> Alarm | None:
    """Detects answers that nearly all ended only by their largest length."""
    finished = figures_of(history, "finished", LAST_SHARE)
    if not len(finished) or 1.0 - finished.mean() <= MOST_CUT:
        return None
    length = plural(session.section.answer_length, "token")
    return Alarm(
        "answers are cut",
        f"{percent(1.0 - float(finished.mean()))} of the last sampled answers were cut after {length}: their rewards are "
        "those of beginnings.",
        f"Raise {session.data.length_key} or let the reward prefer answers that end; if they are to be cut, nothing is wrong.",
    )


def far_from_reference(session: PolicySession, history: LogHistory) -> Alarm | None:
    """Detects a policy that went further from its reference than the recipe's budget."""
    measured = [(entry["step"], entry[f"eval_{KL}"]) for entry in evaluations(history) if f"eval_{KL}" in entry]
    over = [(step, value) for step, value in measured if value > session.section.kl_budget]
    if not over:
        return None
    step, _ = over[0]
    return Alarm(
        "KL beyond the budget",
        f"The exact KL to the untuned model exceeded {session.section.kl_budget:g} nats an answer from step {step} on; it "
        f"ended at {number(measured[-1][1])}.",
        f"Raise {session.data.penalty_key}, lower train.learning_rate, or raise {session.data.section_name}.kl_budget if such "
        "answers are good ones.",
    )


def over_optimised(session: PolicySession, history: LogHistory) -> Alarm | None:
    """Detects a gold reward that fell for certain while the trained reward rose."""
    turn = turn_of(history)
    if turn is None:
        return None
    measured = [entry for entry in evaluations(history) if f"eval_{GOLD}" in entry]
    best, seen = measured[turn.best], measured[turn.seen]
    return Alarm(
        "over-optimised",
        f"The gold reward fell from {number(best[f'eval_{GOLD}'])} at step {best['step']} to {number(seen[f'eval_{GOLD}'])} at "
        f"step {seen['step']}, while the trained reward rose from {number(best['eval_reward'])} to "
        f"{number(seen['eval_reward'])}: the policy exploits the reward.",
        "Write rewards.stop_at_turn: true to stop there and keep the best gold reward, raise "
        f"{session.data.penalty_key}, or improve the reward.",
    )
