"""Evaluates the model of a preference run on further pairs or judged answers, against the model that it was trained from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.data.preferences.conversions import judged_of_pairs, pairs_of_judged
from tunesmith.data.preferences.load import detect_and_note, read_rows
from tunesmith.data.preferences.rows import JudgedAnswers
from tunesmith.data.readers.given import read_evaluated, source_name
from tunesmith.data.readers.hashes import hash_rows
from tunesmith.data.run_rows import run_of_model
from tunesmith.data.table import Table
from tunesmith.errors import DataError, InputError, RecipeError
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
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.generator import adapter_source, load_writer
from tunesmith.machine import device_name, environment, peak_memory_bytes, quiet_libraries
from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.chat.answers import conversations_of, render_answers
from tunesmith.models.chat.template import adopt_template, choose_template
from tunesmith.models.language.model import CAUSAL, load_language_model
from tunesmith.models.load import load_tokenizer, max_input_tokens, position_limit, set_padding
from tunesmith.models.source import ModelSource, find_model
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.metric_names import PREFERENCE_FALLING
from tunesmith.recipe.sections import ColumnsSection, ModelSection, Recipe
from tunesmith.recipe.tasks import primary_metric, task_settings
from tunesmith.results import Finding, RunResult
from tunesmith.tasks.language.batches import language_fast_path
from tunesmith.tasks.language.evaluation import UNTUNED
from tunesmith.tasks.language.scoring import GenerationEval
from tunesmith.tasks.preference.data import PreferenceRows
from tunesmith.tasks.preference.model import Scorer
from tunesmith.tasks.preference.outputs import BASE, better_answer
from tunesmith.tasks.preference.scoring import PreferenceSplit, make_split, outputs_of, score_answers
from tunesmith.tasks.saved_recipe import recipe_of_run
from tunesmith.tasks.seen_rows import with_seen_rows
from tunesmith.tasks.test_looks import with_look
from tunesmith.training.losses.preference_choice import ChosenLosses, choose_losses

SPLIT = "test"


@dataclass(frozen=True)
class Plan:
    """What is the same for all models of an evaluation.

    Attributes:
        run: the folder of the run that is evaluated.
        recipe: the run's, changed by the options.
        rows: the rows to measure on.
        base: the model that the run was trained from.
        n_new: longest generated answer in tokens.
    """

    run: Path
    recipe: Recipe
    losses: ChosenLosses
    rows: PreferenceRows
    base: ModelSource
    n_new: int


def evaluate_preferences(
    target: str | Path, data: object, *, columns: Mapping[str, Any] | None = None, against: Sequence[str | Path] = (),
    answers: int | None = None, max_new_tokens: int | None = None, stride: int | None = None, context_lengths: Sequence[int] = (),
    max_length: int | None = None, n_resamples: int = 10_000, seed: int = 0, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """Evaluates the model of a preference run on other rows, with the losses and the reference of the run.

    Args:
        target: the run.
        data: a file of preference rows in any format that ``task: preference`` reads, or such rows in memory.
        against: other causal models, each with verdicts on the same rows; their rewards are measured from the same reference.
        others: as of ``tasks.language.evaluate_model.evaluate_language``; windows of texts do not apply.

    Raises:
        InputError: the rows or a model cannot be used.
    """
    if stride is not None or context_lengths:
        message = "windows slide over plain texts, and this is a preference run."
        raise RecipeError.one("evaluate", message, "Leave --stride and --context-lengths out.")
    started, clock, notes = time.perf_counter(), Clock(listener, {}), list[str]()
    quiet_libraries()
    with clock.phase("data"):
        table = read_evaluated(data, listener)
        options = {"columns": columns or {}, "answers": answers, "max_new_tokens": max_new_tokens, "max_length": max_length}
        plan = evaluation_plan(Path(target), table, options, notes)
    with clock.phase("model"):
        splits = {str(name): measured_split(str(name), plan) for name in (target, *against)}
    resampling = Resampling(n_resamples, seed)
    (split, ours), *others = splits.values()
    metrics = SplitMetrics(
        SPLIT,
        requested=primary_metric(plan.recipe),
        clusters={"row_scores": split.clusters},
        lower=frozenset(PREFERENCE_FALLING),
    )
    systems = [BaselineOutputs(UNTUNED, {SPLIT: outputs_of(split.reference, split, plan.losses)})]
    systems += [other_system(name, split, *of_other) for name, of_other in zip(against, others, strict=True)]
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    result = RunResult(
        task=plan.recipe.task,
        metrics=tuple(metrics_of_outputs([ours], metrics, resampling)),
        baselines=tuple(baseline_result(system, [metrics], resampling) for system in systems),
        verdicts=holm([v for system in systems for v in verdicts_of_outputs([ours], system, metrics, resampling)]),
        findings=tuple(Finding("not_measured", note, flagged=1) for note in (*notes, *left_out_notes(split))),
        timings_seconds=clock.seconds,
        peak_memory_bytes=peak_memory_bytes(),
        environment=environment(),
        data=data_record(source_name(data), split, ours),
    )
    return with_look(with_seen_rows(result, hash_rows(table), source_name(data), [target, *against]), data, target)


def evaluation_plan(target: Path, table: Table, options: Mapping[str, Any], notes: list[str]) -> Plan:
    """Reads the rows by the recipe of the run. Raises InputError if the run or the rows cannot be used."""
    found, run = recipe_of_run(target), run_of_model(target)
    record = None if found is None else found[1].training.get(BASE)
    if found is None or run is None or not isinstance(record, dict) or not task_settings(found[0]).has_key(("preference",)):
        message = "it is no preference run of this version, so its losses and its reference are not known."
        raise InputError.one(str(target), message, "Name the folder of a run of task: preference.")
    recipe = changed_recipe(found[0], table, options)
    losses = choose_losses(recipe.preference)
    rows: PreferenceRows = read_rows(table, detect_and_note(table, recipe, []), SPLIT, recipe, notes)
    if losses.is_unpaired and not isinstance(rows, JudgedAnswers):
        rows = judged_of_pairs(rows)
    elif not losses.is_unpaired and isinstance(rows, JudgedAnswers):
        rows = pairs_of_judged(rows, notes)
    if not len(rows):
        raise DataError.one(table.source, "no row is left to measure on.", f"Left out: {', '.join(rows.left_out) or 'none'}.")
    base = AdapterBase(ModelSource(**record["source"]), record["fingerprint"]).present(run)
    n_new = options["max_new_tokens"] or int(found[1].training["answer_tokens"])
    return Plan(run, recipe, losses, rows, base, n_new)


def changed_recipe(recipe: Recipe, table: Table, options: Mapping[str, Any]) -> Recipe:
    """Returns the run's recipe with the options of the evaluation; its columns count where the table has them."""
    given = {part: name for part, name in recipe.data.columns if isinstance(name, str) and name in table.columns}
    columns = ColumnsSection(**(options["columns"] or given))
    data: dict[str, Any] = {"columns": columns}
    if options["max_length"] is not None:
        data["max_length"] = options["max_length"]
    section = recipe.evaluate.answers
    if options["answers"] is not None:
        section = section.model_copy(update={"rows": options["answers"]})
    evaluate = recipe.evaluate.model_copy(update={"answers": section})
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=data), "evaluate": evaluate})


