"""Tries a rollout before the training: rewards, ends of answers, and that policy, reference and old probabilities agree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.generation.sampling import pick
from tunesmith.models.inference import evaluation_mode
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.trial_step import proven
from tunesmith.report.numbers import number, percent
from tunesmith.results import Certificate
from tunesmith.tasks.ppo.model import PpoSession, decoded_answers
from tunesmith.tasks.ppo.training import trial_loss, trial_rollout, trial_sampling
from tunesmith.training.ppo.rollouts import Rollout

TRIED_PROMPTS = 16
MOST_CUT = 0.9
"""Share of answers without an end above which nothing tells finished answers from cut ones."""
RATIO_LIMIT, KL_LIMIT, MOST_DIFFERING = 1e-6, 1e-4, 0.01
SHOWN_CHARACTERS = 160


def model_checks(session: PpoSession) -> Iterator[CheckLine]:
    """Samples answers to a few training prompts: rewards and their spread, cut answers, and the first ratio and divergence.

    Raises RecipeError for reward functions that fail or return something else than a finite number for each answer.
    """
    session.data.clock.part("trial rollout")
    rows = list(range(min(TRIED_PROMPTS, len(session.splits["train"]))))
    rollout, figures = trial_rollout(session, rows)
    yield reward_line(figures, len(rows))
    yield ends_line(session, figures)
    yield sample_line(session, rollout)
    yield proven(same_reference(figures, len(rows)), "The policy would be kept near another model than the one it starts from.")
    remedy = "The policy would be trained on answers that are not its own: a setting of its generation changes them."
    yield proven(sampled_as_scored(session, rollout), remedy)
    remedy = "The update would begin away from the policy that sampled the answers."
    yield proven(first_ratio(session, rollout), remedy)


def reward_line(figures: dict[str, float], n: int) -> CheckLine:
    """Describes the rewards of a trial rollout; a note warns of rewards that are all the same."""
    figure = f"mean {number(figures['reward'])}, standard deviation {number(figures['reward_std'])} over {plural(n, 'answer')}"
    constant = figures["reward_std"] == 0.0 and n > 1
    note = f"every answer has the same reward: {figure}" if constant else ""
    return CheckLine(
        "rewards", figure, note=note, remedy="Nothing is learnt from equal rewards: grade them, or sample more prompts."
    )


def ends_line(session: PpoSession, figures: dict[str, float]) -> CheckLine:
    """Describes how many answers ended within ``response_length``."""
    cut = 1.0 - figures["finished"]
    figure = f"{percent(cut)} of the answers are cut after {plural(session.section.response_length, 'token')}"
    note = figure if cut > MOST_CUT else ""
    return CheckLine(
        "ends of answers", figure, note=note, remedy="Raise ppo.response_length, unless answers are to be cut there."
    )


def sample_line(session: PpoSession, rollout: Rollout) -> CheckLine:
    """Shows the first answer of the rollout behind its prompt."""
    prompt = session.splits["train"].prompts[rollout.rows[0]]
    answer = decoded_answers(session, [prompt], rollout.answers[:1])[0]
    text = f"{session.tokenizer.decode(prompt, skip_special_tokens=False)}⟦{answer}⟧".replace("\n", "⏎")
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[: SHOWN_CHARACTERS // 2]} … {text[-SHOWN_CHARACTERS // 2 :]}"
    return CheckLine("sample", text)


def same_reference(figures: dict[str, float], n: int) -> Certificate:
    """Certifies that the untrained policy is its reference: the exact divergence of its answers is 0."""
    divergence = abs(figures["kl"])
    note = f"exact KL of {plural(n, 'answer')} in nats"
    return Certificate("the reference is the untrained policy", divergence <= KL_LIMIT, divergence, KL_LIMIT, note)


def sampled_as_scored(session: PpoSession, rollout: Rollout) -> Certificate:
    """Certifies that the sampled tokens are those that their random numbers select from the scored probabilities.

    A token may differ where a number falls between two tokens and the cached pass is rounded otherwise.
    """
    prompts = [session.splits["train"].prompts[row] for row in rollout.rows]
    numbers = trial_sampling(session).numbers
    drawn = np.concatenate([numbers(row)[: len(answer)] for row, answer in enumerate(rollout.answers)])
    with evaluation_mode(session.model, session.fast_path.precision) as device:
        logits = session.model(prompts, rollout.answers).logits
        picked = pick(logits, torch.from_numpy(drawn)[:, None].to(device), session.section.temperature)[:, 0].tolist()
    tokens = [token for answer in rollout.answers for token in answer]
    differing = sum(a != b for a, b in zip(picked, tokens, strict=True)) / len(tokens)
    note = f"share of {plural(len(tokens), 'sampled token')} that scoring would not sample"
    return Certificate("answers are sampled as they are scored", differing <= MOST_DIFFERING, differing, MOST_DIFFERING, note)


def first_ratio(session: PpoSession, rollout: Rollout) -> Certificate:
    """Certifies that the first minibatch has the probabilities that its answers were scored with: no token is clipped."""
    with evaluation_mode(session.model, session.fast_path.precision), torch.no_grad():
        loss = trial_loss(session, rollout)
    note = f"largest |ratio - 1|, {loss.clipped:.0%} clipped"
    passed = loss.ratio_error <= RATIO_LIMIT and loss.clipped == 0
    return Certificate("the first minibatch has ratio 1", passed, loss.ratio_error, RATIO_LIMIT, note)
