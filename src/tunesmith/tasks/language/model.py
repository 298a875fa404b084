"""The heavy steps of a language model's run: model and rows as tokens in memory, the pre-flight, the fits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.chat.conversations import Conversations, Turn
from tunesmith.errors import ModelError, RecipeError
from tunesmith.evaluation.metrics.answers import answer_function, answer_metrics_for
from tunesmith.evaluation.metrics.predictions import SINGLE
from tunesmith.evaluation.metrics.table import compute
from tunesmith.generation.steering import Decoding
from tunesmith.machine import device_name, quiet_libraries, restore_rng, rng_state, seed_everything
from tunesmith.models.adapters.language import add_language_adapter
from tunesmith.models.adapters.methods import changes_base
from tunesmith.models.chat.render import Rendered, render
from tunesmith.models.chat.template import NONE, Template, adopt, choose_template
from tunesmith.models.chat.truncation import NOT_LEARNT
from tunesmith.models.language.masking import masked
from tunesmith.models.language.model import add_tokens, load_language_model, objective_of
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import Loaded, load_tokenizer, max_input_tokens
from tunesmith.preflight.language import language_checks, lengths
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Listener
from tunesmith.recipe.language_rules import LABEL_METRICS, sequences
from tunesmith.recipe.metric_names import LOSS_METRICS
from tunesmith.recipe.sections import Recipe
from tunesmith.run_folder import RunFolder, nearest_folder, seed_places
from tunesmith.tasks.language.batches import language_kernels, training_tokens
from tunesmith.tasks.language.data import GENERAL, LanguageInputs
from tunesmith.tasks.language.scoring import Asking, Hearing, Said, hear, hearing_of
from tunesmith.tasks.language.training import Objective, Prepared, fit
from tunesmith.training.fit import Fit
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.signals import stop_on_signals
from tunesmith.training.trainers.tokens import TrainingTokens

WATCHED_ROWS = 16
"""Rows whose answers are written at each evaluation during training, where they do not choose the checkpoint."""
ROOM = 1.25
"""Longest answer that is written, as a multiple of the longest of the training rows."""
JUDGED_EPOCH = -1
"""What is masked when a masked model is judged is what no epoch of training masks."""


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
    add_tokens(tokenizer, recipe.model.new_tokens)
    objective = objective_for(inputs)
    template = choose_template(tokenizer, recipe.sft.chat_template, inputs.data.train, inputs.base)
    adopt(tokenizer, template)
    seed_everything(seed)
    loaded = load_language_model(inputs.source, tokenizer, objective, recipe.quantisation)
    max_length = max_input_tokens(loaded.model.config, tokenizer, recipe.data.max_length)
    rendered = {
        name: rendered_split(inputs, rows, tokenizer, template, max_length, objective) for name, rows in named(inputs).items()
    }
    stop_at(loaded.model, rendered["train"].end_ids)
    kernels = language_kernels(recipe, objective)
    tokens = training_tokens(recipe, rendered["train"], loaded, max_length, kernels)
    model = trainable(inputs, loaded, tokens, objective)
    prepared = Prepared(model, tokenizer, objective, tokens, kernels, math.log(len(tokenizer)))
    return ready_with(inputs, loaded, prepared, template, rendered, max_length)


def stop_at(model: Any, ends: Sequence[int]) -> None:
    """Let the model's writing end at the tokens that end its answers in training, beside those it ends at already."""
    settings = getattr(model, "generation_config", None)
    if settings is None or not ends:
        return
    known = settings.eos_token_id
    listed = [] if known is None else [known] if isinstance(known, int) else list(known)
    found = [*listed, *(token for token in ends if token not in listed)]
    settings.eos_token_id = found[0] if len(found) == 1 else found


def named(inputs: LanguageInputs) -> dict[str, Conversations]:
    """Every split and the general texts."""
    return {**inputs.data.named(), GENERAL: inputs.general}


def objective_for(inputs: LanguageInputs) -> Objective:
    """The architecture's objective. Raises where the recipe asks for the other one, or a masked model for answers."""
    from transformers import AutoConfig

    source, asked = inputs.source, inputs.recipe.pretraining.objective
    config = AutoConfig.from_pretrained(source.location, revision=source.revision, trust_remote_code=source.trust_remote_code)
    found = objective_of(config, f"model.name {source.name}")
    if asked is not None and asked != found:
        message = f"{source.name} is a {found} language model ({config.model_type})."
        raise RecipeError.one("pretraining.objective", message, f"Write {found}, or leave it out.")
    section = sequences(inputs.recipe)
    joined = [key for key in ("packing", "padding_free") if getattr(section, key)]
    if inputs.recipe.task == "sft" and found == "masked":
        message = f"{source.name} is a masked language model ({config.model_type}): it writes no answers."
        raise ModelError.one("model.name", message, "Name a causal one, such as builtin:pocket, or write task: classification.")
    if found == "masked" and joined:
        message = f"{source.name} is a masked language model ({config.model_type}), whose rows are not joined."
        raise RecipeError.one(f"pretraining.{joined[0]}", message, "Leave it out: batches hold rows of like length.")
    return found