def measured_split(name: str, plan: Plan) -> tuple[PreferenceSplit, Outputs]:
    """Loads a model and scores the rows by it and by the reference, as its own tokens."""
    source = adapter_source(name, Path()) or find_model(ModelSection(name=name), Path())
    tokenizer = load_tokenizer(source)
    model: Any = load_writer(source).eval()
    set_padding(model, tokenizer)
    template = choose_template(tokenizer, None, conversations_of(plan.rows))
    adopt_template(tokenizer, template)
    limit = max_input_tokens(position_limit(model), tokenizer, plan.recipe.data.max_length)
    rendered = render_answers(tokenizer, plan.rows, template, limit, plan.recipe.preference.long_rows)
    section = plan.recipe.evaluate.answers
    split = make_split(plan.rows, rendered, section.rows)
    scorer = Scorer(tokenizer, template, CAUSAL, language_fast_path(plan.recipe, CAUSAL), int(tokenizer.pad_token_id))
    decoding = Decoding(
        max_new_tokens=plan.n_new,
        num_beams=section.num_beams,
        do_sample=section.do_sample,
        temperature=section.temperature or 1.0,
        top_p=section.top_p or 1.0,
        seed=plan.recipe.train.seed,
    )
    settings = GenerationEval(decoding, window=limit)
    reference: Any = load_language_model(plan.base, tokenizer, CAUSAL).model.to(device_name()).eval()
    split = replace(split, reference=score_answers(scorer, reference, split, settings))
    del reference
    return split, outputs_of(score_answers(scorer, model, split, settings), split, plan.losses)


def other_system(name: str | Path, split: PreferenceSplit, other: PreferenceSplit, outputs: Outputs) -> BaselineOutputs:
    """Returns the outputs of another model. Raises InputError where its tokenizer keeps other rows."""
    if other.rows.positions != split.rows.positions:
        message = f"its token limit keeps other rows of {SPLIT}."
        raise InputError.one(str(name), message, "Give both the same with --max-length.")
    return BaselineOutputs(str(name), {SPLIT: outputs}, note="another model on the same rows, from the same reference")


def dropped_rows(split: PreferenceSplit) -> dict[str, int]:
    """Returns reason -> number of rows that are not measured: unusable, or longer than the model's limit."""
    return {reason: len(ids) for reason, ids in (*split.source.left_out.items(), *split.rows.dropped.items())}


def left_out_notes(split: PreferenceSplit) -> list[str]:
    """Returns a sentence for each reason."""
    return [f"{plural(n, 'row', 'is', 'are')} not measured: {reason}." for reason, n in dropped_rows(split).items() if n]


def data_record(source: str, split: PreferenceSplit, outputs: Outputs) -> dict[str, Any]:
    """Returns the rows that were evaluated and the generated answers, in JSON types."""
    answers = [
        {"row_id": split.rows.row_ids[row], "reference": better_answer(split, row) or "", "answer": text}
        for row, text in zip(split.sample, outputs.texts, strict=True)
    ]
    return {
        "source": source,
        "form": split.source.kind,
        "columns": list(split.source.columns),
        "rows": len(split.rows),
        "rows_read": split.source.rows_read,
        "dropped": dropped_rows(split),
        "answers": answers,
        "context": [],
    }
