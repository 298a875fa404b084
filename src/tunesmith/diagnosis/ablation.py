"""Ablation of label corrections: trains on the original and the corrected rows, without these rows, and without as many others.

The variants differ only in the training rows: one split of the data, made before, holds the rows that select the checkpoint and
evaluate them all (``docs/decisions/measured-gain-of-corrections.md``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.corrections.apply import (
    AppliedCorrections,
    CorrectedFile,
    correct_file,
    output_path,
    require_free,
    write_corrected,
)
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.diagnosis.ablation_sets import (
    AS_GIVEN,
    CORRECTED,
    RANDOM_REMOVED,
    REMOVED,
    CorrectionCounts,
    HoldoutRows,
    Variant,
    count_corrections,
    make_holdout,
    make_variants,
)
from tunesmith.disk import whole_file
from tunesmith.errors import InputError
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import verdicts
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.recipe.tasks import primary_metric
from tunesmith.results import SCHEMA, Metric, Verdict, finite
from tunesmith.run_folder import RunFolder, claim, fill, finish, write_record
from tunesmith.tasks import steps
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request

if TYPE_CHECKING:
    from tunesmith.tasks.task import SeedResult

ABLATION_FILE, PREDICTIONS = "worth.json", "predictions.parquet"
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


def run_ablation(
    loaded: LoadedRecipe,
    corrections: Sequence[Correction],
    data: Path,
    *,
    output: Path | None = None,
    column: str | None = None,
    allow_many: bool = False,
    overwrite: bool = False,
    listener: Listener = silent,
) -> AblationResult:
    """Writes the corrected file, trains and evaluates the variants, into ``OUTPUT-worth`` of the recipe.

    The corrected file is written before the first training and is kept if a training fails; if it exists already, as after an
    interruption, it is left as it is.

    Args:
        loaded: the recipe; its training file has to be ``data``.
        output, column, allow_many: of the corrected file, see ``apply_corrections``.
        overwrite: replace an earlier ablation.

    Returns:
        The verdicts, on the primary metric and on accuracy: with one seed about these models, with several about training again.

    Raises:
        InputError: the variants cannot be trained or evaluated; nothing was written.
        TrainingFailed, Interrupted: a training ended early; the corrected file is whole, the ablation is gone.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    target = correct_file(corrections, data, output_path(data, output), column, allow_many=allow_many)
    if not target.is_written:
        require_free(target.target)
    folder = claim_folder(loaded, overwrite)
    inputs = steps.read(task_for(loaded.recipe), Request(loaded, clock))
    assert isinstance(inputs, LabelledTaskData)
    plan = make_plan(inputs, corrections, target)
    seconds = check_plan(plan, clock) * len(plan.variants)
    listener(Event("note", f"{plural(len(plan.variants) * len(plan.seeds), 'training')}, together about {round(seconds):,} s"))
    applied = target.applied if target.is_written else write_corrected(target)
    with fill(folder, loaded.text, resolved_yaml(plan.inputs.recipe), resumable=False):
        try:
            predictions = train_variants(plan, plan.variants, folder, clock, listener)
            with clock.phase("judging"):
                result = evaluate_variants(plan, predictions, folder.final, applied, seconds)
            clock.seconds["total"] = round(time.perf_counter() - started, 3)
            save(replace(result, timings_seconds=dict(clock.seconds)), plan, predictions, folder)
        except BaseException:
            shutil.rmtree(folder.work, ignore_errors=True)
            raise
        return replace(result, folder=finish(folder), timings_seconds=dict(clock.seconds))


def claim_folder(loaded: LoadedRecipe, overwrite: bool) -> RunFolder:
    """Claims the folder of the ablation. Raises OutputError if it holds files."""
    if loaded.recipe.parallel.processes > 1:
        message = f"is {loaded.recipe.parallel.processes}; corrections are measured by one process."
        raise InputError.one("parallel.processes", message, "Add parallel.processes=1.")
    return claim(f"{loaded.recipe.output}-worth", overwrite=overwrite, resumable=False)


def make_plan(inputs: LabelledTaskData, corrections: Sequence[Correction], target: CorrectedFile) -> AblationPlan:
    """Makes the variants and selects the rows that evaluate them, from one split of the data."""
    splits, sha256 = inputs.splits, target.table.sha256
    variants = make_variants(splits, target.table, target.changes, inputs.recipe)
    holdout = make_holdout(splits, corrections, sha256)
    same = replace(splits, validation=holdout.selection, test=holdout.evaluation)
    counts = count_corrections(splits, target.changes, sha256)
    return AblationPlan(replace(inputs, splits=same), variants, holdout, counts)


def check_plan(plan: AblationPlan, clock: Clock) -> float:
    """Runs the pre-flight and returns the seconds that the trainings of one variant take. Raises InputError with its problems."""
    with clock.phase("libraries"):
        from tunesmith.tasks.classification.steps import STEPS
    with clock.phase("check"):
        report, _ = steps.check(STEPS, steps.load(STEPS, plan.inputs, plan.seeds[0]))
        report.raise_if_failed()
    return report.estimate_seconds or 0.0