def rendered_split(
    inputs: LanguageInputs, rows: Conversations, tokenizer: Any, template: Template, max_length: int, objective: Objective
) -> Rendered:
    """A split as tokens; plain texts are cut into windows. What a masked model is judged on is masked once for all."""
    sft, is_masked = inputs.recipe.sft, objective == "masked"
    if rows.form != "text":
        return render(tokenizer, rows, template, max_length, sft.loss_on, sft.long_rows)
    long_rows = "split" if rows.split == GENERAL else sft.long_rows
    found = render(tokenizer, rows, NONE, max_length, "all", long_rows, masked=is_masked)
    if not is_masked or rows.split == "train":
        return found
    pairs = [masked_once(inputs, ids, i, tokenizer) for i, ids in enumerate(found.input_ids)]
    return replace(found, input_ids=tuple(ids for ids, _ in pairs), labels=tuple(labels for _, labels in pairs))


def masked_once(inputs: LanguageInputs, ids: np.ndarray, entry: int, tokenizer: Any) -> tuple[np.ndarray, np.ndarray]:
    """An entry with the same tokens masked whenever it is judged."""
    return masked(
        ids, np.isin(ids, tokenizer.all_special_ids), inputs.recipe.train.seed, JUDGED_EPOCH, entry,
        inputs.recipe.pretraining.mlm_probability, tokenizer.mask_token_id, len(tokenizer),
    )  # fmt: skip


