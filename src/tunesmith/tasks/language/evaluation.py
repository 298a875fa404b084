"""Is the language model better, or is it noise: losses, answers, labels and general text, against the base model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.language import token_mean_metrics, token_mean_verdict
from tunesmith.evaluation.metrics.predictions import SINGLE
from tunesmith.evaluation.metrics.row_means import mean_metric, mean_verdict
from tunesmith.evaluation.metrics.verdict import verdict
from tunesmith.progress import Event, Listener
from tunesmith.recipe.language_rules import LABEL_METRICS
from tunesmith.recipe.metric_names import LABEL_METRIC, LOSS_METRICS, baseline_names, higher_is_better
from tunesmith.results import Alarm, Baseline, Metric, Verdict
from tunesmith.tasks.language.context import seen_windows
from tunesmith.tasks.language.data import GENERAL, LanguageInputs
from tunesmith.tasks.language.model import Ready, SeedRun, base_model
from tunesmith.tasks.language.scoring import Hearing, Said, few_shot, hear
from tunesmith.training.alarms import RunFacts, alarms

UNTUNED, FEW_SHOT = "untuned", "few_shot"
FORGOTTEN_NATS = 0.1
"""A loss on general text that rose by so much (its perplexity by a tenth) and not by chance is an alarm."""


@dataclass(frozen=True)
class Rival:
    """A system that the run is compared with: what it says on each split, and how it uses context."""

    name: str
    said: Mapping[str, Said]
    seconds: float
    note: str = ""
    context: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Judged:
    """The evidence of a run.

    Attributes:
        kept: the run whose model is kept: the best on validation.
        before: what the base model said.
        context: how the kept model uses context; see ``context.seen_windows``.
    """

    runs: tuple[SeedRun, ...]
    kept: SeedRun
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...]
    verdicts: tuple[Verdict, ...]
    alarms: tuple[Alarm, ...]
    before: tuple[Rival, ...]
    context: tuple[dict[str, Any], ...] = ()


def before_training(inputs: LanguageInputs, ready: Ready, listener: Listener) -> tuple[Rival, ...]:
    """The base model as it came, and with examples in its prompt."""
    asked, found = baseline_names(inputs.recipe), []
    section = inputs.recipe.evaluate.answers
    with base_model(inputs, ready) as model:
        if UNTUNED in asked:
            started = time.perf_counter()
            said = {name: hear(ready.prepared, model, one, ready.asking) for name, one in ready.hearings.items()}
            context = tuple(seen_windows(inputs, ready, model))
            found.append(Rival(UNTUNED, said, time.perf_counter() - started, "the base model as it came", context))
            listener(Event("step", "baselines", 1, len(asked)))
        answered = {name: one for name, one in ready.hearings.items() if one.prompts}
        if FEW_SHOT in asked and section.shots and answered:
            started = time.perf_counter()
            shown = ready.examples
            heard = {
                name: few_shot(ready.prepared, model, one, ready.asking, ready.template, shown, ready.prompt_limit)
                for name, one in answered.items()
            }
            fewest = min(count for _, count in heard.values())
            note = f"the base model with {len(shown)} examples in its prompt"
            note += f", {fewest} where there was no room for more" if fewest < len(shown) else ""
            found.append(Rival(FEW_SHOT, {name: said for name, (said, _) in heard.items()}, time.perf_counter() - started, note))
            listener(Event("step", "baselines", len(asked), len(asked)))
    return tuple(found)


def judge(inputs: LanguageInputs, ready: Ready, runs: Sequence[SeedRun], before: Sequence[Rival]) -> Judged:
    """Metrics and verdicts of each split, and alarms."""
    higher = higher_is_better(ready.metric)
    kept = max(runs, key=lambda run: worth_of(run, higher))
    settings = (inputs.recipe.evaluate.n_resamples, inputs.recipe.train.seed)
    metrics = [
        metric
        for name, hearing in ready.hearings.items()
        for metric in metrics_of([run.said[name] for run in runs], hearing, *settings)
    ]
    baselines = [
        Baseline(
            rival.name,
            tuple(m for name, said in rival.said.items() for m in metrics_of([said], ready.hearings[name], *settings)),
            round(rival.seconds, 3), rival.note,
        )
        for rival in before
    ]  # fmt: skip
    verdicts = [
        found
        for name in reversed(list(ready.hearings))
        for rival in before
        if name in rival.said
        for found in verdicts_of(inputs, ready.hearings[name], [run.said[name] for run in runs], rival, *settings)
    ]
    return Judged(
        tuple(runs), kept, tuple(metrics), tuple(baselines), tuple(verdicts),
        (*forgetting(verdicts), *alarms(facts(inputs, ready, kept))), tuple(before),
        tuple(seen_windows(inputs, ready, kept.model)),
    )  # fmt: skip


def worth_of(run: SeedRun, higher: bool) -> float:
    """How good a seed's best evaluation was; more is better."""
    value = run.fit.best_value
    return float("-inf") if value is None else value if higher else -value


