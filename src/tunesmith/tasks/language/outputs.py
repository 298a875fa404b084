"""What a language model's run leaves on disk: the model, proven equal to the trained one; answers; the result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.chat.conversations import answer_of, asked_of
from tunesmith.data.chat.load import data_record
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.models.chat.prompts import supervised_runs
from tunesmith.models.chat.render import Rendered, render_record
from tunesmith.models.language.save import SavedModel, save_language_model
from tunesmith.preflight.language import batch_invariance, sample_rows
from tunesmith.results import TEXT_CHARACTERS, Certificate, RunResult, unproven
from tunesmith.run_folder import RunFolder, write_lines
from tunesmith.tasks.language.data import LanguageInputs
from tunesmith.tasks.language.evaluation import UNTUNED, Judged
from tunesmith.tasks.language.model import Ready
from tunesmith.tasks.language.scoring import Hearing, Said
from tunesmith.training.history import as_events

ANSWERS = "answers.json"
SHOWN_ANSWERS = 12
SHOWN_ROWS = 3


def save_model(inputs: LanguageInputs, ready: Ready, judged: Judged, folder: Path) -> tuple[Certificate, SavedModel]:
    """Save the kept model, merged where its adapter can be, and prove that what lies on disk is what was trained."""
    model = judged.kept.model
    first = batch_invariance(replace(ready.prepared, model=model))
    return first, save_language_model(model, ready.prepared.tokenizer, folder, inputs.source, sample_rows(ready.prepared))


def save_evidence(inputs: LanguageInputs, ready: Ready, judged: Judged, folder: RunFolder) -> None:
    """Write predictions.parquet, answers before and after, and with several seeds one metrics.jsonl out of theirs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [pa.table(columns_of(ready.hearings[name], judged.kept.said[name], inputs)) for name in inputs.judged]
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), folder.work / "predictions.parquet")
    text = json.dumps(shown(inputs, ready, judged), ensure_ascii=False, indent=1)
    (folder.work / ANSWERS).write_text(text + "\n", encoding="utf-8")
    if len(judged.runs) > 1:
        events = [{**event, "seed": run.seed} for run in judged.runs for event in as_events(run.fit.history)]
        write_lines(folder.metrics_log, events)


def columns_of(hearing: Hearing, said: Said, inputs: LanguageInputs) -> dict[str, list[Any]]:
    """The columns of predictions.parquet for one split. Rows whose answer was not written have no prediction."""
    place = {position: i for i, position in enumerate(hearing.positions)}
    turns = [hearing.conversations.turns[position] for position in hearing.positions]
    assert said.losses is not None
    columns: dict[str, list[Any]] = {
        "row_id": list(hearing.row_ids), "split": [hearing.split] * len(place),
        "label": [answer_of(one) for one in turns], "prediction": [None] * len(place),
        "loss": (said.losses.sums / np.maximum(1, said.losses.counts)).tolist(), "n_tokens": said.losses.counts.tolist(),
        "n_bytes": hearing.n_bytes.tolist(),
        "text": [asked_of(one)[:TEXT_CHARACTERS] for one in turns],
    }  # fmt: skip
    for name in said.worth:
        columns[name] = [None] * len(place)
    for i, row in enumerate(hearing.sample):
        if said.written:
            columns["prediction"][place[row]] = said.written[i].text
        for name, values in said.worth.items():
            columns[name][place[row]] = float(values[i])
    if said.labels is not None:
        columns["pred_probs"] = [None] * len(place)
        for i, row in enumerate(hearing.sample):
            columns["prediction"][place[row]] = inputs.recipe.sft.labels[int(said.labels.decisions[i])]
            columns["pred_probs"][place[row]] = said.labels.scores[i].tolist()
    return columns