def train_variants(
    plan: AblationPlan, variants: Sequence[Variant], folder: RunFolder, clock: Clock, listener: Listener
) -> dict[str, list[Predictions]]:
    """Trains every variant with every seed and predicts the evaluation rows; for what it raises see ``training.fit``."""
    from tunesmith.tasks.classification.evaluation import choose_thresholds

    predictions = {}
    for variant in variants:
        phase = f"training {variant.name.replace('_', ' ')}"

        def rename_phase(event: Event, phase: str = phase) -> None:
            listener(replace(event, text=phase) if event.kind == "phase" else event)

        with clock.phase(phase):
            runs = [train_variant(plan, variant, i, folder, rename_phase) for i in range(len(plan.seeds))]
        if plan.holdout.split == "test":
            runs = list(choose_thresholds(runs, ()).seeds)
        predictions[variant.name] = [p for run in runs if (p := run.outputs["test"].predictions) is not None]
    return predictions


def train_variant(plan: AblationPlan, variant: Variant, i: int, folder: RunFolder, listener: Listener) -> SeedResult:
    """Trains one variant with its i-th seed; keeps the log, and neither the model nor the checkpoints."""
    from tunesmith.tasks.classification.steps import STEPS

    recipe, train, seed = plan.inputs.recipe, variant.trains[i], plan.seeds[i]
    one_seed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed, "n_seeds": 1})})
    inputs = replace(plan.inputs, recipe=one_seed, splits=replace(plan.inputs.splits, train=train))
    place = RunFolder(folder.final / variant.name / f"seed-{seed}", folder.work / variant.name / f"seed-{seed}")
    session = STEPS.load(inputs, seed, None)
    (run,) = steps.fit_seeds(STEPS, session, place, listener, resume=False, smoke=False)
    shutil.rmtree(place.checkpoints)
    return replace(run, session=replace(session, model=None, loaded=replace(session.loaded, model=None)))


def evaluate_variants(
    plan: AblationPlan, predictions: VariantPredictions, folder: Path, applied: AppliedCorrections, estimate_seconds: float
) -> AblationResult:
    """Computes metrics and verdicts of the variants; the timings are empty."""
    disputed = plan.holdout.disputed
    kept = np.flatnonzero(~disputed)
    undisputed = {name: [system.take(kept) for system in systems] for name, systems in predictions.items()}
    comparisons = compare_variants(plan, undisputed, UNDISPUTED)
    if disputed.any():
        comparisons += compare_variants(plan, predictions, ALL)
    measured = tuple(
        VariantMetrics(
            variant.name,
            len(variant.trains[0]),
            compute_metrics(plan, undisputed[variant.name]),
            compute_metrics(plan, predictions[variant.name]) if disputed.any() else (),
        )
        for variant in plan.variants
    )
    return AblationResult(
        folder=folder,
        corrected=applied,
        counts=plan.counts,
        metric=primary_metric(plan.inputs.recipe),
        split=plan.holdout.split,
        n_rows=int((~disputed).sum()),
        n_disputed=int(disputed.sum()),
        seeds=tuple(plan.seeds),
        variants=measured,
        comparisons=tuple(comparisons),
        notes=reading_notes(plan),
        estimate_seconds=estimate_seconds,
        timings_seconds={},
    )


def metric_names(plan: AblationPlan) -> list[str]:
    """Returns the primary metric, and accuracy if it is another one and rows have one label."""
    accuracy = ["accuracy"] if plan.inputs.splits.labels.problem_type == SINGLE else []
    return list(dict.fromkeys([primary_metric(plan.inputs.recipe), *accuracy]))


def compute_metrics(plan: AblationPlan, systems: Sequence[Predictions]) -> tuple[Metric, ...]:
    """Returns the metrics of one variant over its seeds, with intervals."""
    recipe, kind = plan.inputs.recipe, plan.inputs.splits.labels.problem_type
    resampling = Resampling(recipe.evaluate.n_resamples, recipe.train.seed)
    return metric_intervals(kind, systems, plan.holdout.split, metric_names(plan), resampling)


def compare_variants(plan: AblationPlan, predictions: VariantPredictions, rows: Rows) -> list[Comparison]:
    """Compares every available pair of variants, metric by metric."""
    recipe, names, split = plan.inputs.recipe, metric_names(plan), plan.holdout.split
    resampling = Resampling(recipe.evaluate.n_resamples, recipe.train.seed)

    def compare(first: str, second: str) -> tuple[Verdict, ...]:
        ours, other = predictions[first], predictions[second]
        return verdicts(names, ours, other, second, split, resampling, paired_seeds=True)

    pairs = [(first, compare(first, second)) for first, second in PAIRS if first in predictions and second in predictions]
    return [Comparison(first, rows, by_metric[k]) for k in range(len(names)) for first, by_metric in pairs]


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


def save(result: AblationResult, plan: AblationPlan, predictions: VariantPredictions, folder: RunFolder) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tunesmith.tasks.classification.outputs import label_names as class_names

    rows, labels = plan.holdout.evaluation, plan.inputs.splits.labels
    tables = [
        pa.table(
            {
                "row_id": list(rows.row_ids),
                "split": [plan.holdout.split] * len(rows),
                "variant": [name] * len(rows),
                "seed": [seed] * len(rows),
                "label": class_names(system.labels, labels),
                "prediction": class_names(system.decisions, labels),
                "disputed": plan.holdout.disputed.tolist(),
            }
        )
        for name, systems in predictions.items()
        for seed, system in zip(plan.seeds, systems, strict=True)
    ]
    with whole_file(folder.work / PREDICTIONS) as part:
        pq.write_table(pa.concat_tables(tables), part)
    write_record(folder.work / ABLATION_FILE, {**result.to_json(), "recipe": plan.inputs.recipe.model_dump(mode="json")})