def metrics_of(said: Sequence[Said], hearing: Hearing, n_resamples: int, seed: int) -> list[Metric]:
    """Every metric of one split, of one system or of its seeds."""
    split, first, found = hearing.split, said[0], []
    if first.losses is not None:
        sums = [(one.losses.sums, one.losses.counts) for one in said if one.losses is not None]
        found += list(token_mean_metrics(sums, hearing.n_bytes, split, n_resamples, seed))
    for name in first.worth:
        found.append(mean_metric(name, split, [one.worth[name] for one in said], n_resamples, seed))
    if first.labels is not None:
        labelled = [one.labels for one in said if one.labels is not None]
        found += metric_intervals(SINGLE, labelled, split, LABEL_METRICS, n_resamples, seed)
    return found


def verdicts_of(
    inputs: LanguageInputs, hearing: Hearing, ours: Sequence[Said], rival: Rival, n_resamples: int, seed: int
) -> list[Verdict]:
    """On the loss where the rival has one, and on what leads among answers or labels."""
    split, n_bytes = hearing.split, hearing.n_bytes
    theirs, found, settings = rival.said[split], [], (n_resamples, seed)
    asked = inputs.recipe.evaluate.metric
    if theirs.losses is not None:
        name = asked if asked in LOSS_METRICS and asked is not None else "loss"
        mine = [(one.losses.sums, one.losses.counts) for one in ours if one.losses is not None]
        other = [(theirs.losses.sums, theirs.losses.counts)]
        found.append(token_mean_verdict(mine, other, rival.name, split, name, n_bytes, *settings))
    if theirs.worth:
        name = asked if asked in theirs.worth and asked is not None else next(iter(theirs.worth))
        found.append(mean_verdict(name, [one.worth[name] for one in ours], [theirs.worth[name]], rival.name, split, *settings))
    if theirs.labels is not None:
        name = asked if asked in LABEL_METRICS and asked is not None else LABEL_METRIC
        labelled = [one.labels for one in ours if one.labels is not None]
        found.append(verdict(name, labelled, [theirs.labels], rival.name, split, *settings))
    return found


def forgetting(verdicts: Sequence[Verdict]) -> list[Alarm]:
    """An alarm where general text became less likely than by chance, and by much."""
    return [
        Alarm(
            "forgets general text",
            f"The loss on general text rose by {one.difference:.3f} nats a token [{one.low:.3f}, {one.high:.3f}]: "
            f"perplexity {np.expm1(one.difference):+.0%}.",
            "Lower train.learning_rate, train for fewer epochs, train an adapter, or mix general rows into the data.",
        )
        for one in verdicts
        if one.split == GENERAL and one.against == UNTUNED and one.metric == "loss" and one.word == "worse"
        and one.difference is not None and one.difference > FORGOTTEN_NATS
    ]  # fmt: skip


def facts(inputs: LanguageInputs, ready: Ready, kept: SeedRun) -> RunFacts:
    """What the alarms look at."""
    splits = {hearing.split: hearing.rows for hearing in ready.hearings.values()}
    return RunFacts(
        metric=ready.metric, higher_is_better=higher_is_better(ready.metric), class_names=tuple(inputs.recipe.sft.labels),
        decisions={name: said.labels.decisions for name, said in kept.said.items() if said.labels is not None},
        history=kept.fit.history, asked_learning_rate=kept.fit.learning_rate, expected_first_loss=ready.prepared.expected_loss,
        truncated_share={name: len(rows.cut) / max(1, len(set(rows.positions))) for name, rows in splits.items()},
        max_length=ready.max_length,
    )  # fmt: skip
