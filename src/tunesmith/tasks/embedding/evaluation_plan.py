"""Evaluates an embedding model, other models and lexical baselines on one test, by a plan."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.evaluation.embedding_tests import EmbeddingTest, clustered_metrics, truncated_outputs
from tunesmith.evaluation.metrics.geometry import Geometry, collapse_alarms
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.evaluation.outputs import (
    BaselineOutputs,
    Outputs,
    SplitMetrics,
    baseline_result,
    metrics_of_outputs,
    verdicts_of_outputs,
)
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.models.source import find_model
from tunesmith.progress import Clock, Event
from tunesmith.recipe.metric_names import at_dimension
from tunesmith.recipe.sections import ModelSection
from tunesmith.results import Alarm, Baseline, Finding, Metric, RunResult, Verdict
from tunesmith.tasks.embedding.own_metrics import OwnMetrics
from tunesmith.training.alarms import ceiling_alarm


@dataclass(frozen=True)
class EvaluatedSystem:
    """The outputs of one system on one test.

    Attributes:
        outputs: those of whole embeddings, and of embeddings truncated to each requested dimension.
        similarity: name of the similarity function; empty without embeddings.
    """

    name: str
    outputs: Outputs
    seconds: float
    dimension: int = 0
    similarity: str = ""
    geometry: Geometry | None = None

    def as_baseline(self, split: str) -> BaselineOutputs:
        """Returns the outputs as those of a baseline."""
        return BaselineOutputs(self.name, {split: self.outputs}, self.seconds)


@dataclass(frozen=True)
class ComparedModels:
    """The models that a model is compared with, and how all of them are measured.

    Attributes:
        against: names of other models.
        dimensions: sizes that the model's embeddings are also truncated to.
        max_length: limit of the tokens of a text; None: each model's own.
        n_resamples, seed: of the intervals.
    """

    against: Sequence[str | Path] = ()
    dimensions: Sequence[int] = ()
    max_length: int | None = None
    n_resamples: int = 10_000
    seed: int = 0

    @property
    def resampling(self) -> Resampling:
        return Resampling(self.n_resamples, self.seed)


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """One evaluation: the model, the other systems, and the test.

    Attributes:
        test: the model's test.
        compared: the other models, and how all are measured.
        plain_test: the test without the model's reranker, for the other systems; None: the same one.
        baselines: names of lexical baselines.
        task: name in the result.
        about: the data record of the result.
        notes: messages for the user.
        own: the evaluators and the function of the run's recipe; None without any.
    """

    target: str
    test: EmbeddingTest
    compared: ComparedModels
    task: str
    about: Mapping[str, Any]
    notes: Sequence[str] = ()
    own: OwnMetrics | None = None
    plain_test: EmbeddingTest | None = None
    baselines: Sequence[str] = ("tfidf",)

    @property
    def test_of_others(self) -> EmbeddingTest:
        return self.test if self.plain_test is None else self.plain_test


def evaluate_plan(plan: EvaluationPlan, clock: Clock, started: float) -> RunResult:
    """Evaluates a model, the others and the lexical baselines on one test; returns the metrics and verdicts as a result."""
    compared, resampling = plan.compared, plan.compared.resampling
    ours = evaluate_model(plan.target, plan.test, compared.dimensions, compared.max_length, clock, plan.own)
    others = [
        evaluate_model(str(other), plan.test_of_others, (), compared.max_length, clock, plan.own) for other in compared.against
    ]
    with clock.phase("baselines"):
        for name in plan.baselines:
            begun, search = time.perf_counter(), plan.test_of_others.lexical_baselines()[name]
            others.append(EvaluatedSystem(name, search(), time.perf_counter() - begun))
    metrics, split = clustered_metrics(plan.test), plan.test.split
    metrics = metrics if plan.own is None else plan.own.added(metrics, plan.test)
    with clock.phase("verdict"):
        values = metrics_of_outputs([ours.outputs], metrics, resampling)
        beside = tuple(baseline_result(other.as_baseline(split), [metrics], resampling) for other in others)
        verdicts = holm(verdicts_for(ours, others, metrics, resampling))
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    geometry = None if ours.geometry is None else asdict(ours.geometry)
    return RunResult(
        task=plan.task,
        metrics=tuple(values),
        baselines=beside,
        verdicts=verdicts,
        findings=tuple(Finding("not_measured", note, flagged=1) for note in plan.notes),
        alarms=(*collapse_alarms(ours.geometry), *solved(metrics, values, beside)),
        timings_seconds=clock.seconds,
        peak_memory_bytes=peak_memory_bytes(),
        environment=environment(),
        data={**plan.about, "dimension": ours.dimension, "similarity": ours.similarity, "geometry": geometry},
    )


def solved(split: SplitMetrics, values: Sequence[Metric], baselines: Sequence[Baseline]) -> list[Alarm]:
    """Returns the alarm about a test that the model and another system both solve, if it is raised."""
    leading = split.requested or split.of_predictions[0]
    ours = next((metric.value for metric in values if metric.name == leading), None)
    of_others = {system.name: metric.value for system in baselines for metric in system.metrics if metric.name == leading}
    known = {name: value for name, value in of_others.items() if value is not None}
    alarm = None if ours is None else ceiling_alarm(leading, split.split, ours, known)
    return [] if alarm is None else [alarm]


def evaluate_model(
    name: str,
    test: EmbeddingTest,
    dimensions: Sequence[int],
    max_length: int | None,
    clock: Clock,
    own: OwnMetrics | None = None,
) -> EvaluatedSystem:
    """Computes the outputs of a model, also with truncated embeddings."""
    from tunesmith.models.embedding.encoder import load_encoder, resolve_dimensions

    started = time.perf_counter()
    with clock.phase("model"):
        encoder = load_encoder(find_model(ModelSection(name=name), Path()), max_length)
        sizes = [size for size in resolve_dimensions(encoder, dimensions) if size != encoder.dimension]
    with clock.phase("embeddings"):
        vectors = test.vectors(encoder, lambda done: clock.listener(Event("step", "embeddings", done, test.n_texts)))
    with clock.phase("answers"):
        outputs = truncated_outputs(test, vectors, sizes, encoder.similarity)
        outputs = outputs if own is None else own.measured(outputs, test, vectors, encoder)
    seconds = time.perf_counter() - started
    return EvaluatedSystem(name, outputs, seconds, encoder.dimension, encoder.similarity, test.geometry(vectors))


def verdicts_for(
    ours: EvaluatedSystem, others: Sequence[EvaluatedSystem], metrics: SplitMetrics, resampling: Resampling
) -> list[Verdict]:
    """Compares whole embeddings with every other system, and truncated ones with the whole."""
    whole = [replace(ours.outputs, truncated={})]
    verdicts = [v for other in others for v in verdicts_of_outputs(whole, other.as_baseline(metrics.split), metrics, resampling)]
    for size, outputs in ours.outputs.truncated.items():
        uncut = BaselineOutputs(f"dim={ours.dimension}", {metrics.split: ours.outputs})
        cut = verdicts_of_outputs([outputs], uncut, metrics, resampling)
        verdicts += [replace(verdict, metric=at_dimension(verdict.metric, size)) for verdict in cut]
    return verdicts
