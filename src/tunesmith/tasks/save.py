"""Saves a finished run, for every task: the model with its certificates, predictions.parquet, metrics.jsonl, result.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.arrays import Array
from tunesmith.disk import whole_file, write_lines, write_text
from tunesmith.errors import TrainingFailed
from tunesmith.evaluation.metrics.resample import cluster_numbers
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.models.adapters.quantisation import quantisation_of
from tunesmith.results import Finding, RunResult, unproven
from tunesmith.run_folder import PREDICTIONS, PREDICTIONS_OF_SEEDS, RunFolder, seed_places
from tunesmith.tasks.check_model import batch_invariance
from tunesmith.tasks.task import Evaluation, SavedModel, SeedResult, Session, TaskSteps
from tunesmith.training.checkpoints import MANIFEST, best_weights, kept_evaluations
from tunesmith.training.history import as_events, finite

if TYPE_CHECKING:
    import pyarrow as pa


def save(steps: TaskSteps[Any, Any], evaluation: Evaluation, folder: RunFolder, *, smoke: bool = False) -> SavedModel:
    """Writes the best seed's model, proves that it equals the trained one, and writes predictions and the training log.

    Without a model to keep (``train.save_strategy: none``) nothing is proven of its files.
    ``predictions.parquet`` has those of the best seed; with several seeds, another file has those of all, for ``compare``.
    """
    import pyarrow as pa

    best, session = evaluation.best, evaluation.best.session
    session.model.to("cpu")
    first = batch_invariance(steps, session)
    strategy = session.data.recipe.train.save_strategy
    saved = SavedModel(()) if strategy == "none" else steps.save_model(session, folder.model, evaluation.thresholds)
    if strategy == "all" and not smoke:
        save_evaluations(steps, evaluation, folder)
    if len(evaluation.seeds) > 1:
        events = [{**event, "seed": seed.seed} for seed in evaluation.seeds for event in as_events(seed.fit.history)]
        write_lines(folder.metrics_log, events)
    write_table(predictions_table(steps, evaluation, best), folder.work / PREDICTIONS)
    if len(evaluation.seeds) > 1:
        tables = [predictions_table(steps, evaluation, seed) for seed in evaluation.seeds]
        write_table(pa.concat_tables(tables, promote_options="permissive"), folder.work / PREDICTIONS_OF_SEEDS)
    steps.save_files(evaluation, folder)
    return SavedModel((first, *saved.certificates), saved.notes)


def save_evaluations(steps: TaskSteps[Any, Any], evaluation: Evaluation, folder: RunFolder) -> None:
    """Writes the model and the metrics of each kept evaluation of the best seed, in place of the weights that training kept.

    Raises TrainingFailed if one of the saved models does not equal the trained one.
    """
    from tunesmith.training.weights import FILE, load_trained

    best, n_seeds = evaluation.best, len(evaluation.seeds)
    place, _ = seed_places(folder, best.seed, n_seeds)
    metrics = {event["step"]: event for event in as_events(best.fit.history) if event["event"] == "evaluate"}
    for kept in kept_evaluations(place):
        if (kept.path / FILE).exists():  # else an interrupted save has written its model already
            load_trained(best.session.model, kept.path)
            shutil.rmtree(kept.path / "model", ignore_errors=True)
            saved = steps.save_model(best.session, kept.path / "model", None)
            if broken := [proof.name for proof in saved.certificates if not proof.passed]:
                raise TrainingFailed(f"The model of step {kept.step} cannot be saved: {', '.join(broken)}: no.")
            event = metrics_as_saved(steps, best.session, metrics[kept.step])
            write_text(kept.path / "metrics.json", json.dumps(event, indent=1) + "\n")
    load_trained(best.session.model, best_weights(place, best.fit.best_step))
    for seed in evaluation.seeds:
        for kept in kept_evaluations(seed_places(folder, seed.seed, n_seeds)[0]):
            if seed is not best:
                shutil.rmtree(kept.path)
            for name in (FILE, MANIFEST):
                (kept.path / name).unlink(missing_ok=True)


def metrics_as_saved(steps: TaskSteps[Any, Any], session: Session, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the metrics of an evaluation; computed again if the model, of that step, is not saved as it was trained."""
    saved = steps.as_saved(session)
    if saved is session:
        return event
    values = {name: finite(value) for name, value in steps.evaluate_fn(saved, None)(saved.model).items()}
    return {**event, "loss": values.pop("loss"), "metrics": values}


