"""Computes outputs, metrics, baselines and alarms of language models: losses, answers, labels, general texts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.models.language.perplexity import context_curve
from tunesmith.progress import Event, Listener
from tunesmith.recipe.metric_names import DEFAULT_LABEL_METRIC, LABEL_METRICS
from tunesmith.recipe.tasks import baseline_names
from tunesmith.results import Alarm
from tunesmith.tasks.language.data import GENERAL
from tunesmith.tasks.language.model import LanguageSession, base_model
from tunesmith.tasks.language.scoring import few_shot_outputs, score_split
from tunesmith.tasks.task import Baselines, Evaluation

UNTUNED, FEW_SHOT = "untuned", "few_shot"
FORGOTTEN_NATS = 0.1
"""Rise of the loss on general text, in nats a token, above which an alarm is raised (a tenth of the perplexity)."""


def split_metrics(session: LanguageSession, split: str) -> SplitMetrics:
    """Returns the metrics of one split; verdicts on labels are given on the requested metric or on macro F1."""
    requested = session.data.recipe.evaluate.metric
    leading = requested if requested in LABEL_METRICS and requested is not None else DEFAULT_LABEL_METRIC
    return SplitMetrics(split, LABEL_METRICS, (leading,), requested)


def metrics(session: LanguageSession) -> list[SplitMetrics]:
    """Returns the metrics of the general texts and of the evaluation splits, with the clusters of their rows."""
    return [replace(split_metrics(session, name), clusters=split.clusters()) for name, split in session.splits.items()]


def outputs(session: LanguageSession) -> dict[str, Outputs]:
    """Computes the model's outputs on every split, and its perplexity by context length."""
    return model_outputs(session, session.model)


def model_outputs(session: LanguageSession, model: torch.nn.Module) -> dict[str, Outputs]:
    """Computes a model's outputs on every split; the curve by context length is of the main one."""
    of_splits = {name: score_split(session, model, split, session.generation) for name, split in session.splits.items()}
    last = list(session.data.evaluation_rows)[-1]
    return {**of_splits, last: replace(of_splits[last], context_curve=perplexity_by_context(session, model, last))}


def perplexity_by_context(session: LanguageSession, model: torch.nn.Module, split: str) -> tuple[Mapping[str, Any], ...]:
    """Computes the perplexity with its interval for each of ``evaluate.context_lengths``, as JSON objects."""
    section = session.data.recipe.evaluate
    if not section.context_lengths:
        return ()
    points = context_curve(
        model,
        session.splits[split].documents,
        section.context_lengths,
        section.stride or max(section.context_lengths),
        split,
        session.fast_path.precision,
        n_resamples=section.n_resamples,
        seed=session.data.recipe.train.seed,
    )
    return tuple(
        {
            "window": point.window,
            "stride": point.stride,
            "perplexity": point.perplexity.value,
            "low": point.perplexity.low,
            "high": point.perplexity.high,
        }
        for point in points
    )


def baselines(session: LanguageSession, listener: Listener) -> Baselines:
    """Computes the outputs of the unchanged base model, and with training examples in its prompt."""
    requested, systems, base = baseline_names(session.data.recipe), list[BaselineOutputs](), dict[str, Outputs]()
    with base_model(session) as model:
        if UNTUNED in requested:
            started = time.perf_counter()
            base = model_outputs(session, model)
            systems.append(BaselineOutputs(UNTUNED, base, time.perf_counter() - started, "the base model as published"))
            listener(Event("step", "baselines", 1, len(requested)))
        if FEW_SHOT in requested and session.data.recipe.evaluate.answers.shots:
            systems += few_shot_baseline(session, model)
            listener(Event("step", "baselines", len(requested), len(requested)))
    return Baselines(tuple(systems), base)


def few_shot_baseline(session: LanguageSession, model: torch.nn.Module) -> list[BaselineOutputs]:
    """Computes the base model's answers with training examples in its prompt; none without a split that has answers."""
    started, examples = time.perf_counter(), session.examples
    answered = {
        name: few_shot_outputs(session, model, split, session.generation, examples)
        for name, split in session.splits.items()
        if split.prompts
    }
    if not answered:
        return []
    fewest = min(count for _, count in answered.values())
    note = f"the base model with {len(examples)} examples in its prompt"
    note += f", {fewest} where there was no room for more" if fewest < len(examples) else ""
    of_splits = {name: outputs for name, (outputs, _) in answered.items()}
    return [BaselineOutputs(FEW_SHOT, of_splits, time.perf_counter() - started, note)]


def alarms(_session: LanguageSession, evaluation: Evaluation) -> list[Alarm]:
    """Returns an alarm if the loss on general texts rose considerably and not by chance."""
    return [
        Alarm(
            "forgets general text",
            f"The loss on general text rose by {verdict.difference:.3f} nats a token [{verdict.low:.3f}, {verdict.high:.3f}]: "
            f"perplexity {np.expm1(verdict.difference):+.0%}.",
            "Lower train.learning_rate, train for fewer epochs, train an adapter, or mix general rows into the data.",
        )
        for verdict in evaluation.verdicts
        if (verdict.split, verdict.against, verdict.metric, verdict.word) == (GENERAL, UNTUNED, "loss", "worse")
        and verdict.difference is not None
        and verdict.difference > FORGOTTEN_NATS
    ]
