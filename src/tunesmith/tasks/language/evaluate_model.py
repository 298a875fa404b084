"""Evaluates any causal language model or encoder-decoder on texts, or on prompts and answers, beside other models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.formats import detect_chat_format
from tunesmith.data.chat.load import ConversationData, read_chat_rows, read_evaluated_chats
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.readers.given import source_name
from tunesmith.data.readers.hashes import hash_rows
from tunesmith.data.run_rows import run_of_model
from tunesmith.data.table import Table
from tunesmith.errors import DataError, InputError
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
from tunesmith.generation.generator import adapter_source, load_writer
from tunesmith.machine import environment, peak_memory_bytes, quiet_libraries
from tunesmith.models.chat.template import adopt_template, choose_template
from tunesmith.models.language.model import detect_objective
from tunesmith.models.load import LoadedModel, load_tokenizer, max_input_tokens, position_limit, set_padding
from tunesmith.models.source import find_model
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection, ModelSection, Recipe
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import Finding, RunResult, Verdict
from tunesmith.run_folder import RESULT
from tunesmith.tasks.language.batches import language_fast_path
from tunesmith.tasks.language.data import LanguageTaskData, general_texts
from tunesmith.tasks.language.evaluation import metrics as split_metrics_of
from tunesmith.tasks.language.evaluation import model_outputs
from tunesmith.tasks.language.model import LanguageSession, Reader, make_session, render_split, stop_at
from tunesmith.tasks.language.pairs import target_limit
from tunesmith.tasks.language.scoring import EvalSplit
from tunesmith.tasks.seen_rows import with_seen_rows
from tunesmith.tasks.test_looks import with_look
from tunesmith.training.trainers.tokens import TrainingTokens

SPLIT = "test"
BITS_PER_BYTE = "bits_per_byte"
"""The only loss that can be compared across tokenizers."""
RUN_KEYS = {
    "sft": ("loss_on", "long_rows", "labels", "max_target_length"),
    "pretraining": ("noise_density", "mean_noise_span_length"),
    "data": ("max_length", "columns"),
    "evaluate": ("answers",),
}
"""The keys of a run's recipe that decide how its rows are read and evaluated."""


@dataclass(frozen=True)
class EvaluatedModel:
    """The outputs of one model on every split. The model itself is not kept.

    Attributes:
        splits: the rows as the model's tokens.
    """

    name: str
    splits: Mapping[str, EvalSplit]
    metrics: Sequence[SplitMetrics]
    outputs: Mapping[str, Outputs]
    seconds: float

    def as_baseline(self) -> BaselineOutputs:
        """Returns the outputs as those of a baseline."""
        return BaselineOutputs(self.name, self.outputs, self.seconds, "another model on the same rows")