def trainable(inputs: LanguageInputs, loaded: Loaded, tokens: TrainingTokens, objective: Objective) -> Any:
    """The model as it is trained: with its adapter, or with layers frozen."""
    recipe = inputs.recipe
    if recipe.train.dropout is not None:
        set_dropout(loaded.model, recipe.train.dropout)
    if recipe.adapter is None:
        freeze(loaded.model, recipe.train.train_layers)
        return loaded.model.to(device_name())
    steps = plan_schedule(-(-len(tokens.packs) // recipe.train.batch_rows), recipe.train).total_steps
    model = add_language_adapter(loaded, recipe.adapter, steps, objective)
    return model if recipe.quantisation is not None else model.to(device_name())


def ready_with(
    inputs: LanguageInputs, loaded: Loaded, prepared: Prepared, template: Template, rendered: Mapping[str, Rendered],
    max_length: int,
) -> Ready:  # fmt: skip
    """Everything as tokens: what is heard, by which metrics, and the examples that the base model is shown."""
    recipe, section = inputs.recipe, inputs.recipe.evaluate.answers
    asking = asking_of(inputs, rendered["train"], label_tokens(inputs, prepared.tokenizer, template), max_length)
    check_windows(recipe, prepared.objective, max_length)
    hearings = {
        name: hearing_of(rows, rendered[name], prepared.tokenizer, template, recipe.sft.labels, section.rows)
        for name, rows in named(inputs).items()
        if name != "train"
    }
    if recipe.evaluate.stride is not None or recipe.evaluate.context_lengths:
        split = list(inputs.judged)[-1]
        whole = render(prepared.tokenizer, inputs.judged[split], NONE, None, "all")
        hearings[split] = replace(hearings[split], documents=whole.input_ids)
    draw = np.random.default_rng([recipe.train.seed, section.shots])
    shown = sorted(draw.permutation(len(inputs.data.train))[: section.shots].tolist())
    return Ready(
        loaded, prepared, template, rendered["train"], hearings, asking, steering_metric(recipe, asking),
        inputs.data.train.take(shown, "train"), max_length - asking.decoding.max_new_tokens, max_length,
    )  # fmt: skip


def check_windows(recipe: Recipe, objective: Objective, max_length: int) -> None:
    """Raise RecipeError where windows are asked for that cannot slide."""
    section = recipe.evaluate
    for key, sizes in (("stride", [section.stride] if section.stride else []), ("context_lengths", section.context_lengths)):
        if sizes and (recipe.task != "pretraining" or objective != "causal"):
            message = "windows slide over the plain texts of a causal model."
            raise RecipeError.one(f"evaluate.{key}", message, "Leave it out, or write task: pretraining for a causal model.")
        if max(sizes, default=0) >= max_length:
            message = f"{max(sizes)} is not below the {max_length} tokens that the model reads at once (data.max_length)."
            raise RecipeError.one(f"evaluate.{key}", message, f"Give at most {max_length - 1}.")


def label_tokens(inputs: LanguageInputs, tokenizer: Any, template: Template) -> tuple[tuple[int, ...], ...]:
    """The tokens of each label as training has them behind a prompt, with what ends an answer."""
    labels, first = inputs.recipe.sft.labels, inputs.data.train.take([0] * len(inputs.recipe.sft.labels), "train")
    if not labels:
        return ()
    turns = tuple((*of_row[:-1], Turn("assistant", label)) for of_row, label in zip(first.turns, labels, strict=True))
    rendered = render(tokenizer, replace(first, turns=turns), template, None, "completion", "drop")
    return tuple(tuple(learnt[learnt != NOT_LEARNT].tolist()) for learnt in rendered.labels)


def asking_of(inputs: LanguageInputs, train: Rendered, labels: tuple[tuple[int, ...], ...], max_length: int) -> Asking:
    """How answers are written and compared."""
    section, rows = inputs.recipe.evaluate.answers, inputs.data.train
    longest = max((int((labels != NOT_LEARNT).sum()) for labels in train.labels), default=1)
    n_new = section.max_new_tokens or min(max(8, math.ceil(ROOM * longest)), max(1, max_length // 2))
    decoding = Decoding(
        max_new_tokens=n_new, num_beams=section.num_beams, do_sample=section.do_sample, temperature=section.temperature or 1.0,
        top_p=section.top_p or 1.0, seed=inputs.recipe.train.seed,
    )  # fmt: skip
    has_answers = rows.form != "text" and section.rows > 0 and not labels
    references = [turns[-1].content for turns in rows.turns]
    metrics = answer_metrics_for(references, section.pattern, section.function) if has_answers else ()
    asked = inputs.recipe.evaluate.metric
    if asked in metrics and asked is not None:
        metrics = (asked, *(name for name in metrics if name != asked))
    function = None if section.function is None else answer_function(section.function, inputs.base)
    return Asking(decoding, labels, metrics, section.pattern, function, max_length, inputs.recipe.evaluate.stride)


def steering_metric(recipe: Recipe, asking: Asking) -> str:
    """The metric of validation that chooses the checkpoint. Raises RecipeError for one that nothing measures."""
    asked = recipe.evaluate.metric or "loss"
    known = (*LOSS_METRICS, *asking.metrics, *(LABEL_METRICS if asking.labels else ()))
    if asked not in known:
        message = f"these rows are not measured by {asked}."
        raise RecipeError.one("evaluate.metric", message, f"They are measured by: {', '.join(known)}.")
    return asked


def preflight(inputs: LanguageInputs, ready: Ready) -> CheckReport:
    """The whole pre-flight: what was checked without the model, and the checks on it."""
    place, state = nearest_folder(Path(inputs.recipe.output)), rng_state()
    lines, estimate = language_checks(
        inputs.recipe, ready.loaded, ready.prepared, ready.template, ready.train, inputs.data.train, place
    )
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
    configs = getattr(model, "peft_config", {})
    if any(changes_base(config) for config in configs.values()) or not hasattr(model, "disable_adapter"):
        again = load_language_model(inputs.source, ready.prepared.tokenizer, ready.prepared.objective, inputs.recipe.quantisation)
        yield again.model.to(device_name())
        return
    with model.disable_adapter():
        yield model


def measure_of(ready: Ready) -> Any:
    """A function that gives a model's loss and metrics on validation, with the answers of a few rows or of all that choose."""
    hearing, asking = ready.hearings["validation"], ready.asking
    asking = replace(asking, stride=None)
    if ready.metric in LOSS_METRICS and not asking.labels:
        hearing = watched(hearing)

    def run(model: Any) -> dict[str, float]:
        said = hear(ready.prepared, model, hearing, asking)
        assert said.losses is not None
        found = {"loss": said.losses.mean, "perplexity": math.exp(min(said.losses.mean, 700.0))}
        found["bits_per_byte"] = float(said.losses.sums.sum() / math.log(2) / max(1, hearing.n_bytes.sum()))
        found |= {name: float(values.mean()) for name, values in said.worth.items()}
        if said.labels is not None:
            values = compute(SINGLE, said.labels)
            found |= {name: math.nan if (value := values[name]) is None else value for name in LABEL_METRICS}
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
                now.prepared, inputs.recipe, measure_of(now), now.metric, checkpoints, log, seed, request, listener,
                resume=resume, smoke=smoke,
            )  # fmt: skip
            said = {name: hear(now.prepared, now.prepared.model, one, now.asking) for name, one in now.hearings.items()}
            runs.append(SeedRun(seed, fitted, now.prepared.model, said))
    return runs
