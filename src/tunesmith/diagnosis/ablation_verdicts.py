"""The verdicts of an ablation of label corrections: metrics of every variant, and comparisons between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.corrections.apply import AppliedCorrections
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.row_clusters import example_clusters
from tunesmith.diagnosis.ablation_sets import (
    AS_GIVEN,
    CORRECTED,
    RANDOM_REMOVED,
    REMOVED,
    CorrectionCounts,
    HoldoutRows,
    Variant,
)
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.own_function import MeasuredRows
from tunesmith.evaluation.metrics.own_metrics import own_metrics, own_verdict
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.metrics.verdict import holm, verdicts
from tunesmith.evaluation.outputs import Outputs
from tunesmith.recipe.metric_roles import comparable_metric
from tunesmith.results import SCHEMA, Metric, Verdict, finite
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.classification.own_metrics import measured_rows

PAIRS = (
    *((variant, AS_GIVEN) for variant in (CORRECTED, REMOVED, RANDOM_REMOVED)),
    *((CORRECTED, against) for against in (RANDOM_REMOVED, REMOVED)),
)
Rows = Literal["undisputed", "all"]
UNDISPUTED: Rows = "undisputed"
ALL: Rows = "all"
VariantPredictions = Mapping[str, Sequence[Predictions]]
"""Variant -> predictions of its model of each seed on the evaluation rows."""


@dataclass(frozen=True)
class TrainedVariants:
    """What the evaluation needs of the trainings.

    Attributes:
        n_candidates: the checkpoints of which the best was selected on the evaluation rows; 1 where other rows select.
    """

    predictions: VariantPredictions
    n_candidates: int = 1


@dataclass(frozen=True)
class AblationPlan:
    """The variants to train and the rows that evaluate them.

    Attributes:
        inputs: of the variant as given; its validation rows select the checkpoint, its test rows evaluate every variant.
    """

    inputs: LabelledTaskData
    variants: tuple[Variant, ...]
    holdout: HoldoutRows
    counts: CorrectionCounts

    @property
    def seeds(self) -> range:
        train = self.inputs.recipe.train
        return range(train.seed, train.seed + train.n_seeds)

    @cached_property
    def clusters(self) -> Array:
        """Returns the cluster of each evaluation row (N): of one group, or near-duplicates."""
        return example_clusters(self.holdout.evaluation)

    def resampling(self, kept: Array, n_candidates: int) -> Resampling:
        """Returns how the evaluation rows at the positions ``kept`` are resampled."""
        recipe = self.inputs.recipe
        clusters = cluster_numbers(self.clusters, kept)
        return Resampling(recipe.evaluate.n_resamples, recipe.train.seed, clusters, n_candidates)


@dataclass(frozen=True)
class VariantMetrics:
    """The number of training rows of one variant (the first seed's), and its metrics on the evaluation rows.

    Attributes:
        metrics: the leading one and, for one label a row, accuracy, on the evaluation rows without corrections.
        metrics_all_rows: the same on all evaluation rows with their given labels; empty if none has a correction.
    """

    name: str
    n_rows: int
    metrics: tuple[Metric, ...]
    metrics_all_rows: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The verdict of one variant against another (``verdict.against``), on the evaluation rows of that kind."""

    variant: str
    rows: Rows
    verdict: Verdict


@dataclass(frozen=True)
class AblationResult:
    """Metrics and verdicts of all variants.

    Attributes:
        folder: holds ``worth.json``, ``predictions.parquet``, the recipe, and the training log of every variant.
        corrected: the corrected file.
        metric: the recipe's primary metric.
        n_rows: evaluation rows without a correction.
        n_disputed: evaluation rows with one.
        comparisons: first those on evaluation rows without corrections, the primary metric before accuracy.
        estimate_seconds: of all trainings, from the pre-flight.
    """

    folder: Path
    corrected: AppliedCorrections
    counts: CorrectionCounts
    metric: str
    split: str
    n_rows: int
    n_disputed: int
    seeds: tuple[int, ...]
    variants: tuple[VariantMetrics, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    estimate_seconds: float
    timings_seconds: dict[str, float]

    def comparison(self, variant: str, against: str, rows: str = UNDISPUTED) -> Comparison | None:
        """Returns the comparison of two variants on the leading metric; None if there is none."""
        requested = (variant, against, self.metric, rows)
        return next((c for c in self.comparisons if (c.variant, c.verdict.against, c.verdict.metric, c.rows) == requested), None)

    def to_json(self) -> dict[str, Any]:
        evaluated_on = {"split": self.split, "rows": self.n_rows, "left_out": self.n_disputed}
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "folder": str(self.folder),
            "output": str(self.corrected.path),
            "metric": self.metric,
            "corrections": asdict(self.counts),
            "evaluated_on": evaluated_on,
            "judged": evaluated_on,  # the earlier name of ``evaluated_on``
            "seeds": list(self.seeds),
            "variants": [asdict(variant) for variant in self.variants],
            "verdicts": [{"variant": item.variant, "rows": item.rows, **asdict(item.verdict)} for item in self.comparisons],
            "notes": list(self.notes),
            "estimate_seconds": self.estimate_seconds,
            "timings_seconds": self.timings_seconds,
        }
        return dict(finite(fields))


def evaluate_variants(
    plan: AblationPlan, trained: TrainedVariants, folder: Path, applied: AppliedCorrections, estimate_seconds: float
) -> AblationResult:
    """Computes metrics and verdicts of the variants; the timings are empty.

    The comparisons on the same rows are one family: their words are corrected for its size (Holm).
    """
    disputed = plan.holdout.disputed
    undisputed = EvaluatedRows(plan, trained, np.flatnonzero(~disputed))
    every = EvaluatedRows(plan, trained, np.arange(len(disputed))) if disputed.any() else None
    measured = tuple(
        VariantMetrics(
            variant.name,
            len(variant.trains[0]),
            undisputed.metrics(variant.name),
            () if every is None else every.metrics(variant.name),
        )
        for variant in plan.variants
    )
    return AblationResult(
        folder=folder,
        corrected=applied,
        counts=plan.counts,
        metric=leading_metric(plan),
        split=plan.holdout.split,
        n_rows=int((~disputed).sum()),
        n_disputed=int(disputed.sum()),
        seeds=tuple(plan.seeds),
        variants=measured,
        comparisons=(*undisputed.comparisons(UNDISPUTED), *(() if every is None else every.comparisons(ALL))),
        notes=reading_notes(plan),
        estimate_seconds=estimate_seconds,
        timings_seconds={},
    )


@dataclass(frozen=True)
class EvaluatedRows:
    """The evaluation rows at the positions ``kept``, with the predictions of every variant."""

    plan: AblationPlan
    trained: TrainedVariants
    kept: Array

    def metrics(self, variant: str) -> tuple[Metric, ...]:
        """Returns the metrics of one variant over its seeds, with intervals."""
        kind, split = self.plan.inputs.splits.labels.problem_type, self.plan.holdout.split
        own = self.own_rows(variant)
        of_function = own_metrics(split, own, self.resampling) if own else []
        leading = [metric for metric in of_function if metric.name == leading_metric(self.plan)]
        return (*leading, *metric_intervals(kind, self.systems(variant), split, metric_names(self.plan), self.resampling))

    def comparisons(self, rows: Rows) -> list[Comparison]:
        """Compares every available pair of variants, metric by metric."""
        known = self.trained.predictions
        pairs = [(first, second) for first, second in PAIRS if first in known and second in known]
        found = [self.verdicts_of(first, second) for first, second in pairs]
        by_metric = [(pairs[i][0], verdict) for of_metric in zip(*found, strict=True) for i, verdict in enumerate(of_metric)]
        adjusted = holm([verdict for _, verdict in by_metric])
        return [Comparison(first, rows, verdict) for (first, _), verdict in zip(by_metric, adjusted, strict=True)]

    def verdicts_of(self, first: str, second: str) -> list[Verdict]:
        """Compares two variants by the leading metric, and by accuracy if that is another one."""
        names, split, resampling = metric_names(self.plan), self.plan.holdout.split, self.resampling
        own, others = self.own_rows(first), self.own_rows(second)
        leading = [own_verdict(leading_metric(self.plan), own, others, second, split, resampling)] if own and others else []
        systems = self.systems(first), self.systems(second)
        return [*leading, *verdicts(names, *systems, second, split, resampling, paired_seeds=True)]

    def own_rows(self, variant: str) -> list[MeasuredRows]:
        """Returns the rows of each seed as the function that leads the recipe reads them; empty without one."""
        inputs, examples = self.plan.inputs, self.plan.holdout.evaluation
        function, labels = inputs.function, inputs.splits.labels
        if function is None or leading_metric(self.plan) not in function.names:
            return []
        rows = examples.take(self.kept.tolist(), examples.split)
        outputs = [Outputs(labels.problem_type, system) for system in self.systems(variant)]
        return [read for seed in outputs if (read := measured_rows(function, rows, labels, seed)) is not None]

    def systems(self, variant: str) -> list[Predictions]:
        positive = self.plan.inputs.positive
        return [replace(system.take(self.kept), positive=positive) for system in self.trained.predictions[variant]]

    @cached_property
    def resampling(self) -> Resampling:
        return self.plan.resampling(self.kept, self.trained.n_candidates)


def leading_metric(plan: AblationPlan) -> str:
    """Returns the recipe's primary metric, also that of a function; the task's default in place of one that it does not have."""
    named, function = plan.inputs.recipe.evaluate.metric, plan.inputs.function
    return named if function is not None and named in function.names and named else comparable_metric(plan.inputs.recipe)


def metric_names(plan: AblationPlan) -> list[str]:
    """Returns the metrics of predictions: the primary one if it is none of a function, and accuracy if rows have one label."""
    accuracy = ["accuracy"] if plan.inputs.splits.labels.problem_type == SINGLE else []
    leading, default = leading_metric(plan), comparable_metric(plan.inputs.recipe)
    return list(dict.fromkeys([default if leading == default or not accuracy else accuracy[0], *accuracy]))


def reading_notes(plan: AblationPlan) -> tuple[str, ...]:
    """Notes a reader needs to interpret the verdicts."""
    counts, split, notes = plan.counts, plan.holdout.split, []
    n_disputed = int(plan.holdout.disputed.sum())
    if n_disputed:
        notes.append(
            f"{plural(n_disputed, 'row')} of {split} with corrections: left out of the verdict, and evaluated with the "
            "labels given in a second one on all rows"
        )
    if counts.validation and split == "test":
        notes.append(
            f"{plural(counts.validation, 'row')} of validation with corrections: not used to select a checkpoint in any variant"
        )
    if counts.unused:
        notes.append(f"{plural(counts.unused, 'correction', 'is', 'are')} of rows that the recipe does not use")
    if split == "validation":
        selected = "the evaluation rows also selected each variant's best checkpoint"
        notes.append(f"{selected}, so all values are optimistic; give data.test")
    if len(plan.seeds) == 1:
        notes.append("one seed: the verdicts are about these models; train.n_seeds=3 covers training again with other seeds")
    if REMOVED not in {variant.name for variant in plan.variants}:
        notes.append("all corrections of training rows remove them, so corrected is removed")
    return tuple(notes)
