"""What an embedding run leaves on disk: the model, proven equal to the trained one; what each row came out as; the result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.pairs.load import data_record
from tunesmith.evaluation.embedding_tests import RowsTest, SearchTest, VectorTest
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.models.embedding.model import merge_adapter
from tunesmith.preflight.embedding import batch_invariance, reload_equality, sample_of
from tunesmith.results import TEXT_CHARACTERS, Certificate, RunResult, unproven
from tunesmith.run_folder import RunFolder, write_lines
from tunesmith.tasks.embedding.data import EmbeddingInputs
from tunesmith.tasks.embedding.evaluation import Judged
from tunesmith.tasks.embedding.model import length_records
from tunesmith.training.history import as_events

HEAT_MAP = "heat_map.json"


def save_model(inputs: EmbeddingInputs, judged: Judged, folder: Path) -> tuple[Certificate, ...]:
    """Save the kept model, an adapter merged into it, and prove that what lies on disk is what was trained."""
    encoder, texts = judged.kept.encoder, sample_of(inputs.data.train)
    encoder.model.to("cpu")
    merge_adapter(encoder)
    encoder.model.save_pretrained(str(folder), create_model_card=False)
    return (
        batch_invariance(encoder, texts),
        reload_equality(encoder, folder, texts, "the saved model equals the trained one"),
    )


def save_evidence(inputs: EmbeddingInputs, judged: Judged, folder: RunFolder) -> None:
    """Write predictions.parquet, the heat map, and with several seeds one metrics.jsonl out of theirs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [pa.table(columns_of(name, test, judged)) for name, test in inputs.tests.items()]
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), folder.work / "predictions.parquet")
    if judged.heat_map is not None:
        text = json.dumps(judged.heat_map, ensure_ascii=False, indent=1)
        (folder.work / HEAT_MAP).write_text(text + "\n", encoding="utf-8")
    if len(judged.runs) > 1:
        events = [{**event, "seed": run.seed} for run in judged.runs for event in as_events(run.fit.history)]
        write_lines(folder.metrics_log, events)


def columns_of(split: str, test: VectorTest, judged: Judged) -> dict[str, list[Any]]:
    """The columns of predictions.parquet for one split: what is right (``label``), what vectors say (``score``), texts."""
    vectors = judged.kept.vectors[split]
    said = test.answer(vectors, vectors[0].shape[1], judged.kept.encoder.similarity)
    if said.predictions is not None:
        scores, labels = said.predictions.scores.reshape(len(said.predictions.labels), -1)[:, 0], said.predictions.labels
        values = {"label": np.asarray(labels, dtype=float).reshape(len(scores), -1)[:, 0].tolist(), "score": scores.tolist()}
    else:
        assert said.values is not None
        leading = next(iter(said.values))
        values = {"score": said.values[leading].tolist()}
    texts, ids = texts_of(test)
    row_ids = list(range(len(texts))) if ids is None else list(ids)
    return {
        "row_id": row_ids, "split": [split] * len(texts), **values, "text": [text[:TEXT_CHARACTERS] for text in texts],
        **({"pair": [text[:TEXT_CHARACTERS] for text in test.sides[1]]} if isinstance(test, RowsTest) and is_pair(test) else {}),
    }  # fmt: skip


def is_pair(test: RowsTest) -> bool:
    """Whether each value is of a row with two texts."""
    return len(test.sides) > 1 and test.shape.kind != "positive_pair"


def texts_of(test: VectorTest) -> tuple[Sequence[str], Sequence[int] | None]:
    """The texts that have a value each, and their rows: those of a search are its queries."""
    if isinstance(test, SearchTest):
        return test.data.queries, None
    assert isinstance(test, RowsTest)
    if test.shape.kind == "positive_pair":
        first = {text: i for i, text in reversed(list(enumerate(test.sides[0])))}
        queries = list(dict.fromkeys(test.sides[0]))
        return queries, [test.row_ids[first[text]] for text in queries]
    return test.sides[0], test.row_ids


def training_record(inputs: EmbeddingInputs, judged: Judged, expected_loss: float) -> dict[str, Any]:
    """How the training went, for result.json; the kept seed's where there are several."""
    run, train = judged.kept, inputs.recipe.train
    fit, losses = run.fit, [entry["loss"] for entry in run.fit.history if "loss" in entry]
    return {
        "n_parameters": fit.n_parameters, "n_trainable_parameters": fit.n_trainable_parameters, "new_weights": [],
        "steps": fit.steps, "planned_steps": fit.schedule.total_steps, "epochs": fit.history[-1].get("epoch"),
        "best_step": fit.best_step, "best_metric": {"name": inputs.metric, "value": fit.best_value},
        "learning_rate": fit.learning_rate, "dropout": train.dropout, "batch_rows": train.batch_rows,
        "rows_per_second": fit.rows_per_second, "train_seconds": fit.train_seconds, "kernels": asdict(run.encoder.fast_path),
        "seeds": [r.seed for r in judged.runs], "seed": run.seed, "expected_first_loss": expected_loss,
        "first_loss": losses[0] if losses else None, "last_loss": losses[-1] if losses else None,
        "also": [choice.name for choice in inputs.also],
        "loss": inputs.choice.name, "loss_because": inputs.choice.because, "batch_sampler": inputs.choice.sampler,
        "dimension": run.encoder.dimension, "similarity": run.encoder.similarity, "geometry": judged.geometry,
        "notes": list(fit.notes),
    }  # fmt: skip


def result(
    inputs: EmbeddingInputs,
    judged: Judged,
    certificates: tuple[Certificate, ...],
    expected_loss: float,
    seconds: dict[str, float],
) -> RunResult:
    """Everything for result.json."""
    data = data_record(inputs.data) | {"base": str(inputs.base.absolute())}
    for name, record in length_records(inputs, judged.kept.encoder).items():
        data["splits"][name] |= record
    return RunResult(
        task=inputs.recipe.task, metrics=judged.metrics, baselines=judged.baselines, verdicts=judged.verdicts,
        findings=inputs.findings, alarms=(*judged.alarms, *unproven(certificates)), certificates=certificates,
        timings_seconds=seconds, peak_memory_bytes=peak_memory_bytes(), environment=environment(),
        data=data,
        training=training_record(inputs, judged, expected_loss), recipe=inputs.recipe.model_dump(mode="json"),
    )  # fmt: skip