def shown(inputs: LanguageInputs, ready: Ready, judged: Judged) -> dict[str, Any]:
    """What the loss sees of a few rows, and a few answers by every system."""
    rows, split = ready.train, list(inputs.judged)[-1]
    hearing, ours = ready.hearings[split], judged.kept.said[split]
    seen = [
        {"row_id": rows.row_ids[i], "runs": supervised_runs(ready.prepared.tokenizer, rows.input_ids[i], rows.labels[i])}
        for i in range(min(SHOWN_ROWS, len(rows.input_ids)))
    ]  # fmt: skip
    answers = []
    systems: Sequence[tuple[str, Said]] = [(one.name, one.said[split]) for one in judged.before if split in one.said]
    for i in range(min(SHOWN_ANSWERS, len(ours.written))):
        asked = asked_of(hearing.conversations.turns[hearing.sample[i]])
        answers.append({
            "row_id": hearing.sample_ids[i], "prompt": asked[:TEXT_CHARACTERS], "reference": hearing.references[i],
            "this run": ours.written[i].text, **{name: said.written[i].text for name, said in systems if said.written},
        })  # fmt: skip
    return {"seen": seen, "split": split, "answers": answers, "before": UNTUNED}


def training_record(inputs: LanguageInputs, ready: Ready, judged: Judged, notes: Sequence[str]) -> dict[str, Any]:
    """How the training went, for result.json; the kept seed's where there are several."""
    run, train, tokens = judged.kept, inputs.recipe.train, ready.prepared.tokens
    fit, losses = run.fit, [entry["loss"] for entry in run.fit.history if "loss" in entry]
    return {
        "n_parameters": fit.n_parameters, "n_trainable_parameters": fit.n_trainable_parameters,
        "new_weights": list(ready.loaded.new_weights), "steps": fit.steps, "planned_steps": fit.schedule.total_steps,
        "epochs": fit.history[-1].get("epoch"), "best_step": fit.best_step,
        "best_metric": {"name": ready.metric, "value": fit.best_value}, "learning_rate": fit.learning_rate,
        "dropout": train.dropout, "batch_rows": train.batch_rows, "rows_per_second": fit.rows_per_second,
        "train_seconds": fit.train_seconds, "kernels": asdict(ready.prepared.kernels), "seeds": [r.seed for r in judged.runs],
        "seed": run.seed, "expected_first_loss": ready.prepared.expected_loss, "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None, "objective": ready.prepared.objective.name, "template": ready.template.name,
        "template_source": ready.template.source, "packed": tokens.is_packed, "padding_free": tokens.padding_free,
        "quantisation": inputs.recipe.quantisation,
        "tokens": int(tokens.lengths.sum()), "learnt_tokens": ready.train.target_tokens,
        "context": {
            "before": [point for one in judged.before for point in one.context], "after": list(judged.context),
        },
        "answer_tokens": ready.asking.decoding.max_new_tokens, "notes": [*fit.notes, *notes],
    }  # fmt: skip


def result(
    inputs: LanguageInputs, ready: Ready, judged: Judged, proven: tuple[Certificate, SavedModel], seconds: dict[str, float]
) -> RunResult:
    """Everything for result.json."""
    certificates = (proven[0], *proven[1].certificates)
    kind = f"{ready.prepared.objective.name}_language_model"
    data = data_record(inputs.data) | {"base": str(inputs.base.absolute()), "problem_type": kind}
    if inputs.recipe.sft.labels:
        data["labels"] = list(inputs.recipe.sft.labels)
    rendered = {"train": ready.train, **{name: ready.hearings[name].rows for name in inputs.judged}}
    for name, rows in rendered.items():
        data["splits"][name] |= length_record(rows)
    return RunResult(
        task=inputs.recipe.task, metrics=judged.metrics, baselines=judged.baselines, verdicts=judged.verdicts,
        findings=inputs.findings, alarms=(*judged.alarms, *unproven(certificates)), certificates=certificates,
        timings_seconds=seconds, peak_memory_bytes=peak_memory_bytes(), environment=environment(), data=data,
        training=training_record(inputs, ready, judged, proven[1].notes), recipe=inputs.recipe.model_dump(mode="json"),
    )  # fmt: skip


def length_record(rows: Rendered) -> dict[str, Any]:
    """Lengths in tokens, and what was dropped, cut or divided, of one split; its rows are counted by the data record."""
    found = render_record(rows)
    del found["rows"]
    sizes = np.array([len(ids) for ids in rows.input_ids])
    counts, edges = np.histogram(sizes, bins=min(30, max(1, int(np.ptp(sizes)))))
    found |= {"rows_truncated": found.pop("rows_cut"), "rows_dropped": found.pop("dropped")}
    return {
        **found,
        "length_histogram": {"edges": [float(edge) for edge in edges], "counts": counts.tolist()},
    }  # fmt: skip
