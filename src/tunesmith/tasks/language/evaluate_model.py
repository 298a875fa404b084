"""The story of `evaluate MODEL` for a language model: rows as turns, their losses and answers, verdicts against other models."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.data.chat.conversations import Conversations
from tunesmith.data.chat.formats import recognise
from tunesmith.data.chat.load import ConversationData, recognised, rows_of, table_of
from tunesmith.data.table import Table
from tunesmith.errors import DataError, InputError
from tunesmith.generation.generator import adapter_source, load_causal
from tunesmith.machine import environment, peak_memory_bytes, quiet_libraries
from tunesmith.models.chat.template import adopt, choose_template
from tunesmith.models.load import Loaded, load_tokenizer, max_input_tokens, set_padding
from tunesmith.models.source import find_model
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.language_rules import LANGUAGE_TASKS
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection, ModelSection, Recipe
from tunesmith.results import Baseline, Finding, Metric, RunResult, Verdict
from tunesmith.run_folder import RESULT
from tunesmith.tasks.language.batches import language_kernels
from tunesmith.tasks.language.compare import BITS
from tunesmith.tasks.language.context import seen_windows
from tunesmith.tasks.language.data import LanguageInputs, general_texts
from tunesmith.tasks.language.evaluation import Rival, metrics_of, verdicts_of
from tunesmith.tasks.language.model import Ready, named, ready_with, rendered_split, stop_at
from tunesmith.tasks.language.scoring import Hearing, Said, hear
from tunesmith.tasks.language.training import Prepared
from tunesmith.training.trainers.tokens import TrainingTokens

SPLIT = "test"
OF_RUN = {"sft": ("loss_on", "long_rows", "labels"), "data": ("max_length", "columns"), "evaluate": ("answers",)}
"""What a run's recipe says of how its rows are read and judged."""


@dataclass(frozen=True)
class Heard:
    """One model, what it was heard on, and what it said."""

    name: str
    hearings: Mapping[str, Hearing]
    said: Mapping[str, Said]
    seconds: float
    context: tuple[dict[str, Any], ...] = ()


def evaluate_language(
    target: str | Path, data: str | Path, *, columns: Mapping[str, Any] | None = None, against: Sequence[str | Path] = (),
    answers: int | None = None, max_new_tokens: int | None = None, stride: int | None = None, context_lengths: Sequence[int] = (),
    max_length: int | None = None, n_resamples: int = 10_000, seed: int = 0, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """How a causal language model does on other rows: losses, answers or labels, and general texts beside them.

    Args:
        target: a run, whose recipe says how rows are read and judged; or a folder, a hub id, ``builtin:NAME``.
        data: a file of plain texts, or of rows in any form that ``task: sft`` reads.
        columns: part -> column, where they are not recognised.
        against: other models, each given verdicts on the same rows.
        answers: rows whose answers are written; the run's number, else 64, when not said.
        stride, context_lengths: see the recipe's section ``evaluate``; of plain texts.
        max_length: tokens of a row; the run's, else the model's own limit, when not said.

    Returns:
        Metrics with intervals over rows, of ``test`` and of ``general`` texts; in ``data`` the sample of answers and the curve by
        context length.

    Raises:
        InputError: the rows or a model cannot be used.
    """
    started, clock, notes = time.perf_counter(), Clock(listener, {}), list[str]()
    with clock.phase("data"):
        given = {"max_length": max_length, "answers": answers, "max_new_tokens": max_new_tokens, "stride": stride}
        table = table_of(str(data), "train", Path())  # of a folder the file that every verb reads
        recipe = recipe_of(target, table, columns or {}, {**given, "context_lengths": list(context_lengths)})
        rows = rows_of(table, recognised(table, recipe, notes), SPLIT, recipe, notes)
        if not len(rows):
            raise DataError.one(str(data), "no row is left to measure on.", f"Left out: {', '.join(rows.left_out) or 'none'}.")
    heard = []
    for name in (target, *against):
        with clock.phase("model"):
            inputs, ready = prepared_model(str(name), recipe, rows)
        with clock.phase("hearing"):
            heard.append(hear_all(str(name), inputs, ready))
    ours, others = heard[0], heard[1:]
    settings = (n_resamples, seed)
    found = [comparison(inputs, ours, other, settings) for other in others]
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    every = [*notes, *left_out(rows, ours), *(note for _, of_one in found for note in of_one)]
    return RunResult(
        task=recipe.task, metrics=metrics_of_all(ours, settings), baselines=tuple(baseline(other, settings) for other in others),
        verdicts=tuple(v for of_one, _ in found for v in of_one),
        findings=tuple(Finding("not_measured", note, flagged=1) for note in every), timings_seconds=clock.seconds,
        peak_memory_bytes=peak_memory_bytes(), environment=environment(), data=about(str(data), rows, ours),
    )  # fmt: skip


def recipe_of(target: str | Path, table: Table, columns: Mapping[str, Any], given: Mapping[str, Any]) -> Recipe:
    """How rows are read and judged: as the run's recipe has it, with what was said here."""
    path, found = Path(target) / RESULT, dict[str, Any]()
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))["recipe"]
    kept = {name: {key: found[name][key] for key in keys} for name, keys in OF_RUN.items()} if found else {}
    named_columns = columns or {
        part: name
        for part, name in kept.get("data", {}).get("columns", {}).items()
        if isinstance(name, str) and name in table.columns
    }
    task = found.get("task")
    if task not in LANGUAGE_TASKS:
        form = recognise(table, ColumnsSection(**named_columns)).form
        task = "pretraining" if form == "text" else "sft"
    asked = {"rows": given["answers"], "max_new_tokens": given["max_new_tokens"]}
    written = kept.get("evaluate", {}).get("answers", {}) | {key: value for key, value in asked.items() if value is not None}
    length = given["max_length"] or kept.get("data", {}).get("max_length")
    windows = {key: given[key] for key in ("stride", "context_lengths") if given[key]}
    return recipe_from_mapping({
        "task": task, "model": {"name": found["model"]["name"] if found else str(target)},
        "data": {"train": table.source, "columns": named_columns, **({} if length is None else {"max_length": length})},
        **({"sft": kept["sft"]} if task == "sft" and kept else {}),
        "evaluate": {**({"answers": written} if task == "sft" else {}), **windows, "baselines": []},
    })  # fmt: skip


