"""What a run leaves on disk: the model, proven equal to the trained one; the predictions; the result."""

from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.labelled.load import data_record
from tunesmith.data.table import Labels
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.models.adapters.attach import can_merge, is_adapter, save_head_description, save_model_files
from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.encode import length_record
from tunesmith.models.equivalence import batch_invariance, reload_equality
from tunesmith.models.load import reload_classifier
from tunesmith.models.source import ModelSource
from tunesmith.recipe.metric_names import higher_is_better, metric_of
from tunesmith.results import TEXT_CHARACTERS, Certificate, Finding, RunResult, merge_findings, unproven
from tunesmith.run_folder import RunFolder, write_lines
from tunesmith.tasks.classification.data import Inputs
from tunesmith.tasks.classification.evaluation import Judged
from tunesmith.tasks.classification.model import Ready, SeedRun, chosen
from tunesmith.tasks.finished import UseRecord
from tunesmith.training.epoch_logits import save_epoch_logits
from tunesmith.training.history import as_events


def save_model(inputs: Inputs, ready: Ready, judged: Judged, folder: Path) -> tuple[Certificate, ...]:
    """Save the chosen seed's model and prove that what lies on disk is what was trained.

    An adapter that can be merged is saved both ways: merged in ``model/``, by itself in ``adapter/``.
    """
    run = chosen(judged.runs, higher_is_better(metric_of(inputs.recipe)))
    model, sample, pad_id = run.model, ready.prepared.encoded["train"], ready.prepared.pad_id
    model.to("cpu")
    proofs = [batch_invariance(model, sample, pad_id)]
    if inputs.recipe.adapter is not None:
        model, merged = merged_adapter(model, folder.parent / "adapter", inputs.source, sample, pad_id)
        proofs += merged
    save_model_files(model, folder)
    if is_adapter(folder):
        save_head_description(folder, model.config)
        AdapterBase.of(inputs.source).save(folder)
    ready.loaded.tokenizer.save_pretrained(folder)
    columns = inputs.splits.columns
    UseRecord(
        ready.prepared.labels, ready.prepared.max_length, judged.thresholds, {"text": columns.text, "pair": columns.pair}
    ).save(folder)
    proofs.append(reload_equality(model, reload_classifier(folder), sample, pad_id, "the saved model equals the trained one"))
    return tuple(proofs)


def merged_adapter(
    model: Any, folder: Path, source: ModelSource, sample: Any, pad_id: int
) -> tuple[Any, list[Certificate]]:  # fmt: skip
    """The model with its adapter merged into the base, and the proof; the model as it is where the method cannot merge."""
    save_model_files(model, folder)
    save_head_description(folder, model.config)
    AdapterBase.of(source).save(folder)
    if not can_merge(model):
        return model, []
    merged = copy.deepcopy(model).merge_and_unload()
    return merged, [reload_equality(model, merged, sample, pad_id, "the merged model equals the adapter")]


def join_logs(judged: Judged, folder: RunFolder) -> None:
    """With several seeds: one metrics.jsonl out of theirs, each event with its ``seed``."""
    if len(judged.runs) > 1:
        events = [{**event, "seed": run.seed} for run in judged.runs for event in as_events(run.fit.history)]
        write_lines(folder.metrics_log, events)


def save_predictions(inputs: Inputs, judged: Judged, path: Path) -> None:
    """Write predictions.parquet: the chosen seed's answers on every judged split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    run = chosen(judged.runs, higher_is_better(metric_of(inputs.recipe)))
    tables = [pa.table(split_columns(inputs, run, split)) for split in run.predictions]
    pq.write_table(pa.concat_tables(tables, promote_options="default"), path)


def save_training_logits(inputs: Inputs, judged: Judged, folder: Path) -> None:
    """Write what the chosen seed's training said of its rows, for a later diagnosis."""
    run = chosen(judged.runs, higher_is_better(metric_of(inputs.recipe)))
    save_epoch_logits(inputs.splits.train, inputs.splits.labels, run.fit.epoch_logits, folder)


def split_columns(inputs: Inputs, run: SeedRun, split: str) -> dict[str, list[Any]]:
    """The columns of predictions.parquet for one split."""
    examples, said, labels = getattr(inputs.splits, split), run.predictions[split], inputs.splits.labels
    columns: dict[str, list[Any]] = {
        "row_id": list(examples.row_ids), "split": [split] * len(examples),
        "label": names_of(said.labels, labels), "prediction": names_of(said.decisions, labels),
        "loss": run.losses[split].tolist(),
        "score" if labels.problem_type == REGRESSION else "pred_probs": said.scores.tolist(),
        "text": [text[:TEXT_CHARACTERS] for text in examples.texts],
    }  # fmt: skip
    if examples.pairs is not None:
        columns["pair"] = [text[:TEXT_CHARACTERS] for text in examples.pairs]
    if examples.ids is not None:
        columns["id"] = list(examples.ids)
    return columns


def names_of(values: np.ndarray, labels: Labels) -> list[Any]:
    """Class ids as names, 0/1 rows as lists of names, numbers as they are."""
    if labels.problem_type == REGRESSION:
        return [float(value) for value in values]
    if labels.problem_type == MULTI:
        return [[labels.names[i] for i in np.flatnonzero(row)] for row in values]
    return [labels.names[int(value)] for value in values]


def training_record(inputs: Inputs, ready: Ready, judged: Judged) -> dict[str, Any]:
    """How the training went, for result.json; the chosen seed's where there are several."""
    run = chosen(judged.runs, higher_is_better(metric_of(inputs.recipe)))
    fit, losses = run.fit, [entry["loss"] for entry in run.fit.history if "loss" in entry]
    return {
        "n_parameters": fit.n_parameters, "n_trainable_parameters": fit.n_trainable_parameters,
        "new_weights": list(ready.loaded.new_weights),
        "steps": fit.steps, "planned_steps": fit.schedule.total_steps, "epochs": fit.history[-1].get("epoch"),
        "best_step": fit.best_step, "best_metric": {"name": metric_of(inputs.recipe), "value": fit.best_value},
        "learning_rate": fit.learning_rate, "dropout": inputs.recipe.train.dropout,
        "batch_rows": inputs.recipe.train.batch_rows, "rows_per_second": fit.rows_per_second, "train_seconds": fit.train_seconds,
        "kernels": asdict(ready.kernels), "seeds": [r.seed for r in judged.runs], "seed": run.seed,
        "thresholds": judged.thresholds, "expected_first_loss": ready.prepared.expected_loss,
        "first_loss": losses[0] if losses else None, "last_loss": losses[-1] if losses else None,
        "notes": [*fit.notes, *judged.notes],
    }  # fmt: skip


def result(
    inputs: Inputs, ready: Ready, judged: Judged, findings: list[Finding], certificates: tuple[Certificate, ...],
    seconds: dict[str, float],
) -> RunResult:  # fmt: skip
    """Everything for result.json."""
    data = data_record(inputs.splits) | {"base": str(inputs.base.absolute())}
    for name, encoded in ready.prepared.encoded.items():
        data["splits"][name] |= length_record(encoded)
    return RunResult(
        task=inputs.recipe.task, metrics=judged.metrics, baselines=judged.baselines, verdicts=judged.verdicts,
        findings=tuple(merge_findings(inputs.splits.findings, findings)), alarms=(*judged.alarms, *unproven(certificates)),
        certificates=certificates, timings_seconds=seconds, peak_memory_bytes=peak_memory_bytes(),
        environment=environment(), data=data, training=training_record(inputs, ready, judged),
        recipe=inputs.recipe.model_dump(mode="json"),
    )  # fmt: skip