def evaluate_language(
    target: str | Path, data: object, *, columns: Mapping[str, Any] | None = None, against: Sequence[str | Path] = (),
    answers: int | None = None, max_new_tokens: int | None = None, stride: int | None = None, context_lengths: Sequence[int] = (),
    max_length: int | None = None, n_resamples: int = 10_000, seed: int = 0, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """Evaluates a model that generates texts on other rows: losses, answers or labels, and the loss on general texts.

    Args:
        target: a run, with the recipe for reading and evaluating rows; or a folder, a hub id, ``builtin:NAME``.
        data: a file of plain texts, or of rows in any format that ``task: sft`` reads; or such rows or texts in memory.
        columns: part -> column, if they are not detected.
        against: other models, each with verdicts on the same rows.
        answers: number of rows whose answers are generated; default: the run's, else 64.
        stride, context_lengths: see the recipe's section ``evaluate``; for plain texts only.
        max_length: limit of the tokens of a row; default: the run's, else the model's own.

    Returns:
        Metrics of ``test`` and of ``general`` texts, with intervals over rows. ``data`` has the sampled answers, and the
        perplexity by context length.

    Raises:
        InputError: the rows or a model cannot be used.
    """
    started, clock, notes = time.perf_counter(), Clock(listener, {}), list[str]()
    with clock.phase("data"):
        options = {"max_length": max_length, "answers": answers, "max_new_tokens": max_new_tokens, "stride": stride}
        table = read_evaluated_chats(data, listener)
        recipe = evaluation_recipe(target, table, columns or {}, {**options, "context_lengths": list(context_lengths)})
        rows = read_chat_rows(table, SPLIT, recipe, notes)
        if not len(rows):
            left_out = ", ".join(rows.left_out) or "none"
            raise DataError.one(source_name(data), "no row is left to measure on.", f"Left out: {left_out}.")
    ours, *others = (evaluate_model(str(name), recipe, rows, clock) for name in (target, *against))
    resampling, metrics = Resampling(n_resamples, seed), ours.metrics
    compared = [compare_models(ours, other, metrics, resampling) for other in others]
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    every = [*notes, *left_out_notes(rows, ours), *(note for _, of_model in compared for note in of_model)]
    values = [m for split in metrics for m in metrics_of_outputs([ours.outputs[split.split]], split, resampling)]
    result = RunResult(
        task=recipe.task,
        metrics=tuple(values),
        baselines=tuple(baseline_result(other.as_baseline(), metrics, resampling) for other in others),
        verdicts=holm([verdict for verdicts, _ in compared for verdict in verdicts]),
        findings=tuple(Finding("not_measured", note, flagged=1) for note in every),
        timings_seconds=clock.seconds,
        peak_memory_bytes=peak_memory_bytes(),
        environment=environment(),
        data=data_record(source_name(data), rows, ours),
    )
    return with_look(with_seen_rows(result, hash_rows(table), source_name(data), [target, *against]), data, target)


def evaluate_model(name: str, recipe: Recipe, rows: Conversations, clock: Clock) -> EvaluatedModel:
    """Loads a model and computes its outputs on the rows and on the general texts."""
    with clock.phase("model"):
        session = load_session(name, recipe, rows)
    with clock.phase("outputs"):
        started = time.perf_counter()
        outputs = model_outputs(session, session.model)
        return EvaluatedModel(name, session.splits, split_metrics_of(session), outputs, time.perf_counter() - started)


def evaluation_recipe(target: str | Path, table: Table, columns: Mapping[str, Any], options: Mapping[str, Any]) -> Recipe:
    """Returns a recipe for reading and evaluating the rows: the run's own, changed by the options."""
    run = run_of_model(Path(target))
    of_run = {} if run is None else RunResult.load(run / RESULT).recipe
    base = sections_of_run(of_run, run / RESULT) if run is not None and of_run else {}
    named_columns = columns or {
        part: name
        for part, name in (base.get("data", {}).get("columns") or {}).items()
        if isinstance(name, str) and name in table.columns
    }
    settings = TASKS.get(of_run.get("task", ""))
    if settings is not None and not settings.loss_falls and run is not None and Path(target).resolve() == run.resolve():
        message = (
            f"its task is {settings.task}: its rewards are in its report, and tunesmith compare sets them beside another run's."
        )
        raise InputError.one(
            str(target), message, f"For its losses on texts or answers name its model: {Path(target) / 'model'}."
        )
    if settings is None or settings.family != "language" or not settings.loss_falls:
        is_plain = detect_chat_format(table, ColumnsSection(**named_columns)).kind == "text"
        settings = next(row for row in TASKS.values() if row.family == "language" and row.plain_texts == is_plain)
    changes = {"rows": options["answers"], "max_new_tokens": options["max_new_tokens"]}
    answers = {
        **(base.get("evaluate", {}).get("answers") or {}),
        **{key: value for key, value in changes.items() if value is not None},
    }
    length = options["max_length"] or base.get("data", {}).get("max_length")
    windows = {key: options[key] for key in ("stride", "context_lengths") if options[key]}
    return recipe_from_mapping({
        "task": settings.task, "model": {"name": base["model"]["name"] if base else str(target)},
        "data": {"train": table.source, "columns": named_columns, **({} if length is None else {"max_length": length})},
        **({settings.task: base[settings.task]} if base else {}),
        "evaluate": {**({} if settings.plain_texts else {"answers": answers}), **windows, "baselines": []},
    })  # fmt: skip


def sections_of_run(recipe: Mapping[str, Any], path: Path) -> dict[str, Mapping[str, Any]]:
    """Returns the sections of ``RUN_KEYS`` of a run's recipe, and its model. Raises InputError if the file lacks one."""
    sections = {name: recipe.get(name) for name in ("model", *RUN_KEYS)}
    known = {name: section for name, section in sections.items() if isinstance(section, dict)}
    if len(known) < len(sections) or "name" not in known["model"]:
        message = f"the recipe in it lacks one of the sections {listed(sections)}."
        raise InputError.one(str(path), message, "Copy the folder of the run again.")
    return {"model": known["model"], **{name: {key: known[name].get(key) for key in keys} for name, keys in RUN_KEYS.items()}}


def load_session(name: str, recipe: Recipe, rows: Conversations) -> LanguageSession:
    """Loads a model, and tokenises the rows for it."""
    quiet_libraries()
    source = adapter_source(name, Path()) or find_model(ModelSection(name=name), Path())
    tokenizer = load_tokenizer(source)
    model = load_writer(source).eval()
    set_padding(model, tokenizer)
    objective = detect_objective(model.config, f"model.name {source.name}")
    splits = ConversationData(rows.take(list(range(len(rows))), "train"), None, rows)
    data = LanguageTaskData(recipe=recipe, source=source, rows=splits, general=general_texts(recipe, Path()))
    template = choose_template(tokenizer, None, rows, Path(), single_turns_plain=objective.has_encoder)
    adopt_template(tokenizer, template)
    positions = position_limit(model)
    max_length = max_input_tokens(positions, tokenizer, recipe.data.max_length)
    reader = Reader(tokenizer, template, objective, max_length, target_limit(recipe, positions))
    rendered = {name: render_split(data, of_split, reader) for name, of_split in data.all_rows.items()}
    stop_at(model, rendered["train"].end_ids)
    return make_session(
        data,
        reader,
        rendered,
        loaded=LoadedModel(model, tokenizer, source, ()),
        model=model,
        tokens=TrainingTokens((), (), (), (), tokenizer.pad_token_id),
        fast_path=language_fast_path(recipe, objective),
    )


def compare_models(
    ours: EvaluatedModel, other: EvaluatedModel, metrics: Sequence[SplitMetrics], resampling: Resampling
) -> tuple[list[Verdict], list[str]]:
    """Returns the verdicts against another model, and notes on losses that cannot be compared, since their tokens differ."""
    verdicts, notes = list[Verdict](), list[str]()
    for split in metrics:
        mine, theirs, of_split = ours.outputs[split.split], other.outputs[split.split], split
        assert mine.token_losses is not None
        assert theirs.token_losses is not None
        if ours.splits[split.split].positions != other.splits[split.split].positions:
            message = f"its token limit keeps other rows of {split.split} than that of {ours.name}."
            raise InputError.one(other.name, message, "Give both the same with --max-length.")
        if not np.array_equal(mine.token_losses.counts, theirs.token_losses.counts):
            of_split = replace(split, requested=BITS_PER_BYTE)
            assert mine.n_bytes is not None
            assert theirs.n_bytes is not None
            if not np.array_equal(mine.n_bytes, theirs.n_bytes):
                texts = f"the losses of {other.name} on {split.split} are of other texts, by its tokenizer"
                notes.append(f"{texts}, and are not compared.")
                theirs = replace(theirs, token_losses=None)
        system = replace(other.as_baseline(), outputs={split.split: theirs})
        verdicts += verdicts_of_outputs([mine], system, of_split, resampling)
    return verdicts, notes


def dropped_rows(rows: Conversations, ours: EvaluatedModel) -> dict[str, int]:
    """Returns reason -> number of rows that are not measured: unusable, or longer than the model's limit."""
    dropped = ours.splits[SPLIT].rows.dropped
    return {reason: len(ids) for reason, ids in (*rows.left_out.items(), *dropped.items())}


def left_out_notes(rows: Conversations, ours: EvaluatedModel) -> list[str]:
    """Returns a sentence for each reason."""
    return [
        f"{plural(count, 'row', 'is', 'are')} not measured: {reason}."
        for reason, count in dropped_rows(rows, ours).items()
        if count
    ]


def data_record(source: str, rows: Conversations, ours: EvaluatedModel) -> dict[str, Any]:
    """Returns the rows that were evaluated, the generated answers, and the curve by context length, in JSON types."""
    split, outputs = ours.splits[SPLIT], ours.outputs[SPLIT]
    answers = [
        {"row_id": row_id, "reference": reference, "answer": text}
        for row_id, reference, text in zip(split.sample_ids, split.references, outputs.texts, strict=False)
    ]
    return {
        "source": source,
        "form": rows.kind,
        "columns": list(rows.columns),
        "rows": len(split.positions),
        "rows_read": rows.rows_read,
        "dropped": dropped_rows(rows, ours),
        "answers": answers,
        "context": list(outputs.context_curve),
    }
