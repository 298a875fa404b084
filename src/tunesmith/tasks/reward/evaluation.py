"""Computes the rewards of answers, the metrics of pairs, the baselines and the alarms of a reward model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.preferences.load import prompt_clusters
from tunesmith.errors import NonFinite
from tunesmith.evaluation.baselines.preferences import BAG_OF_WORDS, LENGTH, baselines_of_pairs
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.evaluation.preferences import METRICS_OF_PROBABILITIES, pair_outputs
from tunesmith.models.encode import Encoded
from tunesmith.models.inference import logits
from tunesmith.models.reward.reading import EncodedPairs
from tunesmith.progress import Event, Listener
from tunesmith.recipe.metric_roles import is_higher_better
from tunesmith.recipe.tasks import baseline_names
from tunesmith.results import Alarm, Verdict
from tunesmith.tasks.evaluate import best_seed
from tunesmith.tasks.reward.judged import answer_metrics, answer_outputs, decided, tuned_threshold, with_answer_baselines
from tunesmith.tasks.reward.model import RewardSession
from tunesmith.tasks.task import Baselines, Decisions, Evaluation, SeedResult

UNTUNED = "untuned"
NOT_BETTER = (
    "Do not train an answering model on it: its rewards would favour that. More or clearer pairs, or a larger base model."
)
MANY_SAME = 0.05
"""Share of the training pairs, in which nothing can be learned, from which on an alarm is raised."""


def rewards(model: torch.nn.Module, pairs: EncodedPairs, session: RewardSession) -> tuple[Array, Array]:
    """Computes the rewards of the chosen and of the rejected answers (N), float64. Raises NonFinite."""
    chosen, rejected = (reward_of(model, side, session) for side in (pairs.chosen, pairs.rejected))
    bad = np.flatnonzero(~(np.isfinite(chosen) & np.isfinite(rejected)))
    if len(bad):
        rows = ", ".join(str(pairs.chosen.row_ids[i]) for i in bad[:10].tolist())
        raise NonFinite(
            f"The model gives rewards that are not finite for {plural(len(bad), 'pair')} of {pairs.split} (row_id {rows}). "
            "Lower train.learning_rate."
        )
    return chosen, rejected


def reward_of(model: Any, rows: Encoded, session: RewardSession) -> Array:
    """Computes the reward of each answer (N), float64."""
    return np.asarray(logits(model, rows, session.pad_id, session.fast_path)[:, 0], dtype=np.float64)


def measured(pairs: EncodedPairs, chosen: Array, rejected: Array) -> Outputs:
    """Returns the outputs of a system that gives these rewards."""
    return pair_outputs(chosen - rejected, pairs.margins, pairs.chosen.row_ids)


def split_metrics(session: RewardSession, split: str) -> SplitMetrics:
    """Returns the metrics of one split: verdicts on the accuracy, and on the log loss of the probabilities."""
    return SplitMetrics(split, METRICS_OF_PROBABILITIES, ("log_loss",), session.metric)


def metrics(session: RewardSession) -> list[SplitMetrics]:
    """Returns the metrics of the evaluation splits, with the clusters of their pairs. Verdicts are given on the last one."""
    rows = session.data.evaluation_rows
    pairs = [
        replace(
            split_metrics(session, name),
            has_verdicts=name == list(rows)[-1],
            clusters=dict.fromkeys(("predictions", "row_scores"), prompt_clusters(rows[name])),
        )
        for name in rows
    ]
    return [*answer_metrics(session.data.judged), *pairs]


def outputs(session: RewardSession) -> dict[str, Outputs]:
    """Computes the model's outputs on the evaluation splits."""
    return model_outputs(session, session.model)


def model_outputs(session: RewardSession, model: torch.nn.Module) -> dict[str, Outputs]:
    """Computes a model's outputs on the evaluation splits."""
    judged = {name: reward_of(model, rows, session) for name, rows in session.answers.items()}
    pairs = {name: measured(rows, *rewards(model, rows, session)) for name, rows in session.pairs.items() if name != "train"}
    return {**answer_outputs(judged, session.data.judged), **pairs}


