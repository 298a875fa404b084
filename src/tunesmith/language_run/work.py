"""The heavy steps of a language model's run: model and rows as tokens in memory, the pre-flight, the fits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.conversations import Conversations
from tunesmith.events import Listener
from tunesmith.generation.decode import Decoding
from tunesmith.language_run.hearing import Asking, Hearing, Said, hear, hearing_of
from tunesmith.language_run.inputs import GENERAL, LanguageInputs
from tunesmith.machine import device_name, quiet_libraries, seed_everything
from tunesmith.metrics.language import answer_metrics_for
from tunesmith.metrics.predictions import SINGLE
from tunesmith.metrics.table import compute
from tunesmith.models.adapters import add_adapter
from tunesmith.models.chat_template import Template, choose_template
from tunesmith.models.kernels import choose_kernels
from tunesmith.models.language_model import load_language_model, model_objective
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import Loaded, load_tokenizer, max_input_tokens
from tunesmith.models.packing import packs_of
from tunesmith.models.render import Rendered, render
from tunesmith.preflight.language import language_checks, lengths
from tunesmith.preflight.report import CheckReport
from tunesmith.recipe.language_rules import OF_LABELS
from tunesmith.recipe.metric_names import LOSSES
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.language import Objective, Prepared, fit
from tunesmith.training.fit import Fit
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.signals import stop_on_signals
from tunesmith.training.token_trainer import TrainingTokens
from tunesmith.work import nearest_folder, restore_rng, rng_state, seed_places

WATCHED_ROWS = 16
"""Rows whose answers are written at each evaluation during training, where they do not choose the checkpoint."""
ROOM = 1.25
"""Longest answer that is written, as a multiple of the longest of the training rows."""
CHANGES_THE_BASE = ("pissa", "olora", "loftq", "corda", "eva")
"""Ways to begin an adapter that take something out of the base model's weights."""


@dataclass(frozen=True)
class Ready:
    """A base model in memory and everything as tokens.

    Attributes:
        loaded: the base model, before anything is frozen or added.
        prepared: what a fit is given; its model has the adapter.
        hearings: what each judged split and the general texts are heard by.
        metric: chooses the checkpoint.
        examples: training rows that the base model is shown in its prompt.
        prompt_limit: tokens that a prompt may have, so that an answer still fits.
    """

    loaded: Loaded
    prepared: Prepared
    template: Template
    train: Rendered
    hearings: Mapping[str, Hearing]
    asking: Asking
    metric: str
    examples: Conversations
    prompt_limit: int
    max_length: int


@dataclass(frozen=True)
class SeedRun:
    """One fit and what its model says on each split."""

    seed: int
    fit: Fit
    model: Any
    said: Mapping[str, Said]


def load_model(inputs: LanguageInputs, seed: int) -> Ready:
    """The base model, its adapter drawn by this seed, and all rows as tokens."""
    quiet_libraries()
    recipe = inputs.recipe
    tokenizer = load_tokenizer(inputs.source)
    objective = model_objective(inputs.source, recipe)
    template = choose_template(tokenizer, recipe.sft.chat_template, inputs.data.train)
    seed_everything(seed)
    loaded = load_language_model(inputs.source, tokenizer, objective, recipe.quantisation, template.new_tokens)
    max_length = max_input_tokens(loaded.model.config, tokenizer, recipe.data.max_length)
    rendered = {name: rendered_split(inputs, rows, tokenizer, template, max_length) for name, rows in named(inputs).items()}
    tokens = training_tokens(inputs, rendered["train"], tokenizer.pad_token_id, max_length)
    model = trainable(inputs, loaded, tokens)
    kernels = choose_kernels(fast=recipe.train.fast, device=device_name())
    prepared = Prepared(model, tokenizer, objective, tokens, kernels, math.log(len(tokenizer)))
    return ready_with(inputs, loaded, prepared, template, rendered, max_length)


def named(inputs: LanguageInputs) -> dict[str, Conversations]:
    """Every split and the general texts."""
    return {**inputs.data.named(), GENERAL: inputs.general}


