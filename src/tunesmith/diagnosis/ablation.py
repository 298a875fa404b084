"""What corrections are worth: the same recipe trained on the rows as given, corrected, without them, and without as many others.

The variants differ in nothing but the training rows: one division of the data, made before, holds the rows that steer and
judge them all (``docs/decisions/worth-of-corrections.md``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.corrections.apply import (
    AppliedCorrections,
    CorrectedFile,
    correct_file,
    output_path,
    require_free,
    write_corrected,
)
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.diagnosis.ablation_sets import (
    AS_GIVEN,
    CORRECTED,
    RANDOM_REMOVED,
    REMOVED,
    Held,
    Places,
    Variant,
    held_out,
    places_of,
    variants_of,
)
from tunesmith.errors import InputError, OutputError
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import SINGLE, Predictions
from tunesmith.evaluation.metrics.verdict import verdicts
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.recipe.tasks import primary_metric
from tunesmith.results import SCHEMA, Metric, Verdict, finite
from tunesmith.run_folder import RunFolder, begin, claim, finish, write_record
from tunesmith.tasks import steps
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request

if TYPE_CHECKING:
    from tunesmith.tasks.task import SeedResult

RESULT, PREDICTIONS = "worth.json", "predictions.parquet"
PAIRS = (
    (CORRECTED, AS_GIVEN), (REMOVED, AS_GIVEN), (RANDOM_REMOVED, AS_GIVEN), (CORRECTED, RANDOM_REMOVED), (CORRECTED, REMOVED),
)  # fmt: skip
Rows = Literal["undisputed", "all"]
UNDISPUTED: Rows = "undisputed"
ALL: Rows = "all"
Said = Mapping[str, Sequence[Predictions]]


@dataclass(frozen=True)
class Plan:
    """What is trained and what it is judged by.

    Attributes:
        inputs: of the variant as given; its validation rows steer, its test rows are the judged ones of every variant.
    """

    inputs: LabelledTaskData
    variants: tuple[Variant, ...]
    held: Held
    places: Places

    @property
    def seeds(self) -> range:
        train = self.inputs.recipe.train
        return range(train.seed, train.seed + train.n_seeds)


@dataclass(frozen=True)
class Measured:
    """One variant: its training rows (the first seed's), and its metrics on the judged rows.

    Attributes:
        metrics: the leading one and, for one label a row, accuracy, on the judged rows without corrections.
        metrics_all_rows: the same on all judged rows with the labels given; empty where no judged row has a correction.
    """

    name: str
    n_rows: int
    metrics: tuple[Metric, ...]
    metrics_all_rows: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The verdict of one variant against another (``verdict.against``), on the judged rows of that kind."""

    variant: str
    rows: Rows
    verdict: Verdict


@dataclass(frozen=True)
class Worth:
    """What corrections are worth.

    Attributes:
        folder: holds ``worth.json``, ``predictions.parquet``, the recipe, and the training log of every variant.
        corrected: the corrected file.
        metric: the recipe's leading metric.
        comparisons: first those on judged rows without corrections, the leading metric before accuracy.
        estimate_seconds: of all trainings, from the pre-flight.
    """

    folder: Path
    corrected: AppliedCorrections
    places: Places
    metric: str
    split: str
    n_judged: int
    n_left_out: int
    seeds: tuple[int, ...]
    variants: tuple[Measured, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    estimate_seconds: float
    timings_seconds: dict[str, float]

    def comparison(self, variant: str, against: str, metric: str | None = None, rows: str = UNDISPUTED) -> Comparison | None:
        """The comparison of two variants on the leading metric or another one; None where it was not made."""
        for found in self.comparisons:
            asked = (variant, against, metric or self.metric, rows)
            if (found.variant, found.verdict.against, found.verdict.metric, found.rows) == asked:
                return found
        return None

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = finite(
            {
                "schema": SCHEMA, "folder": str(self.folder), "output": str(self.corrected.path), "metric": self.metric,
                "corrections": asdict(self.places),
                "judged": {"split": self.split, "rows": self.n_judged, "left_out": self.n_left_out},
                "seeds": list(self.seeds), "variants": [asdict(variant) for variant in self.variants],
                "verdicts": [{"variant": c.variant, "rows": c.rows, **asdict(c.verdict)} for c in self.comparisons],
                "notes": list(self.notes), "estimate_seconds": self.estimate_seconds, "timings_seconds": self.timings_seconds,
            }
        )  # fmt: skip
        return plain


def measure(
    loaded: LoadedRecipe, corrections: Sequence[Correction], data: Path, *, output: Path | None = None,
    column: str | None = None, overwrite: bool = False, listener: Listener = silent,
) -> Worth:  # fmt: skip
    """Write the corrected file, train the variants and judge them, into ``OUTPUT-worth`` of the recipe.

    The corrected file is written before the first training and stays whatever happens then; where it is there already, as
    after an interruption, it is left as it is.

    Args:
        loaded: the recipe; its training file has to be ``data``.
        output, column: of the corrected file, see ``apply_corrections``.
        overwrite: replace an earlier measurement.

    Returns:
        The verdicts, on the leading metric and on accuracy, with one seed about these models, with several about training
        again.

    Raises:
        InputError: nothing can be measured; nothing was written.
        TrainingFailed, Interrupted: a training ended early; the corrected file is whole, the measurement is gone.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    new = correct_file(corrections, data, output_path(data, output), column)
    if not new.is_written:
        require_free(new.target)
    folder = claimed(loaded, overwrite)
    inputs = steps.read(task_for(loaded.recipe), Request(loaded, clock))
    assert isinstance(inputs, LabelledTaskData)
    plan = planned(inputs, corrections, new)
    seconds = checked(plan, clock) * len(plan.variants)
    listener(Event("note", f"{len(plan.variants) * len(plan.seeds)} trainings, together about {round(seconds):,} s"))
    applied = new.applied if new.is_written else write_corrected(new)
    begin(folder, loaded.text, resolved_yaml(plan.inputs.recipe))
    try:
        said = trained(plan, plan.variants, folder, clock, listener)
        with clock.phase("judging"):
            worth = judged(plan, said, folder.final, applied, seconds, clock.seconds)
        clock.seconds["total"] = round(time.perf_counter() - started, 3)
        save(replace(worth, timings_seconds=dict(clock.seconds)), plan, said, folder)
    except BaseException:
        shutil.rmtree(folder.work, ignore_errors=True)
        raise
    return replace(worth, folder=finish(folder), timings_seconds=dict(clock.seconds))


def claimed(loaded: LoadedRecipe, overwrite: bool) -> RunFolder:
    """The folder of the measurement. Raises OutputError where something is in the way."""
    if loaded.recipe.parallel.processes > 1:
        message = f"is {loaded.recipe.parallel.processes}; corrections are measured by one process."
        raise InputError.one("parallel.processes", message, "Add parallel.processes=1.")
    folder = claim(f"{loaded.recipe.output}-worth", overwrite=True)
    if not overwrite and folder.final.is_dir() and any(folder.final.iterdir()):
        message = "the folder of the measurement holds an earlier one, or other files."
        raise OutputError.one(str(folder.final), message, "Replace it with --overwrite, or add output=NAME.")
    return folder


def planned(inputs: LabelledTaskData, corrections: Sequence[Correction], new: CorrectedFile) -> Plan:
    """The variants and the rows they are judged on, from one division of the data."""
    splits, sha256 = inputs.splits, new.table.sha256
    variants = variants_of(splits, new.table, new.changes, inputs.recipe)
    held = held_out(splits, corrections, sha256)
    same = replace(splits, validation=held.steering, test=held.judged)
    return Plan(replace(inputs, splits=same), variants, held, places_of(splits, new.changes, sha256))


def checked(plan: Plan, clock: Clock) -> float:
    """The seconds that the trainings of one variant will take, after the pre-flight. Raises InputError with its problems."""
    with clock.phase("libraries"):
        from tunesmith.tasks.classification.steps import STEPS
    with clock.phase("check"):
        report, _ = steps.check(STEPS, steps.load(STEPS, plan.inputs, plan.seeds[0]))
        report.refuse()
    return report.estimate_seconds or 0.0


def trained(
    plan: Plan, variants: Sequence[Variant], folder: RunFolder, clock: Clock, listener: Listener
) -> dict[str, list[Predictions]]:
    """Variant -> what its model of each seed says of the judged rows.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    from tunesmith.tasks.classification.evaluation import choose_thresholds

    said = {}
    for variant in variants:
        phase = f"training {variant.name.replace('_', ' ')}"

        def under_its_name(event: Event, phase: str = phase) -> None:
            listener(replace(event, text=phase) if event.kind == "phase" else event)

        with clock.phase(phase):
            runs = [fitted(plan, variant, i, folder, under_its_name) for i in range(len(plan.seeds))]
        if plan.held.split == "test":
            runs = list(choose_thresholds(runs, ()).seeds)
        said[variant.name] = [predictions for run in runs if (predictions := run.outputs["test"].predictions) is not None]
    return said


def fitted(plan: Plan, variant: Variant, i: int, folder: RunFolder, listener: Listener) -> SeedResult:
    """The result of one variant with its i-th seed; its checkpoints are gone, its log stays."""
    from tunesmith.tasks.classification.steps import STEPS

    recipe, train, seed = plan.inputs.recipe, variant.trains[i], plan.seeds[i]
    once = recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed, "n_seeds": 1})})
    inputs = replace(plan.inputs, recipe=once, splits=replace(plan.inputs.splits, train=train))
    place = RunFolder(folder.final / variant.name / f"seed-{seed}", folder.work / variant.name / f"seed-{seed}")
    session = STEPS.load(inputs, seed, None)
    (run,) = steps.fit_seeds(STEPS, session, place, listener, resume=False, smoke=False)
    shutil.rmtree(place.checkpoints)
    return replace(run, session=replace(session, model=None, loaded=replace(session.loaded, model=None)))