def baselines(session: RewardSession, listener: Listener) -> Baselines:
    """Computes the outputs of every baseline that the recipe names."""
    requested = baseline_names(session.data.recipe)
    data = session.data
    simple = baselines_of_pairs(requested, data.pairs.train, list(data.evaluation_rows.values()))
    simple = with_answer_baselines(simple, data.pairs.judged.get("train"), data.judged)
    systems = [simple[name] if name in simple else untuned_baseline(session) for name in requested]
    listener(Event("step", "baselines", len(requested), len(requested)))
    return Baselines(tuple(systems))


def choose_thresholds(seeds: Sequence[SeedResult], systems: Sequence[BaselineOutputs]) -> Decisions:
    """Tunes the threshold of single answers on those of validation, where rows are judged answers; each baseline gets its own.

    With several seeds the threshold of the best one is used, whose model is saved.
    """
    recipe, usual = seeds[0].session.data.recipe, Decisions(tuple(seeds), tuple(systems))
    best = best_seed(seeds, higher_is_better=is_higher_better(recipe, seeds[0].session.checkpoint_metric))
    chosen = tuned_threshold(best.outputs, recipe.train.seed)
    if chosen is None:
        return usual
    own = {system.name: tuned_threshold(system.outputs, recipe.train.seed) for system in systems}
    return Decisions(
        tuple(replace(seed, outputs=decided(seed.outputs, chosen.value)) for seed in seeds),
        tuple(
            system if (tuned := own[system.name]) is None else replace(system, outputs=decided(system.outputs, tuned.value))
            for system in systems
        ),
        [chosen.value],
        (chosen.note,),
    )


def untuned_baseline(session: RewardSession) -> BaselineOutputs:
    """Evaluates the unchanged base model, if it is a reward model already."""
    if session.new_weights:
        return BaselineOutputs(UNTUNED, {}, 0.0, "the base model gives no rewards: its head is new")
    started = time.perf_counter()
    return BaselineOutputs(UNTUNED, model_outputs(session, session.loaded.model), time.perf_counter() - started)


def alarms(session: RewardSession, evaluation: Evaluation) -> list[Alarm]:
    """Returns the alarms of a model no better than the length or the words of the answers, and of pairs cut to equals."""
    split = list(session.data.evaluation_rows)[-1]
    given = {v.against: v for v in evaluation.verdicts if (v.metric, v.split) == ("accuracy", split) and v.word != "better"}
    found = []
    if LENGTH in given:
        message = f"The model orders the pairs of {split} no better than the length of the answers alone{figures(given[LENGTH])}."
        found.append(Alarm("not above length", message, NOT_BETTER))
    if BAG_OF_WORDS in given:
        message = f"The model orders the pairs of {split} no better than their words alone{figures(given[BAG_OF_WORDS])}."
        found.append(Alarm("not above words", message, NOT_BETTER))
    return [*found, *equal_pairs(session)]


def figures(verdict: Verdict) -> str:
    """Returns the difference of accuracies with its interval, in brackets; empty without one."""
    if verdict.low is None or verdict.high is None or verdict.difference is None:
        return ""
    return f" (accuracy {verdict.difference:+.3f} [{verdict.low:+.3f}, {verdict.high:+.3f}])"


def equal_pairs(session: RewardSession) -> list[Alarm]:
    """Returns the alarm of training pairs that are the same after they were cut."""
    pairs = session.pairs["train"]
    share = float(pairs.same.mean())
    if share < MANY_SAME:
        return []
    message = (
        f"{int(pairs.same.sum()):,} of {plural(len(pairs), 'training pair')} have twice the same tokens after they were cut."
    )
    return [Alarm("pairs equal after cut", message, "Raise data.max_length, or write reward.truncation_side: left.")]
