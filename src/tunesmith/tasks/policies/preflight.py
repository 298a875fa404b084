"""Describes sampled answers before the training: rewards, ends, and that policy, reference and samples agree."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.generation.sampling import Sampling, pick
from tunesmith.models.inference import evaluation_mode
from tunesmith.models.language.value_head import answer_tokens
from tunesmith.models.reward.source import RewardRun
from tunesmith.preflight.report import CheckLine
from tunesmith.report.numbers import duration, number, percent
from tunesmith.results import Certificate
from tunesmith.tasks.policies.evaluation import MOST_CUT
from tunesmith.tasks.policies.model import PolicySession, decoded_answers
from tunesmith.tasks.saved_recipe import result_of_model

KL_LIMIT, MOST_DIFFERING = 1e-4, 0.01
SLOWER = 1.2
"""Seconds of bf16 by those of fp32, from which on a note says so."""
SHOWN_CHARACTERS = 160
REWARD_ALARMS = ("not above length", "not above words")
"""Alarms of a reward run that say what its rewards may be worth."""
REFERENCE_REMEDY = "The policy would be kept near another model than the one it starts from."
SAMPLES_REMEDY = "The policy would be trained on answers that are not its own: a setting of its generation changes them."


@dataclass(frozen=True)
class TriedAnswers:
    """Answers to a few training prompts.

    Attributes:
        rows: (R) positions of the prompts.
        sampling: how the answers were sampled; answer i with the numbers of row i.
    """

    rows: Sequence[int]
    answers: Sequence[Sequence[int]]
    sampling: Sampling


def reward_run_lines(session: PolicySession) -> Iterator[CheckLine]:
    """Repeats the alarms of reward runs: what a reward model learnt badly the policy will learn from it."""
    rewards = session.data.rewards
    for source in (*rewards.functions, *([] if rewards.gold is None else [rewards.gold])):
        result = result_of_model(source.folder) if isinstance(source, RewardRun) else None
        for alarm in () if result is None else result.alarms:
            if alarm.name in REWARD_ALARMS:
                figure = f"{source.reference}: {alarm.message}"
                yield CheckLine("reward model", figure, note=figure, remedy=alarm.remedy)


def reward_line(figures: dict[str, float], n: int) -> CheckLine:
    """Describes the rewards of a trial rollout; a note warns of rewards that are all the same."""
    figure = f"mean {number(figures['reward'])}, standard deviation {number(figures['reward_std'])} over {plural(n, 'answer')}"
    constant = figures["reward_std"] == 0.0 and n > 1
    note = f"every answer has the same reward: {figure}" if constant else ""
    return CheckLine(
        "rewards", figure, note=note, remedy="Nothing is learnt from equal rewards: grade them, or sample more prompts."
    )


def ends_line(session: PolicySession, figures: dict[str, float]) -> CheckLine:
    """Describes how many answers ended within ``response_length``."""
    cut = 1.0 - figures["finished"]
    figure = f"{percent(cut)} of the answers are cut after {plural(session.section.answer_length, 'token')}"
    note = figure if cut > MOST_CUT else ""
    return CheckLine(
        "ends of answers", figure, note=note, remedy=f"Raise {session.data.length_key}, unless answers are to be cut there."
    )


def sample_line(session: PolicySession, tried: TriedAnswers) -> CheckLine:
    """Shows the first sampled answer behind its prompt."""
    prompt = session.splits["train"].prompts[tried.rows[0]]
    answer = decoded_answers(session, [prompt], tried.answers[:1])[0]
    text = f"{session.tokenizer.decode(prompt, skip_special_tokens=False)}⟦{answer}⟧".replace("\n", "⏎")
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[: SHOWN_CHARACTERS // 2]} … {text[-SHOWN_CHARACTERS // 2 :]}"
    return CheckLine("sample", text)


def precision_line(session: PolicySession, tried: TriedAnswers) -> CheckLine:
    """Says in which precision answers are sampled and scored, and why; a note warns of bf16 that is slower than fp32 here.

    On a CPU with bf16 instructions both are measured: they make large products faster, and small ones need not gain.
    """
    precision, reason = session.fast_path.precision, session.fast_path.reasons.get("precision", "the plain upstream path")
    figure = f"{precision}: {reason}"
    if precision != "bf16" or session.policy.device.type != "cpu":
        return CheckLine("precision", figure)
    bf16, fp32 = (scoring_seconds(session, tried, name) for name in ("bf16", "fp32"))
    figure += f"; a pass over {plural(len(tried.answers), 'answer')} takes {duration(bf16)}, in fp32 {duration(fp32)}"
    note = f"{figure}: bf16 is slower here" if bf16 > SLOWER * fp32 else ""
    return CheckLine("precision", figure, note=note, remedy="Write train.fast: false, which computes in fp32.")


def scoring_seconds(session: PolicySession, tried: TriedAnswers, precision: str) -> float:
    """Measures the seconds of a pass over the tried answers in one precision: the faster of two after one that is not timed."""
    prompts = [session.splits["train"].prompts[row] for row in tried.rows]
    seconds = []
    with evaluation_mode(session.policy, precision):
        for _ in range(3):
            started = time.perf_counter()
            answer_tokens(session.policy, prompts, tried.answers, session.layout)
            seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def same_reference(divergence: float, n: int, limit: float = KL_LIMIT) -> Certificate:
    """Certifies that the untrained policy is its reference: the exact divergence of its answers is 0."""
    note = f"exact KL of {plural(n, 'answer')} in nats"
    return Certificate("the reference is the untrained policy", abs(divergence) <= limit, abs(divergence), limit, note)


def sampled_as_scored(session: PolicySession, tried: TriedAnswers) -> Certificate:
    """Certifies that the sampled tokens are those that their random numbers select from the scored probabilities.

    A token may differ where a number falls between two tokens and the cached pass is rounded otherwise.
    """
    prompts = [session.splits["train"].prompts[row] for row in tried.rows]
    numbers = tried.sampling.numbers
    drawn = np.concatenate([numbers(row)[: len(answer)] for row, answer in enumerate(tried.answers)])
    with evaluation_mode(session.policy, session.fast_path.precision) as device:
        logits = answer_tokens(session.policy, prompts, tried.answers, session.layout).logits
        picked = pick(logits, torch.from_numpy(drawn)[:, None].to(device), session.section.temperature)[:, 0].tolist()
    tokens = [token for answer in tried.answers for token in answer]
    differing = sum(a != b for a, b in zip(picked, tokens, strict=True)) / len(tokens)
    note = f"share of {plural(len(tokens), 'sampled token')} that scoring would not sample"
    return Certificate("answers are sampled as they are scored", differing <= MOST_DIFFERING, differing, MOST_DIFFERING, note)