def prepared_model(name: str, recipe: Recipe, rows: Conversations) -> tuple[LanguageInputs, Ready]:
    """A model in memory, and the rows as its tokens."""
    quiet_libraries()
    source = adapter_source(name, Path()) or find_model(ModelSection(name=name), Path())
    tokenizer = load_tokenizer(source)
    model = load_causal(source).eval()
    set_padding(model, tokenizer)
    everything = range(len(rows))
    data = ConversationData(rows.take(list(everything), "train"), None, rows)
    inputs = LanguageInputs(recipe, data, source, general_texts(recipe, Path()), ())
    template = choose_template(tokenizer, None, rows, Path())
    adopt(tokenizer, template)
    limit = max_input_tokens(model.config, tokenizer, recipe.data.max_length)
    rendered = {
        split: rendered_split(inputs, of_split, tokenizer, template, limit, "causal") for split, of_split in named(inputs).items()
    }
    stop_at(model, rendered["train"].end_ids)
    tokens = TrainingTokens((), (), (), (), tokenizer.pad_token_id)
    kernels = language_kernels(recipe, "causal")
    prepared = Prepared(model, tokenizer, "causal", tokens, kernels, math.log(len(tokenizer)))
    return inputs, ready_with(inputs, Loaded(model, tokenizer, source, ()), prepared, template, rendered, limit)


def hear_all(name: str, inputs: LanguageInputs, ready: Ready) -> Heard:
    """What a model says on every split."""
    started = time.perf_counter()
    model = ready.prepared.model
    said = {split: hear(ready.prepared, model, one, ready.asking) for split, one in ready.hearings.items()}
    context = tuple(seen_windows(inputs, ready, model))
    return Heard(name, ready.hearings, said, time.perf_counter() - started, context)


def metrics_of_all(heard: Heard, settings: tuple[int, int]) -> tuple[Metric, ...]:
    """The metrics of every split."""
    return tuple(m for split, one in heard.hearings.items() for m in metrics_of([heard.said[split]], one, *settings))


def baseline(other: Heard, settings: tuple[int, int]) -> Baseline:
    """The metrics of another model."""
    return Baseline(other.name, metrics_of_all(other, settings), round(other.seconds, 3), "another model on the same rows")


def comparison(inputs: LanguageInputs, ours: Heard, other: Heard, settings: tuple[int, int]) -> tuple[list[Verdict], list[str]]:
    """The verdicts against another model, and what of it cannot be compared."""
    verdicts, notes = list[Verdict](), list[str]()
    for split, hearing in ours.hearings.items():
        mine, theirs, metric = ours.said[split], other.said[split], inputs.recipe.evaluate.metric
        assert mine.losses is not None
        assert theirs.losses is not None
        if hearing.positions != other.hearings[split].positions:
            message = f"other rows of {split} are within its limit of tokens than within that of {ours.name}."
            raise InputError.one(other.name, message, "Give both the same with --max-length.")
        if mine.losses.counts.tolist() != theirs.losses.counts.tolist():
            metric = BITS
            if hearing.n_bytes.tolist() != other.hearings[split].n_bytes.tolist():
                notes.append(f"the losses of {other.name} on {split} are of other texts, by its tokenizer, and are not compared.")
                theirs = replace(theirs, losses=None)
        section = inputs.recipe.evaluate.model_copy(update={"metric": metric})
        asked = replace(inputs, recipe=inputs.recipe.model_copy(update={"evaluate": section}))
        verdicts += verdicts_of(asked, hearing, [mine], Rival(other.name, {split: theirs}, other.seconds), *settings)
    return verdicts, notes


def dropped(rows: Conversations, ours: Heard) -> dict[str, int]:
    """Why rows are not measured -> how many: they are not usable, or longer than what the model reads."""
    return {reason: len(ids) for reason, ids in (*rows.left_out.items(), *ours.hearings[SPLIT].rows.dropped.items())}


def left_out(rows: Conversations, ours: Heard) -> list[str]:
    """A sentence for each reason."""
    return [f"{count:,} rows are not measured: {reason}." for reason, count in dropped(rows, ours).items() if count]


def about(data: str, rows: Conversations, ours: Heard) -> dict[str, Any]:
    """What was measured on; the answers that were written; the curve by context length. Plain JSON types."""
    hearing, said = ours.hearings[SPLIT], ours.said[SPLIT]
    answers = [
        {"row_id": row_id, "reference": reference, "answer": one.text}
        for row_id, reference, one in zip(hearing.sample_ids, hearing.references, said.written, strict=False)
    ]
    return {
        "source": data, "form": rows.form, "columns": list(rows.columns), "rows": len(hearing.positions),
        "rows_read": rows.rows_read,
        "dropped": dropped(rows, ours), "answers": answers, "context": list(ours.context),
    }  # fmt: skip
