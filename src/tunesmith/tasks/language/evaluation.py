"""Computes outputs, metrics, baselines and alarms of language models: losses, answers, labels, general texts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.baselines.chance import expectation
from tunesmith.evaluation.metrics.answers import is_looping
from tunesmith.evaluation.metrics.chance import CHANCE
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.models.adapters.quantisation import published
from tunesmith.models.adapters.unquantised import saved_quantisation
from tunesmith.models.language.perplexity import context_curve
from tunesmith.progress import Event, Listener
from tunesmith.recipe.metric_names import DEFAULT_LABEL_METRIC, LABEL_METRICS
from tunesmith.recipe.tasks import baseline_names
from tunesmith.recipe.tree import shorten
from tunesmith.results import Alarm
from tunesmith.tasks.language.data import GENERAL
from tunesmith.tasks.language.model import LanguageSession, base_model
from tunesmith.tasks.language.scoring import few_shot_outputs, score_split
from tunesmith.tasks.task import Baselines, Evaluation

UNTUNED, FEW_SHOT = "untuned", "few_shot"
FEWEST_ANSWERS, DEGENERATE_SHARE = 5, 0.2
"""An alarm is raised for this share of degenerate answers more than of references, among so many answers or more."""
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
    rows = session.splits[split]
    clusters = cluster_numbers(rows.conversation_clusters)
    points = context_curve(
        model,
        rows.documents,
        section.context_lengths,
        section.stride or max(section.context_lengths),
        split,
        session.fast_path.precision,
        resampling=Resampling(section.n_resamples, session.data.recipe.train.seed, clusters=clusters),
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
    """Computes the outputs of the unchanged base model, with training examples in its prompt, and of random labels."""
    requested, systems, base = baseline_names(session.data.recipe), list[BaselineOutputs](), dict[str, Outputs]()
    with base_model(session) as model:
        if UNTUNED in requested:
            started = time.perf_counter()
            base = model_outputs(session, model)
            systems.append(
                BaselineOutputs(UNTUNED, base, time.perf_counter() - started, published(saved_quantisation(session.model)))
            )
            listener(Event("step", "baselines", 1, len(requested)))
        if FEW_SHOT in requested and session.data.recipe.evaluate.answers.shots:
            systems += few_shot_baseline(session, model)
            listener(Event("step", "baselines", len(requested), len(requested)))
    if CHANCE in requested:
        systems.append(chance_baseline(session))
    return Baselines(tuple(systems), base)


def chance_baseline(session: LanguageSession) -> BaselineOutputs:
    """Computes the expected metrics of random labels, by their shares among the answers of train."""
    names = session.data.recipe.sft.labels
    answers = Counter(turns[-1].content.strip() for turns in session.data.rows.train.turns)
    counts = np.array([answers[name] for name in names], dtype=np.float64)
    truth = {name: split.truth for name, split in session.splits.items() if split.truth is not None and len(split.truth)}
    return expectation(SINGLE, counts / counts.sum(), truth)


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
    counts, seconds = [count for _, of_split in answered.values() for count in of_split], time.perf_counter() - started
    if not any(counts):
        return [BaselineOutputs(FEW_SHOT, {}, seconds, "no prompt has room for an example beside its answer")]
    note = f"the base model with {plural(len(examples), 'example')} in its prompt"
    note += f", {min(counts)} where there was no room for more" if min(counts) < len(examples) else ""
    note += f"; {n_without:,} of {plural(len(counts), 'prompt')} have none" if (n_without := counts.count(0)) else ""
    of_splits = {name: outputs for name, (outputs, _) in answered.items()}
    return [BaselineOutputs(FEW_SHOT, of_splits, seconds, note)]


def alarms(session: LanguageSession, evaluation: Evaluation) -> list[Alarm]:
    """Returns the alarms of forgotten general text, and of answers that are empty or loop."""
    split = list(session.data.evaluation_rows)[-1]
    answers, references = evaluation.best.outputs[split].texts, session.splits[split].references
    return [*forgotten(evaluation), *degenerate_answers(answers, references, split)]


def forgotten(evaluation: Evaluation) -> list[Alarm]:
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


def degenerate_answers(answers: Sequence[str], references: Sequence[str], split: str) -> list[Alarm]:
    """Returns the alarms of many answers that are empty, or that repeat the same words to the end."""
    found, n = [], len(answers)
    empty, loops = (exceeding(answers, references, is_so) for is_so in (is_empty, is_looping))
    if empty:
        message = f"{len(empty):,} of {plural(n, 'generated answer')} on {split} are empty."
        found.append(
            Alarm("empty answers", message, "Train longer, or look at where the answers of the rows end (tunesmith check).")
        )
    if loops:
        shown = shorten(" ".join(loops[0].split()))
        message = (
            f"{len(loops):,} of {plural(n, 'generated answer')} on {split} repeat the same words to the end, such as {shown!r}."
        )
        remedy = "Train longer or on more rows; a larger base model repeats itself less. The loss does not show this."
        found.append(Alarm("repetitive answers", message, remedy))
    return found


def exceeding(answers: Sequence[str], references: Sequence[str], is_so: Callable[[str], bool]) -> list[str]:
    """Lists the answers of a kind if they are a considerable share more than of the references; else none."""
    chosen = [text for text in answers if is_so(text)]
    excess = len(chosen) - sum(map(is_so, references))
    return chosen if len(answers) >= FEWEST_ANSWERS and excess >= DEGENERATE_SHARE * len(answers) else []


def is_empty(text: str) -> bool:
    return not text.strip()