def write_table(table: pa.Table, path: Path) -> None:
    """Writes a parquet file whole or not at all."""
    import pyarrow.parquet as pq

    with whole_file(path) as part:
        pq.write_table(table, part)


def predictions_table(steps: TaskSteps[Any, Any], evaluation: Evaluation, seed: SeedResult) -> pa.Table:
    """Returns one seed's predictions on every split, with the clusters of dependent rows and, of several seeds, the seed."""
    import pyarrow as pa

    clusters, tables = {split.split: split.clusters for split in evaluation.splits}, []
    for split, outputs in seed.outputs.items():
        columns = with_clusters(steps.prediction_columns(seed.session, split, outputs), clusters.get(split, {}))
        if columns:
            of_seed = {"seed": [seed.seed] * len(columns["row_id"])} if len(evaluation.seeds) > 1 else {}
            tables.append(pa.table({**columns, **of_seed}))
    return pa.concat_tables(tables, promote_options="permissive")


def with_clusters(columns: dict[str, list[Any]], clusters: Mapping[str, Array | None]) -> dict[str, list[Any]]:
    """Adds the column ``cluster`` where rows depend on each other: rows with the same number are one independent unit."""
    n_rows = len(columns.get("row_id", ()))
    of_rows = next(
        (cluster_numbers(of_kind) for of_kind in clusters.values() if of_kind is not None and len(of_kind) == n_rows), None
    )
    return columns if of_rows is None else {**columns, "cluster": of_rows.tolist()}


def training_record(steps: TaskSteps[Any, Any], evaluation: Evaluation, notes: tuple[str, ...]) -> dict[str, Any]:
    """Returns the record of the training for result.json; the best seed's with several seeds."""
    best = evaluation.best
    fit, session, train = best.fit, best.session, best.session.data.recipe.train
    quantisation = quantisation_of(session.data.recipe)
    losses = [entry["loss"] for entry in fit.history if "loss" in entry]
    return {
        "n_parameters": fit.n_parameters,
        "n_trainable_parameters": fit.n_trainable_parameters,
        "new_weights": list(session.new_weights),
        "steps": fit.steps,
        "planned_steps": fit.schedule.total_steps,
        "epochs": fit.history[-1].get("epoch"),
        "best_step": fit.best_step,
        "best_metric": {"name": session.checkpoint_metric, "value": fit.best_value},
        "early_stopping_metric": None if train.early_stopping is None else session.stopping_metric,
        "learning_rate": fit.learning_rate,
        "dropout": train.dropout,
        "quantisation": None if quantisation is None else quantisation.record,
        "measured": best.measured,
        "batch_rows": train.batch_rows,
        "rows_per_second": fit.rows_per_second,
        "train_seconds": fit.train_seconds,
        "kernels": asdict(session.fast_path),
        "seeds": [seed.seed for seed in evaluation.seeds],
        "seed": best.seed,
        "expected_first_loss": session.expected_loss,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        **steps.training_record(evaluation),
        "notes": [*fit.notes, *evaluation.notes, *notes],
    }


def run_result(
    steps: TaskSteps[Any, Any],
    evaluation: Evaluation,
    findings: tuple[Finding, ...],
    saved: SavedModel,
    seconds: Mapping[str, float],
) -> RunResult:
    """Returns the content of result.json."""
    session = evaluation.best.session
    recipe = session.data.recipe
    data = steps.data_record(session) | {"base": str(session.data.base.absolute())}
    for name, lengths in session.lengths.items():
        if name in data["splits"]:
            data["splits"][name] |= lengths.record
    return RunResult(
        task=recipe.task,
        metrics=evaluation.metrics,
        baselines=evaluation.baselines,
        verdicts=evaluation.verdicts,
        findings=findings,
        alarms=(*evaluation.alarms, *unproven(saved.certificates)),
        certificates=saved.certificates,
        timings_seconds=dict(seconds),
        peak_memory_bytes=peak_memory_bytes(),
        environment=environment(),
        data=data,
        training=training_record(steps, evaluation, saved.notes),
        recipe=recipe.model_dump(mode="json"),
    )