def judged(
    plan: Plan, said: Said, folder: Path, applied: AppliedCorrections, estimate: float, seconds: dict[str, float]
) -> Worth:
    """Metrics and verdicts of the variants."""
    kept = {name: of_rows(systems, ~plan.held.disputed) for name, systems in said.items()}
    disputed = int(plan.held.disputed.sum())
    comparisons = [*compared(plan, kept, UNDISPUTED), *(compared(plan, said, ALL) if disputed else ())]
    measured = tuple(
        Measured(v.name, len(v.trains[0]), metrics_of(plan, kept[v.name]), metrics_of(plan, said[v.name]) if disputed else ())
        for v in plan.variants
    )
    return Worth(
        folder, applied, plan.places, primary_metric(plan.inputs.recipe), plan.held.split, len(plan.held.judged) - disputed,
        disputed, tuple(plan.seeds), measured, tuple(comparisons), notes_of(plan), estimate, seconds,
    )  # fmt: skip


def of_rows(systems: Sequence[Predictions], chosen: np.ndarray) -> list[Predictions]:
    positions = np.flatnonzero(chosen)
    return [system.take(positions) for system in systems]


def names_of(plan: Plan) -> list[str]:
    """The leading metric, and accuracy where it is another one and rows have one label."""
    also = ["accuracy"] if plan.inputs.splits.labels.problem_type == SINGLE else []
    return list(dict.fromkeys([primary_metric(plan.inputs.recipe), *also]))