def rendered_split(
    inputs: LanguageInputs, rows: Conversations, tokenizer: Any, template: Template, max_length: int
) -> Rendered:
    """A split as tokens; plain texts are cut into windows."""
    sft = inputs.recipe.sft
    if rows.form == "text":
        return render(tokenizer, rows, template, max_length, "all", sft.long_rows if rows.split != GENERAL else "split")
    return render(tokenizer, rows, template, max_length, sft.loss_on, sft.long_rows)


def training_tokens(inputs: LanguageInputs, rows: Rendered, pad_id: int, max_length: int) -> TrainingTokens:
    """The training rows, packed where that is asked for or saves time."""
    asked = inputs.recipe.sft.packing
    is_packed = device_name() == "cuda" if asked is None else asked
    lengths = [len(ids) for ids in rows.input_ids]
    packs = packs_of(lengths, max_length) if is_packed else tuple((i,) for i in range(len(lengths)))
    return TrainingTokens(rows.row_ids, rows.input_ids, rows.labels, packs, pad_id)


def trainable(inputs: LanguageInputs, loaded: Loaded, tokens: TrainingTokens) -> Any:
    """The model as it is trained: with its adapter, or with layers frozen."""
    recipe = inputs.recipe
    if recipe.train.dropout is not None:
        set_dropout(loaded.model, recipe.train.dropout)
    if recipe.adapter is None:
        freeze(loaded.model, recipe.train.train_layers)
        return loaded.model.to(device_name())
    steps = plan_schedule(-(-len(tokens.packs) // recipe.train.batch_rows), recipe.train).total_steps
    model = add_adapter(loaded.model, recipe.adapter, steps)
    return model if recipe.quantisation is not None else model.to(device_name())


def ready_with(
    inputs: LanguageInputs, loaded: Loaded, prepared: Prepared, template: Template, rendered: Mapping[str, Rendered],
    max_length: int,
) -> Ready:  # fmt: skip
    """Everything as tokens: what is heard, by which metrics, and the examples that the base model is shown."""
    recipe, section = inputs.recipe, inputs.recipe.evaluate.answers
    asking = asking_of(inputs, rendered["train"], max_length)
    hearings = {
        name: hearing_of(rows, rendered[name], prepared.tokenizer, template, recipe.sft.labels, section.rows)
        for name, rows in named(inputs).items()
        if name != "train"
    }
    draw = np.random.default_rng([recipe.train.seed, section.shots])
    shown = sorted(draw.permutation(len(inputs.data.train))[: section.shots].tolist())
    return Ready(
        loaded, prepared, template, rendered["train"], hearings, asking, steering_metric(recipe, asking),
        inputs.data.train.take(shown, "train"), max_length - asking.decoding.max_new_tokens, max_length,
    )  # fmt: skip


def asking_of(inputs: LanguageInputs, train: Rendered, max_length: int) -> Asking:
    """How answers are written and compared."""
    section, rows = inputs.recipe.evaluate.answers, inputs.data.train
    longest = max((int((labels != -100).sum()) for labels in train.labels), default=1)
    n_new = section.max_new_tokens or min(max(8, math.ceil(ROOM * longest)), max(1, max_length // 2))
    decoding = Decoding(
        max_new_tokens=n_new, num_beams=section.num_beams, do_sample=section.do_sample, temperature=section.temperature,
        top_p=section.top_p, seed=inputs.recipe.train.seed,
    )  # fmt: skip
    labels = tuple(inputs.recipe.sft.labels)
    has_answers = rows.form != "text" and section.rows > 0 and not labels
    references = [turns[-1].content for turns in rows.turns]
    metrics = answer_metrics_for(references, section.pattern, section.function) if has_answers else ()
    asked = inputs.recipe.evaluate.metric
    if asked in metrics and asked is not None:
        metrics = (asked, *(name for name in metrics if name != asked))
    return Asking(decoding, labels, metrics, section.pattern, section.function, inputs.base)


def steering_metric(recipe: Recipe, asking: Asking) -> str:
    """The metric of validation that chooses the checkpoint. Raises RecipeError for one that nothing measures."""
    asked = recipe.evaluate.metric or "loss"
    known = (*LOSSES, *asking.metrics, *(OF_LABELS if asking.labels else ()))
    if asked not in known:
        message = f"these rows are not measured by {asked}."
        raise RecipeError.one("evaluate.metric", message, f"They are measured by: {', '.join(known)}.")
    return asked


def preflight(inputs: LanguageInputs, ready: Ready) -> CheckReport:
    """The whole pre-flight: what was checked without the model, and the checks on it."""
    place, state = nearest_folder(Path(inputs.recipe.output)), rng_state()
    lines, estimate = language_checks(inputs.recipe, ready.loaded, ready.prepared, ready.template, ready.train, inputs.data.train, place)
    restore_rng(state)
    found = [*inputs.checks, *lengths({"train": ready.train, **{name: one.rows for name, one in ready.hearings.items()}}), *lines]
    return CheckReport(tuple(found), estimate)


@contextmanager
def base_model(inputs: LanguageInputs, ready: Ready) -> Iterator[Any]:
    """The base model as it came: the run's own with its adapter switched off, or read again where the adapter changed it."""
    adapter, model = inputs.recipe.adapter, ready.prepared.model
    if adapter is None:
        yield model
        return
    begun = str((adapter.model_extra or {}).get("init_lora_weights", adapter.method))
    if begun.startswith(CHANGES_THE_BASE):
        again = load_language_model(inputs.source, ready.prepared.tokenizer, ready.prepared.objective, inputs.recipe.quantisation)
        yield again.model.to(device_name())
        return
    with model.disable_adapter() if hasattr(model, "disable_adapter") else nullcontext():
        yield model


def measure_of(ready: Ready) -> Any:
    """A function that gives a model's loss and metrics on validation, with the answers of a few rows or of all that choose."""
    hearing, asking = ready.hearings["validation"], ready.asking
    if ready.metric in LOSSES and not asking.labels:
        hearing = watched(hearing)

    def run(model: Any) -> dict[str, float]:
        said = hear(ready.prepared, model, hearing, asking)
        assert said.losses is not None
        found = {"loss": said.losses.mean, "perplexity": math.exp(min(said.losses.mean, 700.0))}
        found["bits_per_byte"] = float(said.losses.sums.sum() / math.log(2) / max(1, hearing.n_bytes.sum()))
        found |= {name: float(values.mean()) for name, values in said.worth.items()}
        if said.labels is not None:
            values = compute(SINGLE, said.labels)
            found |= {name: float("nan") if values[name] is None else values[name] for name in OF_LABELS}
        return found

    return run


def watched(hearing: Hearing) -> Hearing:
    """The split with the answers of a few rows only."""
    count = min(WATCHED_ROWS, len(hearing.sample))
    keep = [i * len(hearing.sample) // count for i in range(count)] if count else []
    return replace(
        hearing, sample=tuple(hearing.sample[i] for i in keep), prompts=tuple(hearing.prompts[i] for i in keep),
        references=tuple(hearing.references[i] for i in keep),
    )  # fmt: skip


def fit_seeds(
    inputs: LanguageInputs, ready: Ready, folder: RunFolder, listener: Listener, *, resume: bool, smoke: bool
) -> Sequence[SeedRun]:
    """One fit per seed; the first uses the model that was checked.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    train, runs = inputs.recipe.train, []
    with stop_on_signals() as request:
        for seed in range(train.seed, train.seed + train.n_seeds):
            now = ready if seed == train.seed else load_model(inputs, seed)
            seed_everything(seed)
            checkpoints, log = seed_places(folder, seed, train.n_seeds)
            fitted = fit(
                now.prepared, inputs.recipe, measure_of(now), now.metric, checkpoints, log, seed, request, listener, resume=resume,
                smoke=smoke,
            )  # fmt: skip
            said = {name: hear(now.prepared, now.prepared.model, one, now.asking) for name, one in now.hearings.items()}
            runs.append(SeedRun(seed, fitted, now.prepared.model, said))
    return runs
