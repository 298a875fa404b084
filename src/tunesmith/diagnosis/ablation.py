"""Ablation of label corrections: trains on the original and the corrected rows, without these rows, and without as many others.

The variants differ only in the training rows: one split of the data, made before, holds the rows that select the checkpoint and
evaluate them all (``docs/decisions/measured-gain-of-corrections.md``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import plural
from tunesmith.data.corrections.apply import (
    CorrectedFile,
    correct_file,
    output_path,
    require_free,
    write_corrected,
)
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.diagnosis.ablation_sets import FileChanges, Variant, count_corrections, make_holdout, make_variants
from tunesmith.diagnosis.ablation_verdicts import (
    AblationPlan,
    AblationResult,
    TrainedVariants,
    VariantPredictions,
    evaluate_variants,
)
from tunesmith.diagnosis.outcome import write_record
from tunesmith.disk import whole_file
from tunesmith.errors import InputError
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.given_labels import labels_of_file
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.report.words import looks_words
from tunesmith.results import TEXT_CHARACTERS
from tunesmith.run_folder import RunFolder, claim, fill, finish
from tunesmith.tasks import steps
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request
from tunesmith.tasks.test_looks import count_look, share_key

if TYPE_CHECKING:
    from tunesmith.tasks.task import SeedResult

ABLATION_FILE, PREDICTIONS = "worth.json", "predictions.parquet"


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
        output, column, allow_many: of the corrected file, see ``apply_corrections``; ``overwrite`` replaces an earlier ablation.

    Returns:
        The verdicts, on the primary metric and on accuracy: with one seed about these models, with several about training again.

    Raises:
        InputError: the variants cannot be trained or evaluated; nothing was written.
        TrainingFailed, Interrupted: a training ended early; the corrected file is whole, the ablation is gone.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    labels, path = labels_of_file(loaded.recipe.data, data), output_path(data, output)
    target = correct_file(corrections, data, path, column, allow_many=allow_many, labels=labels)
    if not target.is_written:
        require_free(target.target)
    folder = claim_folder(loaded, overwrite)
    inputs = steps.read(task_for(loaded.recipe), Request(loaded, clock))
    assert isinstance(inputs, LabelledTaskData)
    plan = make_plan(inputs, corrections, target, labels)
    seconds = check_plan(plan, clock) * len(plan.variants)
    listener(Event("note", f"{plural(len(plan.variants) * len(plan.seeds), 'training')}, together about {round(seconds):,} s"))
    applied = target.applied if target.is_written else write_corrected(target)
    with fill(folder, loaded.text, resolved_yaml(plan.inputs.recipe), resumable=False):
        try:
            trained = train_variants(plan, plan.variants, folder, clock, listener)
            with clock.phase("judging"):
                result = count_looks(evaluate_variants(plan, trained, folder.final, applied, seconds), plan)
            clock.seconds["total"] = round(time.perf_counter() - started, 3)
            save(replace(result, timings_seconds=dict(clock.seconds)), plan, trained.predictions, folder)
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


def make_plan(
    inputs: LabelledTaskData, corrections: Sequence[Correction], target: CorrectedFile, labels: Mapping[str, Any]
) -> AblationPlan:
    """Makes the variants and selects the rows that evaluate them, from one split of the data."""
    splits, sha256 = inputs.splits, target.table.sha256
    file = FileChanges.of(splits, target.table, target.changes, labels)
    variants = make_variants(splits, file, inputs.recipe)
    holdout = make_holdout(splits, corrections, sha256)
    same = replace(splits, validation=holdout.selection, test=holdout.evaluation)
    counts = count_corrections(splits, file)
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
) -> TrainedVariants:
    """Trains every variant with every seed and predicts the evaluation rows; for what it raises see ``training.fit``."""
    from tunesmith.tasks.classification.evaluation import choose_thresholds
    from tunesmith.tasks.evaluate import n_candidates

    predictions, n_selected = {}, 1
    for variant in variants:
        phase = f"training {variant.name.replace('_', ' ')}"

        def rename_phase(event: Event, phase: str = phase) -> None:
            listener(replace(event, text=phase) if event.kind == "phase" else event)

        with clock.phase(phase):
            runs = [train_variant(plan, variant, i, folder, rename_phase) for i in range(len(plan.seeds))]
        n_selected = max(n_selected, n_candidates(plan.holdout.split, runs))
        if plan.holdout.split == "test":
            runs = list(choose_thresholds(runs, ()).seeds)
        predictions[variant.name] = [p for run in runs if (p := run.outputs["test"].predictions) is not None]
    return TrainedVariants(predictions, n_selected)


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


def count_looks(result: AblationResult, plan: AblationPlan) -> AblationResult:
    """Counts every variant as a look at the test rows, and notes how many there were; validation rows are not counted."""
    if plan.holdout.split != "test":
        return result
    rows, given = plan.holdout.evaluation, plan.inputs.recipe.data.file("test")
    shown = zip(rows.row_ids, (text[:TEXT_CHARACTERS] for text in rows.texts), strict=True)
    key = rows.sha256 if given is not None else share_key(rows.sha256, shown)
    values = {variant.name: (variant.metrics_all_rows or variant.metrics)[0] for variant in result.variants}
    counts = [
        count_look(value, key, f"{result.folder.name}/{name}", result.folder.absolute().parent)
        for name, value in values.items() if value.value is not None
    ]  # fmt: skip
    return replace(result, notes=(*result.notes, *(looks_words(counts[-1]) if counts else ())))


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