def metrics_of(plan: Plan, systems: Sequence[Predictions]) -> tuple[Metric, ...]:
    """The metrics of one variant over its seeds, with intervals."""
    recipe = plan.inputs.recipe
    return metric_intervals(
        plan.inputs.splits.labels.problem_type, systems, plan.held.split, names_of(plan), recipe.evaluate.n_resamples,
        recipe.train.seed,
    )  # fmt: skip


def compared(plan: Plan, said: Said, rows: Rows) -> list[Comparison]:
    """Every pair that can be compared, metric by metric."""
    recipe, names, split = plan.inputs.recipe, names_of(plan), plan.held.split
    n_resamples, seed = recipe.evaluate.n_resamples, recipe.train.seed
    found = [
        (one, verdicts(names, said[one], said[other], other, split, n_resamples, seed, paired_seeds=True))
        for one, other in PAIRS
        if one in said and other in said
    ]
    return [Comparison(one, rows, of_metrics[k]) for k in range(len(names)) for one, of_metrics in found]


def notes_of(plan: Plan) -> tuple[str, ...]:
    """What a reader has to know to read the verdicts rightly."""
    places, notes = plan.places, []
    left_out = int(plan.held.disputed.sum())
    if left_out:
        notes.append(
            f"{left_out} rows of {plan.held.split} have corrections; they are left out of the verdict, and stand with the "
            "labels given in a second one on all rows"
        )
    if places.validation and plan.held.split == "test":
        notes.append(f"{places.validation} rows of validation have corrections; they choose no checkpoint in any variant")
    if places.unused:
        notes.append(f"{places.unused} corrections are of rows that the recipe does not use")
    if plan.held.split == "validation":
        notes.append("the judged rows also chose each variant's best checkpoint, so the values flatter all alike; give data.test")
    if len(plan.seeds) == 1:
        notes.append("one seed: the verdicts are about these models; train.n_seeds=3 tells what training again would give")
    if REMOVED not in {variant.name for variant in plan.variants}:
        notes.append("all corrections of training rows remove them, so corrected is removed")
    return tuple(notes)


def save(worth: Worth, plan: Plan, said: Said, folder: RunFolder) -> None:
    """Write the result and the predictions of all variants."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tunesmith.tasks.classification.outputs import label_names as class_names

    rows, labels = plan.held.judged, plan.inputs.splits.labels
    tables = [
        pa.table(
            {"row_id": list(rows.row_ids), "split": [plan.held.split] * len(rows), "variant": [name] * len(rows),
             "seed": [seed] * len(rows), "label": class_names(system.labels, labels),
             "prediction": class_names(system.decisions, labels), "disputed": plan.held.disputed.tolist()}
        )
        for name, systems in said.items() for seed, system in zip(plan.seeds, systems, strict=True)
    ]  # fmt: skip
    pq.write_table(pa.concat_tables(tables), folder.work / PREDICTIONS)
    write_record(folder.work / RESULT, {**worth.to_json(), "recipe": plan.inputs.recipe.model_dump(mode="json")})
