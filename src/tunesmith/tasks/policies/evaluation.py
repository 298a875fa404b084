"""Computes outputs, metrics, baselines and alarms of policies: rewards and divergence of sampled answers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.answers import repetition
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.generation.decode import model_end_ids
from tunesmith.generation.sampling import Sampling, sample_answers
from tunesmith.progress import Event, Listener
from tunesmith.recipe.tasks import baseline_names
from tunesmith.tasks.language.evaluation import UNTUNED
from tunesmith.tasks.policies.best_of_n import best_of_n
from tunesmith.tasks.policies.model import PolicySession, PromptSplit, completions, decoded_answers, reference_model
from tunesmith.tasks.task import Baselines
from tunesmith.training.policies.answers import EVALUATION_NUMBERS, Tokens, answer_divergences, ended

REWARD, GOLD, KL = "reward", "gold_reward", "kl"
MOST_CUT = 0.9
"""Share of answers without an end above which nothing tells finished answers from cut ones."""


def metrics(session: PolicySession) -> list[SplitMetrics]:
    """Returns the metrics of the evaluation splits, with the clusters of their prompts; verdicts on the reward and on gold."""
    requested = session.data.recipe.evaluate.metric or REWARD
    scores = (REWARD, GOLD)
    return [
        SplitMetrics(name, requested=requested, verdict_scores=scores, clusters=split.clusters())
        for name, split in session.evaluation_splits.items()
    ]


def sampled(session: PolicySession, policy: Any, split: PromptSplit, draw: int = 0) -> list[list[int]]:
    """Samples an answer to each prompt; the same random numbers for every policy, others for each ``draw``."""
    section = session.section
    seed = (EVALUATION_NUMBERS, session.data.recipe.train.seed, draw)
    sampling = Sampling(section.answer_length, section.temperature, seed)
    return sample_answers(policy, session.tokenizer, split.prompts, sampling, precision=session.fast_path.precision)


def answer_outputs(session: PolicySession, policy: Any, split: PromptSplit, answers: Tokens, divergences: Array) -> Outputs:
    """Returns the rewards and properties of one answer to each prompt."""
    read = completions(session, split, range(len(split)), answers)
    texts = decoded_answers(session, split.prompts, answers)
    gold = session.data.rewards.gold_scores(read)
    scores = {
        REWARD: session.data.rewards.proxy(read),
        **({} if gold is None else {GOLD: gold}),
        KL: divergences,
        "answer_tokens": np.array([float(len(answer)) for answer in answers]),
        "repetition": np.array([repetition(text) for text in texts]),
        "finished": ended(answers, model_end_ids(policy, session.tokenizer)),
    }
    return Outputs(row_scores=scores, texts=tuple(texts))


def policy_outputs(session: PolicySession, split: PromptSplit) -> Outputs:
    """Computes the outputs of the policy on one split."""
    answers = sampled(session, session.policy, split)
    divergences = answer_divergences(
        session.policy, lambda: reference_model(session), split.prompts, answers, temperature=session.section.temperature,
        batch_rows=session.data.recipe.train.per_device_eval_batch_size, layout=session.layout,
        precision=session.fast_path.precision,
    )  # fmt: skip
    return answer_outputs(session, session.policy, split, answers, divergences)


def outputs(session: PolicySession) -> dict[str, Outputs]:
    """Computes the policy's outputs on every evaluation split."""
    return {name: policy_outputs(session, split) for name, split in session.evaluation_splits.items()}


def baselines(session: PolicySession, listener: Listener) -> Baselines:
    """Computes the outputs of the model that the policy starts from, and the best of several answers of it on the main split."""
    if UNTUNED not in baseline_names(session.data.recipe):
        return Baselines()
    started, found = time.perf_counter(), dict[str, Outputs]()
    last = list(session.evaluation_splits)[-1]
    with reference_model(session) as model:
        for name, split in session.evaluation_splits.items():
            answers = sampled(session, model, split)
            found[name] = answer_outputs(session, model, split, answers, np.zeros(len(split)))
        seconds = time.perf_counter() - started
        found[last] = best_of_n(session, model, session.splits[last], found[last])
    listener(Event("step", "baselines", 1, 1))
    return Baselines((BaselineOutputs(UNTUNED, found, seconds),), found)
